/**
 * Patterns for names of files, as settings have them: `*`, `?`, `[a-z]`, `{csv,json}`, and `**` for folders of any depth. Our own, because they
 * come from strangers and are matched on the engine's thread: however a pattern is made, the time grows with its length times the name's.
 */

type Token =
  | { kind: 'char'; is: (c: string) => boolean }
  /** Any number of characters within a name. */
  | { kind: 'star' }
  /** Any number of folders, each with the `/` behind it. */
  | { kind: 'folders' }
  /** Whatever comes. */
  | { kind: 'rest' };

export const MAX_PATTERN = 500;
const MAX_ALTERNATIVES = 100;
const MAX_TOKENS = 2_000;

/** Throws Error with what is wrong with it. A pattern without `/` is about the file's name, one with it about the path below the folder. */
export function filePattern(text: string): (file: string) => boolean {
  const glob = text.replace(/^glob:/, '');
  if (glob.length > MAX_PATTERN) throw new Error(`it has ${glob.length} characters; ${MAX_PATTERN} is the limit`);
  const patterns = alternatives(glob).map(tokensOf);
  if (patterns.reduce((sum, tokens) => sum + tokens.length, 0) > MAX_TOKENS) throw new Error(`its braces stand for more than ${MAX_TOKENS} characters`);
  const whole = glob.includes('/');
  return (file) => {
    const name = [...(whole ? file : file.slice(file.lastIndexOf('/') + 1))];
    return patterns.some((tokens) => matches(tokens, name));
  };
}

/** Without braces: `a.{b,c}` is `a.b` and `a.c`. */
function alternatives(glob: string): string[] {
  const open = place(glob, 0, '{');
  if (open < 0) {
    if (place(glob, 0, '}') >= 0) throw new Error('a } has no { before it');
    return [glob];
  }
  const parts: string[] = [];
  let depth = 0;
  let from = open + 1;
  for (let at = open; at < glob.length; at++) {
    const c = glob[at];
    if (c === '\\') at++;
    else if (c === '{') depth++;
    else if ((c === ',' && depth === 1) || (c === '}' && --depth === 0)) {
      parts.push(glob.slice(from, at));
      from = at + 1;
      if (c === ',') continue;
      const found: string[] = [];
      for (const part of parts) {
        for (const rest of alternatives(glob.slice(0, open) + part + glob.slice(at + 1))) found.push(rest);
        if (found.length > MAX_ALTERNATIVES) throw new Error(`its braces stand for more than ${MAX_ALTERNATIVES} patterns`);
      }
      return found;
    }
  }
  throw new Error('a { is not closed');
}

/** Of a character that no backslash stands before; -1: there is none. */
function place(glob: string, from: number, c: string): number {
  for (let at = from; at < glob.length; at++) {
    if (glob[at] === '\\') at++;
    else if (glob[at] === c) return at;
  }
  return -1;
}

function tokensOf(glob: string): Token[] {
  const chars = [...glob];
  const tokens: Token[] = [];
  for (let at = 0; at < chars.length; at++) {
    const c = chars[at];
    const starts = at === 0 || chars[at - 1] === '/';
    if (c === '*' && chars[at + 1] === '*' && starts && (at + 2 === chars.length || chars[at + 2] === '/')) {
      tokens.push({ kind: at + 2 === chars.length ? 'rest' : 'folders' });
      at += 2;
    } else if (c === '*') {
      if (tokens.at(-1)?.kind !== 'star') tokens.push({ kind: 'star' });
    } else if (c === '?') tokens.push({ kind: 'char', is: (x) => x !== '/' });
    else if (c === '[') {
      const close = chars.indexOf(']', at + (chars[at + 1] === '!' || chars[at + 1] === '^' ? 3 : 2));
      if (close < 0) throw new Error('a [ is not closed');
      tokens.push({ kind: 'char', is: setOf(chars.slice(at + 1, close)) });
      at = close;
    } else {
      const literal = c === '\\' && at + 1 < chars.length ? chars[++at] : c;
      tokens.push({ kind: 'char', is: (x) => x === literal });
    }
  }
  return tokens;
}

/** `a-z`, `!0-9` */
function setOf(chars: string[]): (c: string) => boolean {
  const not = chars[0] === '!' || chars[0] === '^';
  const ranges: [string, string][] = [];
  for (let i = not ? 1 : 0; i < chars.length; i++) {
    const isRange = chars[i + 1] === '-' && i + 2 < chars.length;
    ranges.push([chars[i], isRange ? chars[i + 2] : chars[i]]);
    if (isRange) i += 2;
  }
  return (c) => c !== '/' && ranges.some(([low, high]) => c >= low && c <= high) !== not;
}

/** All places of the pattern at which one may be are followed at once. */
function matches(tokens: readonly Token[], name: readonly string[]): boolean {
  const end = tokens.length;
  // Whether one may be before a token; `inside`: in the middle of a folder's name.
  let at = new Set<number>();
  let inside = new Set<number>();
  const enter = (places: Set<number>, i: number): void => {
    for (let to = i; !places.has(to); to++) {
      places.add(to);
      if (to === end || tokens[to].kind === 'char') return;
    }
  };
  enter(at, 0);
  for (const c of name) {
    const next = new Set<number>();
    const nextInside = new Set<number>();
    for (const i of at) {
      if (i === end) continue;
      const token = tokens[i];
      switch (token.kind) {
        case 'char':
          if (token.is(c)) enter(next, i + 1);
          break;
        case 'star':
          if (c !== '/') enter(next, i);
          break;
        case 'rest':
          enter(next, i);
          break;
        case 'folders':
          if (c !== '/') nextInside.add(i);
          break;
        default:
          token satisfies never;
      }
    }
    for (const i of inside) {
      if (c === '/') enter(next, i);
      else nextInside.add(i);
    }
    if (next.size === 0 && nextInside.size === 0) return false;
    at = next;
    inside = nextInside;
  }
  return at.has(end);
}
