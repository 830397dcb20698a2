/**
 * Questions about a whole tree of numbered elements, each answered in time linear in elements and edges, and without recursion:
 * a chain may be as long as the tree.
 */

/** What each element waits for: `targets[start[no]]` up to `targets[start[no + 1]]`, excluding. */
export interface Edges {
  start: Int32Array;
  targets: readonly number[];
}

/** How many elements stand above each; or the numbers of a cycle, each filed under the next. */
export function parentDepths(parent: readonly number[]): { depths: Int32Array } | { cycle: number[] } {
  const depths = new Int32Array(parent.length).fill(-1);
  const walkOf = new Int32Array(parent.length).fill(-1);
  const above: number[] = [];
  for (let from = 0; from < parent.length; from++) {
    let no = from;
    for (above.length = 0; no >= 0 && depths[no] < 0; no = parent[no]) {
      if (walkOf[no] === from) return { cycle: above.slice(above.indexOf(no)) };
      walkOf[no] = from;
      above.push(no);
    }
    let depth = no < 0 ? 0 : depths[no] + 1;
    while (above.length > 0) depths[above.pop() as number] = depth++;
  }
  return { depths };
}

/** Of the elements at the top, the first that neither parents nor dependencies join to element 0; null: they are one. */
export function strayRoot(parent: readonly number[], edges: Edges): number | null {
  const group = Int32Array.from(parent, (_, no) => no);
  const leader = (no: number): number => {
    while (group[no] !== no) {
      // Halving the way as it is walked keeps all ways short.
      group[no] = group[group[no]];
      no = group[no];
    }
    return no;
  };
  /** The lower number leads, so that the first element leads its own group. */
  const join = (a: number, b: number): void => {
    const [x, y] = [leader(a), leader(b)];
    if (x < y) group[y] = x;
    else group[x] = y;
  };
  for (let no = 0; no < parent.length; no++) {
    if (parent[no] >= 0) join(no, parent[no]);
    for (let i = edges.start[no]; i < edges.start[no + 1]; i++) join(no, edges.targets[i]);
  }
  for (let no = 0; no < parent.length; no++) if (parent[no] < 0 && leader(no) !== 0) return no;
  return null;
}

/**
 * Numbers of one cycle, each waiting for the next to end; null: there is none. An element waits for its dependencies, and a parent
 * ends after its tied children: so a tied child that waits for its parent is a cycle as well.
 */
export function waitCycle(edges: Edges, parent: readonly number[], isTied: (no: number) => boolean): number[] | null {
  const size = parent.length;
  const waits = new Int32Array(size);
  // The elements that wait for each, as lists through the edges: a tied child's is the one behind all edges.
  const first = new Int32Array(size).fill(-1);
  const next = new Int32Array(edges.targets.length);
  const waiter = new Int32Array(edges.targets.length);
  const endsAfter = (no: number): number => (parent[no] >= 0 && isTied(no) ? parent[no] : -1);
  for (let no = 0; no < size; no++) {
    for (let i = edges.start[no]; i < edges.start[no + 1]; i++) {
      waits[no]++;
      waiter[i] = no;
      next[i] = first[edges.targets[i]];
      first[edges.targets[i]] = i;
    }
    const up = endsAfter(no);
    if (up >= 0) waits[up]++;
  }
  const free = new Int32Array(size);
  let found = 0;
  for (let no = 0; no < size; no++) if (waits[no] === 0) free[found++] = no;
  for (let at = 0; at < found; at++) {
    const no = free[at];
    for (let i = first[no]; i >= 0; i = next[i]) if (--waits[waiter[i]] === 0) free[found++] = waiter[i];
    const up = endsAfter(no);
    if (up >= 0 && --waits[up] === 0) free[found++] = up;
  }
  if (found === size) return null;
  return walkInto(waits, edges, endsAfter);
}

/** Every element left waits for another one left, so walking from one to the next must meet one again. */
function walkInto(waits: Int32Array, edges: Edges, endsAfter: (no: number) => number): number[] {
  const child = new Int32Array(waits.length).fill(-1);
  for (let no = waits.length - 1; no >= 0; no--) {
    const up = endsAfter(no);
    if (up >= 0 && waits[no] > 0) child[up] = no;
  }
  const metAt = new Map<number, number>();
  const walk: number[] = [];
  let no = waits.findIndex((n) => n > 0);
  while (!metAt.has(no)) {
    metAt.set(no, walk.length);
    walk.push(no);
    let to = child[no];
    for (let i = edges.start[no]; i < edges.start[no + 1]; i++) {
      if (waits[edges.targets[i]] === 0) continue;
      to = edges.targets[i];
      break;
    }
    no = to;
  }
  return walk.slice(metAt.get(no));
}
