/**
 * A lexer just good enough for the guards: it finds what a TypeScript file imports and blanks comments and literals, so that
 * a word in a comment or a string is never taken for code. No compiler API is involved (TypeScript 7 has none).
 */
export interface Import {
  /** What stands between the quotes. */
  specifier: string;
  line: number;
  kind: 'import' | 'export' | 'dynamic';
  /** Erased at run time: `import type`, or a clause in which every name is a type. */
  typeOnly: boolean;
  /** The text between the keyword and `from`: which names are taken. */
  clause: string;
}

export interface SourceScan {
  imports: Import[];
  /** The text with comments and the inside of literals blanked; offsets and lines are those of the original. */
  code: string;
}

const blank = (text: string): string => text.replace(/[^\n]/g, ' ');
const lineAt = (text: string, offset: number): number => text.slice(0, offset).split('\n').length;

/** A slash begins a regular expression where a value may begin: after an operator, an opening bracket or one of these words. */
const VALUE_MAY_FOLLOW = /(?:^|[=(,:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|await|yield))\s*$/;

function endOfRegex(text: string, start: number): number {
  let inClass = false;
  for (let i = start + 1; i < text.length && text[i] !== '\n'; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '[') inClass = true;
    else if (text[i] === ']') inClass = false;
    else if (text[i] === '/' && !inClass) return i + 1;
  }
  return start + 1;
}

function blankNonCode(text: string): string {
  let out = '';
  let i = 0;
  /** Brace depth at which each open template literal resumes. */
  const templates: number[] = [];
  let depth = 0;
  const copyUntil = (end: number) => {
    out += text[i] + blank(text.slice(i + 1, Math.max(i + 1, end - 1))) + (end - 1 > i ? text[end - 1] : '');
    i = end;
  };
  /** From a backtick, or from the brace that ends a `${}`, to the next `${` or the closing backtick. */
  const template = (start: number) => {
    let end = start + 1;
    while (end < text.length) {
      if (text[end] === '\\') end += 2;
      else if (text[end] === '`') break;
      else if (text[end] === '$' && text[end + 1] === '{') {
        templates.push(depth);
        end++;
        depth++;
        break;
      } else end++;
    }
    copyUntil(Math.min(end + 1, text.length));
  };
  while (i < text.length) {
    const c = text[i];
    const next = text[i + 1];
    if (c === '/' && (next === '/' || next === '*')) {
      const stop = next === '/' ? text.indexOf('\n', i) : text.indexOf('*/', i + 2) + 2;
      const end = stop < i + 2 ? text.length : stop;
      out += blank(text.slice(i, end));
      i = end;
    } else if (c === "'" || c === '"') {
      let end = i + 1;
      while (end < text.length && text[end] !== c && text[end] !== '\n') end += text[end] === '\\' ? 2 : 1;
      copyUntil(Math.min(end + 1, text.length));
    } else if (c === '`') template(i);
    else if (c === '}' && templates.at(-1) === depth - 1) {
      templates.pop();
      depth--;
      template(i);
    } else if (c === '/' && VALUE_MAY_FOLLOW.test(out.slice(-40))) copyUntil(endOfRegex(text, i));
    else {
      if (c === '{') depth++;
      else if (c === '}') depth--;
      out += c;
      i++;
    }
  }
  return out;
}

const STATEMENT = /\b(import|export)\b((?:\s+type\b)?\s*(?:[\w$*{][^'"`;()=]*?)?)(?:\bfrom\s*)?(['"])/g;
const DYNAMIC = /\bimport\s*\(\s*(['"])/g;

function isTypeOnly(clause: string): boolean {
  if (/^\s*type\b(?!\s*,)/.test(clause)) return true;
  const names = /^\s*\{([^}]*)\}\s*$/.exec(clause)?.[1];
  if (names === undefined) return false;
  const parts = names
    .split(',')
    .map((n) => n.trim())
    .filter((n) => n !== '');
  return parts.length > 0 && parts.every((n) => n.startsWith('type '));
}

export function scanSource(text: string): SourceScan {
  const code = blankNonCode(text);
  const imports: Import[] = [];
  const literalAt = (quote: number): string => text.slice(quote + 1, text.indexOf(text[quote], quote + 1));
  for (const match of code.matchAll(STATEMENT)) {
    const [whole, keyword, clause] = match;
    const named = /\bfrom\s*['"]$/.test(whole);
    // Without `from` only a bare `import 'x'` is an import; `export type A = 'x'` is not.
    if (!named && !(keyword === 'import' && clause.trim() === '')) continue;
    const kind = keyword as 'import' | 'export';
    imports.push({
      specifier: literalAt(match.index + whole.length - 1),
      line: lineAt(text, match.index),
      kind,
      typeOnly: isTypeOnly(clause),
      clause: clause.trim(),
    });
  }
  for (const match of code.matchAll(DYNAMIC)) {
    const specifier = literalAt(match.index + match[0].length - 1);
    imports.push({ specifier, line: lineAt(text, match.index), kind: 'dynamic', typeOnly: false, clause: '' });
  }
  return { imports, code };
}
