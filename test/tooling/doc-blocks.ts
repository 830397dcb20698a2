/**
 * The code of a page, as a reader meets it. A ```text block below a block of code is what that code prints. `no-run: reason` after the
 * language leaves a block out. A block that begins with `// name.ts` is that file; any other goes on with the module above it, unless
 * it begins with imports of its own.
 */
export interface DocBlock {
  lang: string;
  /** Of its first line of code, from 1. */
  line: number;
  code: string;
  /** Why it is not run; null: it is. */
  noRun: string | null;
  /** What it prints, as shown; null: nothing is shown. */
  shown: string | null;
}

export interface DocModule {
  file: string;
  /** The reader saves it under this name, and a command runs it. */
  named: boolean;
  blocks: DocBlock[];
}

const FENCE = /^( *)```(\S*) *(.*)$/;

export function blocksOf(page: string): DocBlock[] {
  const blocks: DocBlock[] = [];
  const lines = page.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const open = FENCE.exec(lines[i]);
    if (open === null) continue;
    const [, indent, lang, info] = open;
    const line = i + 2;
    const body: string[] = [];
    for (i++; i < lines.length && lines[i].trim() !== '```'; i++) body.push(lines[i].startsWith(indent) ? lines[i].slice(indent.length) : lines[i]);
    if (i === lines.length) throw new Error(`the block at line ${line - 1} has no end`);
    const code = body.join('\n');
    const above = blocks.at(-1);
    if (lang !== 'text') blocks.push({ lang, line, code, noRun: /^no-run\b:? *(.*)$/.exec(info)?.[1] ?? null, shown: null });
    else if (above?.shown === null) above.shown = code;
    else throw new Error(`line ${line - 1}: the output belongs to no code`);
  }
  return blocks;
}

export function modulesOf(blocks: readonly DocBlock[]): DocModule[] {
  const modules: DocModule[] = [];
  for (const block of blocks) {
    if (block.lang !== 'ts' || block.noRun !== null) continue;
    const file = /^\/\/ ([\w-]+\.ts)\b/.exec(block.code)?.[1];
    const last = modules.at(-1);
    if (file !== undefined) modules.push({ file, named: true, blocks: [block] });
    else if (last === undefined || last.named || block.code.startsWith('import '))
      modules.push({ file: `part-${modules.length + 1}.ts`, named: false, blocks: [block] });
    else last.blocks.push(block);
  }
  return modules;
}

/** What differs from run to run: ids, times, durations, ports, and the layout that follows from their width. A column may hold no duration at all. */
export const withoutChance = (text: string): string =>
  text
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, '<id>')
    .replace(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replace(/\b\d\d:\d\d:\d\d(\.\d+)?\b/g, '<time>')
    .replace(/\b1[6-9]\d{11}\b/g, '<time>')
    .replace(/ {2,}\d[\d.]* ?(ms|s|m|h)\b/g, ' ')
    .replace(/\b\d[\d.]* ?(ms|s|m|h)\b/g, '<duration>')
    .replace(/(127\.0\.0\.1|localhost):\d+/g, '<address>')
    .split('\n')
    .map((line) => line.replace(/ +/g, ' ').trimEnd())
    .join('\n')
    .trim();

/** Null when `printed` is what is `shown`; else what is missing. A shown line `…` stands for any number of lines. */
export function difference(shown: string, printed: string): string | null {
  const wanted = withoutChance(shown).split('\n');
  const lines = withoutChance(printed).split('\n');
  let at = 0;
  let open = false;
  for (const line of wanted) {
    if (line.trim() === '…') {
      open = true;
      continue;
    }
    const found = open ? lines.indexOf(line, at) : lines[at] === line ? at : -1;
    if (found < 0) return line;
    at = found + 1;
    open = false;
  }
  return open || at === lines.length ? null : `nothing more, but it prints: ${lines[at]}`;
}
