/**
 * reports/index_folder@1.0.0: list → hash ∥ measure ∥ classify → report. Reads a real folder and writes report.md with tables.
 *
 * The folder defaults to this project. Links are named and not followed, files that cannot be read are named and left out,
 * and everything is sorted: the same folder gives the same report.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, writeFile } from 'node:fs/promises';
import { basename, extname, join, resolve, sep } from 'node:path';
import { PermanentError, template } from 'tutti';
import { z } from 'zod';

const PROJECT = resolve(import.meta.dirname, '..');
/** Reports land here, whatever the caller asks: a task comes from outside and must not choose what to overwrite. */
const OUTPUT = resolve('.tutti');
const SKIPPED_FOLDERS = new Set(['.git', '.tutti', 'node_modules', 'dist']);
/** Paths are a step's result, and the report takes four of those: together they stay below 1 MiB of JSON. */
const MAX_LIST_BYTES = 500_000;

const input = z.object({
  folder: z.string().min(1).default('.').describe('Folder to read; relative to the project'),
  report: z
    .string()
    .regex(/^[\w-][\w.-]{0,99}\.md$/)
    .default('report.md')
    .describe('Name of the report, written to .tutti'),
  max_files: z.int().min(1).max(5000).default(5000).describe('Files after which the list is cut, and says so'),
});

const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const fraction = (done: number, all: number): number => (all === 0 ? 1 : done / all);
const reasonOf = (e: unknown): string => (e as NodeJS.ErrnoException).code ?? (e as Error).message;

/** Calls `visit` with the bytes of each file, in order; gives null for one that cannot be read. Memory stays at one chunk. */
const readAll = async <T>(
  root: string,
  files: readonly string[],
  o: { signal: AbortSignal; progress: (fraction: number, message?: string) => void },
  make: () => { chunk: (bytes: Buffer) => void; end: () => T },
): Promise<(T | null)[]> => {
  const out: (T | null)[] = [];
  const buffer = Buffer.allocUnsafe(256 * 1024);
  for (const [i, file] of files.entries()) {
    o.signal.throwIfAborted();
    try {
      const handle = await open(join(root, file), 'r');
      try {
        const reader = make();
        for (;;) {
          const { bytesRead } = await handle.read(buffer, 0, buffer.length);
          if (bytesRead === 0) break;
          reader.chunk(buffer.subarray(0, bytesRead));
          o.signal.throwIfAborted();
        }
        out.push(reader.end());
      } finally {
        await handle.close();
      }
    } catch (e) {
      // Gone, locked or not ours to read: the report names it. A stop is no such thing.
      o.signal.throwIfAborted();
      if ((e as NodeJS.ErrnoException).code === undefined) throw e;
      out.push(null);
    }
    if (i % 25 === 24) o.progress(fraction(i + 1, files.length), `${i + 1} of ${files.length} files`);
  }
  return out;
};

const KINDS: Readonly<Record<string, string>> = {
  '.ts': 'TypeScript',
  '.mts': 'TypeScript',
  '.tsx': 'TypeScript',
  '.js': 'JavaScript',
  '.mjs': 'JavaScript',
  '.cjs': 'JavaScript',
  '.jsx': 'JavaScript',
  '.json': 'JSON',
  '.yaml': 'YAML',
  '.yml': 'YAML',
  '.toml': 'TOML',
  '.md': 'Markdown',
  '.txt': 'Text',
  '.sql': 'SQL',
  '.sh': 'Shell',
  '.py': 'Python',
  '.rs': 'Rust',
  '.go': 'Go',
  '.java': 'Java',
  '.c': 'C',
  '.h': 'C',
  '.cpp': 'C++',
  '.html': 'HTML',
  '.css': 'CSS',
  '.svg': 'SVG',
  '.xml': 'XML',
  '.png': 'Image',
  '.jpg': 'Image',
  '.jpeg': 'Image',
  '.gif': 'Image',
  '.webp': 'Image',
  '.pdf': 'PDF',
  '.zip': 'Archive',
  '.gz': 'Archive',
  '.tgz': 'Archive',
  '.lock': 'Lock file',
  '.csv': 'CSV',
  '.jsonl': 'JSON',
  '.proto': 'Protocol Buffers',
};
/** By what the file begins with, where the name says nothing. */
const kindOfBytes = (head: Buffer): string => {
  const text = head.toString('latin1');
  if (text.startsWith('#!')) return 'Script';
  if (text.startsWith('\x7fELF') || text.startsWith('MZ')) return 'Program';
  if (text.startsWith('\x89PNG') || text.startsWith('\xff\xd8\xff') || text.startsWith('GIF8')) return 'Image';
  if (text.startsWith('%PDF')) return 'PDF';
  if (text.startsWith('SQLite format 3')) return 'Database';
  return head.length === 0 ? 'Empty' : head.includes(0) ? 'Binary' : 'Text';
};

const number = (n: number): string => n.toLocaleString('en-US');
const cell = (text: string): string =>
  text
    .replaceAll('\\', '\\\\')
    .replaceAll('|', '\\|')
    .replaceAll('`', '\\`')
    .replace(/[\r\n]/g, '␤');
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] => [
  `| ${head.join(' | ')} |`,
  `| ${head.map((_, i) => (i > 0 && rows.every((r) => typeof r[i] === 'number') ? '---:' : '---')).join(' | ')} |`,
  ...rows.map((r) => `| ${r.map((c) => (typeof c === 'number' ? number(c) : cell(c))).join(' | ')} |`),
  '',
];

export const indexFolder = template('reports/index_folder@1.0.0', {
  description: 'Reads a folder and writes a report of what is in it.',
  input,
})
  .step('list', { timeout: '60s' }, async ({ input, signal }) => {
    const root = resolve(PROJECT, input.folder);
    const files: string[] = [];
    const links: string[] = [];
    const unreadable: string[] = [];
    let cut = false;
    let listed = 0;
    const open: string[] = [''];
    while (open.length > 0 && !cut) {
      signal.throwIfAborted();
      const folder = open.pop() as string;
      let entries: import('node:fs').Dirent[];
      try {
        entries = await readdir(join(root, folder), { withFileTypes: true });
      } catch (e) {
        if (folder === '') throw new PermanentError(`${input.folder} cannot be read as a folder: ${reasonOf(e)}`);
        unreadable.push(`${folder} (${reasonOf(e)})`);
        continue;
      }
      for (const entry of entries.sort((a, b) => byName(a.name, b.name))) {
        const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
        if (entry.isSymbolicLink()) links.push(path);
        else if (entry.isDirectory()) {
          if (!SKIPPED_FOLDERS.has(entry.name)) open.push(path);
        } else if (entry.isFile()) {
          listed += Buffer.byteLength(path) + 3;
          if (files.length >= input.max_files || listed > MAX_LIST_BYTES) {
            cut = true;
            break;
          }
          files.push(path);
        }
      }
    }
    return {
      name: basename(root),
      root,
      files: files.sort(byName),
      links: links.sort(byName).slice(0, 500),
      unreadable: unreadable.sort(byName).slice(0, 500),
      cut,
    };
  })
  .step('hash', { after: ['list'], timeout: '5m' }, async ({ results, signal, progress }) => {
    const { root, files } = results.list;
    return readAll(root, files, { signal, progress }, () => {
      const hash = createHash('sha256');
      return { chunk: (bytes) => void hash.update(bytes), end: () => hash.digest('hex').slice(0, 32) };
    });
  })
  .step('measure', { after: ['list'], timeout: '5m' }, async ({ results, signal, progress }) => {
    const { root, files } = results.list;
    // Lines are counted in text only: -1 marks a binary file, by a zero byte anywhere in it.
    return readAll(root, files, { signal, progress }, () => {
      let bytes = 0;
      let lines = 0;
      let last = 10;
      let binary = false;
      return {
        chunk: (part) => {
          bytes += part.length;
          binary ||= part.includes(0);
          if (!binary) for (let at = part.indexOf(10); at >= 0; at = part.indexOf(10, at + 1)) lines++;
          last = part[part.length - 1];
        },
        end: (): [bytes: number, lines: number] => [bytes, binary ? -1 : lines + (last === 10 ? 0 : 1)],
      };
    });
  })
  .step('classify', { after: ['list'], timeout: '5m' }, async ({ results, signal, progress }) => {
    const { root, files } = results.list;
    const kinds: (string | null)[] = [];
    for (const [i, file] of files.entries()) {
      signal.throwIfAborted();
      const known = KINDS[extname(file).toLowerCase()];
      if (known !== undefined) {
        kinds.push(known);
        continue;
      }
      try {
        const handle = await open(join(root, file), 'r');
        try {
          const { bytesRead, buffer } = await handle.read(Buffer.alloc(512), 0, 512, 0);
          kinds.push(kindOfBytes(buffer.subarray(0, bytesRead)));
        } finally {
          await handle.close();
        }
      } catch {
        kinds.push(null);
      }
      if (i % 100 === 99) progress(fraction(i + 1, files.length));
    }
    return kinds;
  })
  .step('report', { after: ['list', 'hash', 'measure', 'classify'], timeout: '60s' }, async ({ input, results }) => {
    const { name, files, links, unreadable, cut } = results.list;
    const rows = files.map((path, i) => ({ path, hash: results.hash[i], size: results.measure[i], kind: results.classify[i] ?? 'Unreadable' }));
    const readable = rows.flatMap((r) => (r.size === null || r.hash === null ? [] : [{ ...r, bytes: r.size[0], lines: Math.max(0, r.size[1]), hash: r.hash }]));
    const failed = rows.filter((r) => r.size === null || r.hash === null).map((r) => r.path);

    const group = (key: (r: (typeof readable)[number]) => string) =>
      [...Map.groupBy(readable, key)]
        .map(([label, of]) => [label, of.length, sum(of.map((r) => r.lines)), sum(of.map((r) => r.bytes))] as const)
        .sort((a, b) => b[3] - a[3] || byName(a[0], b[0]));
    const twins = [
      ...Map.groupBy(
        readable.filter((r) => r.bytes > 0),
        (r) => r.hash,
      ),
    ]
      .filter(([, of]) => of.length > 1)
      .sort((a, b) => b[1][0].bytes * (b[1].length - 1) - a[1][0].bytes * (a[1].length - 1) || byName(a[1][0].path, b[1][0].path));
    const total = { files: readable.length, lines: sum(readable.map((r) => r.lines)), bytes: sum(readable.map((r) => r.bytes)) };

    const text = [
      `# ${cell(name)}`,
      '',
      `${number(total.files)} files, ${number(total.lines)} lines, ${number(total.bytes)} bytes.${cut ? ' The list was cut: there are more files.' : ''}`,
      '',
      '## By kind',
      '',
      ...table(
        ['Kind', 'Files', 'Lines', 'Bytes'],
        group((r) => r.kind),
      ),
      '## By folder',
      '',
      ...table(['Folder', 'Files', 'Lines', 'Bytes'], group((r) => (r.path.includes('/') ? r.path.slice(0, r.path.indexOf('/')) : '.')).slice(0, 30)),
      '## Largest files',
      '',
      ...table(
        ['File', 'Kind', 'Lines', 'Bytes', 'SHA-256 (first 12)'],
        [...readable]
          .sort((a, b) => b.bytes - a.bytes || byName(a.path, b.path))
          .slice(0, 15)
          .map((r) => [r.path, r.kind, r.lines, r.bytes, r.hash.slice(0, 12)]),
      ),
      ...(twins.length === 0
        ? []
        : [
            '## Same content',
            '',
            ...table(
              ['Files', 'Bytes each'],
              twins.slice(0, 20).map(([, of]) => [of.map((r) => r.path).join(', '), of[0].bytes]),
            ),
          ]),
      ...(links.length === 0 ? [] : ['## Links, not followed', '', ...links.map((l) => `- ${cell(l)}`), '']),
      ...(unreadable.length + failed.length === 0
        ? []
        : ['## Could not be read', '', ...[...unreadable, ...failed].sort(byName).map((u) => `- ${cell(u)}`), '']),
    ].join('\n');

    await mkdir(OUTPUT, { recursive: true });
    const path = join(OUTPUT, input.report);
    // Written beside and renamed: whoever looks sees the old report or the new one, and a second attempt does no harm.
    const beside = `${path}.${process.pid}.tmp`;
    await writeFile(beside, text);
    await rename(beside, path);
    return {
      report: path.split(sep).join('/'),
      ...total,
      kinds: group((r) => r.kind).length,
      unreadable: unreadable.length + failed.length,
      links: links.length,
    };
  });
