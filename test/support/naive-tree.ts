/** The rules of ad hoc trees read word by word, at any cost: what the real ones are held against. */
export interface NaiveElement {
  name: string;
  id: string;
  params: { executor_id: string };
  parent_id?: string;
  tied?: boolean;
  dependencies?: (string | { id: string; required: boolean })[];
  children?: NaiveElement[];
}

interface Flat {
  e: NaiveElement;
  outer: NaiveElement | undefined;
}

export class NaiveTree {
  readonly #all: Flat[] = [];

  constructor(elements: readonly NaiveElement[]) {
    const flatten = (list: readonly NaiveElement[], outer: NaiveElement | undefined): void => {
      for (const e of list) {
        this.#all.push({ e, outer });
        flatten(e.children ?? [], e);
      }
    };
    flatten(elements, undefined);
  }

  /** A part of the message of what is wrong, or null. */
  problem(): string | null {
    const all = this.#all;
    if (all.every((_, no) => this.#hasParent(no))) return 'No root';
    if (all.some((_, no) => this.#hasParent(no) && this.#parent(no) < 0)) return 'not in the task array';
    if (all.some((_, no) => this.#reaches(no, no, (n) => [this.#parent(n)].filter((up) => up >= 0)))) return 'Circular parent';
    if (all.some(({ e }) => (e.dependencies ?? []).some((d) => this.#find(textOf(d)) < 0))) return 'not a valid id or name';
    const around = (n: number): number[] => all.map((_, m) => m).filter((m) => this.#touches(n, m) || this.#touches(m, n));
    if (all.some((_, no) => no > 0 && !this.#reaches(0, no, around))) return 'Multiple root';
    const waitsFor = (n: number): number[] => [...this.#deps(n).keys(), ...all.map((_, m) => m).filter((m) => this.#tied(m) && this.#parent(m) === n)];
    if (all.some((_, no) => this.#reaches(no, no, waitsFor))) return 'Circular dependency';
    return null;
  }

  nodes(): { name: string; parent: number; tied: boolean; deps: [number, boolean][] }[] {
    return this.#all.map(({ e }, no) => ({ name: e.name, parent: this.#parent(no), tied: this.#tied(no), deps: [...this.#deps(no)] }));
  }

  #find(text: string): number {
    const byId = this.#all.findIndex(({ e }) => e.id === text);
    return byId >= 0 ? byId : this.#all.findIndex(({ e }) => e.name === text);
  }

  #hasParent(no: number): boolean {
    return this.#all[no].outer !== undefined || this.#all[no].e.parent_id !== undefined;
  }

  #parent(no: number): number {
    const { e, outer } = this.#all[no];
    if (outer !== undefined) return this.#all.findIndex((f) => f.e === outer);
    return e.parent_id === undefined ? -1 : this.#find(e.parent_id);
  }

  #tied(no: number): boolean {
    return this.#all[no].outer !== undefined || this.#all[no].e.tied === true;
  }

  #deps(no: number): Map<number, boolean> {
    const deps = new Map<number, boolean>();
    for (const d of this.#all[no].e.dependencies ?? []) {
      const to = this.#find(textOf(d));
      deps.set(to, deps.get(to) === true || typeof d === 'string' || d.required);
    }
    return deps;
  }

  #touches(a: number, b: number): boolean {
    return this.#parent(a) === b || this.#deps(a).has(b);
  }

  /** Is there a way of one step or more? */
  #reaches(from: number, to: number, next: (n: number) => number[]): boolean {
    const seen = new Set<number>();
    const open = next(from);
    for (let n = open.pop(); n !== undefined; n = open.pop()) {
      if (n === to) return true;
      if (seen.has(n)) continue;
      seen.add(n);
      open.push(...next(n));
    }
    return false;
  }
}

const textOf = (d: string | { id: string }): string => (typeof d === 'string' ? d : d.id);
