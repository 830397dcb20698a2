/**
 * Names and sizes of source files, and two habits of tests: a narrowed test needs a reason, and a test waits on a signal, never on time.
 * A line that must break a habit says so beside it: `guard-ok: <reason>`.
 * Run as `node scripts/check-files.ts [root]`; warnings are printed, errors exit with 1.
 */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { scanSource } from './scan-source.ts';

export interface Finding {
  severity: 'error' | 'warning';
  file: string;
  line: number;
  message: string;
}

const FOLDERS = ['src', 'test', 'bench', 'examples', 'scripts'];
/** A file is named after what it exports; these names say nothing. */
const EMPTY_NAMES = new Set(['utils', 'util', 'helpers', 'helper', 'common', 'types', 'lib', 'misc', 'index', 'shared', 'stuff']);
const WARN_LINES = 400;
const MAX_LINES = 800;
/** Parts of file names that tools read: `x.test.ts`, `x.suite.ts`, `x.worker.ts`. */
const NAME = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z]+)*\.(?:ts|mjs)$/;

const HABITS: readonly { pattern: RegExp; message: string }[] = [
  { pattern: /(?<![\w$])(?:test|it|describe|suite)\s*\.\s*only\s*\(|\bonly\s*:\s*true\b/g, message: 'narrows the run to one test' },
  {
    pattern: /(?<![\w$])(?:test|it|describe|suite|t)\s*\.\s*(?:skip|todo)\s*\(\s*\)|\b(?:skip|todo)\s*:\s*true\b/g,
    message: 'skips without a reason: give the reason as a string',
  },
  { pattern: /(?<![\w$])(?:test|it|describe|suite)\s*\.\s*(?:skip|todo)\s*\(/g, message: 'skips without a reason: use { skip: reason }' },
  {
    pattern: /(?<![\w$.])sleep\s*\(|(?<![\w$.])await\s+setTimeout\s*\(|=>\s*(?:globalThis\.)?setTimeout\s*\(\s*(?:r|res|resolve|done)\b/g,
    message: 'waits for time to pass: wait for a signal instead',
  },
];

function checkName(file: string): string | undefined {
  const base = path.posix.basename(file);
  if (!NAME.test(base)) return 'is not named in kebab-case';
  if (EMPTY_NAMES.has(base.split('.')[0])) return 'has a name that says nothing: name it after what it exports';
  return undefined;
}

export function checkFiles(root: string): Finding[] {
  const findings: Finding[] = [];
  const files = globSync(
    FOLDERS.map((folder) => `${folder}/**/*.{ts,mjs}`),
    { cwd: root },
  ).map((f) => f.split(path.sep).join('/'));
  for (const file of files.sort()) {
    const report = (severity: Finding['severity'], line: number, message: string) => findings.push({ severity, file, line, message });
    const text = readFileSync(path.join(root, file), 'utf8');
    const nameProblem = checkName(file);
    if (nameProblem) report('error', 1, nameProblem);

    const lines = text.split('\n').length - 1;
    // A suite of cases is a list, not a mechanism: its length warns and never fails.
    if (lines > MAX_LINES && !file.startsWith('test/')) report('error', lines, `has ${lines} lines; ${MAX_LINES} is the limit`);
    else if (lines > WARN_LINES) report('warning', lines, `has ${lines} lines; past ${WARN_LINES} a file asks to be split`);

    if (!file.startsWith('test/') && !file.endsWith('.test.ts')) continue;
    const original = text.split('\n');
    const { code } = scanSource(text);
    for (const { pattern, message } of HABITS) {
      for (const match of code.matchAll(pattern)) {
        const line = code.slice(0, match.index).split('\n').length;
        const excuse = /guard-ok: \S+/;
        if (!excuse.test(original[line - 1]) && !excuse.test(original[line - 2] ?? '')) report('error', line, message);
      }
    }
  }
  return findings;
}

if (process.argv[1] === import.meta.filename) {
  const findings = checkFiles(process.argv[2] ?? path.resolve(import.meta.dirname, '..'));
  for (const f of findings) console.error(`${f.file}:${f.line}: ${f.severity}: ${f.message}`);
  const errors = findings.filter((f) => f.severity === 'error').length;
  console.log(`files: ${errors} errors, ${findings.length - errors} warnings`);
  process.exitCode = errors === 0 ? 0 : 1;
}
