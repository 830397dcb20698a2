/**
 * `npm test [-- filter…]`: runs every test file of test/ and src/ with node:test and prints what Node prints.
 * A filter is a part of a path. `--soak` lengthens what can be lengthened (tests read TUTTI_SOAK); `--name <pattern>` picks tests by name.
 * Exits with 1 when a test failed or when none ran: a run of nothing is no proof of anything.
 */
import { globSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { parseArgs } from 'node:util';

/** What this script reads of the runner's events. */
interface RunEvent {
  type: string;
  data: {
    name?: string;
    file?: string;
    nesting?: number;
    message?: string;
    duration_ms?: number;
    skip?: string | boolean;
    todo?: string | boolean;
    details?: { type?: string };
  };
}

const root = path.resolve(import.meta.dirname, '..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { soak: { type: 'boolean', default: false }, name: { type: 'string' }, concurrency: { type: 'string' } },
});
if (values.soak) process.env.TUTTI_SOAK = '1';

/** Longest time one file may take before it counts as hung. */
const FILE_LIMIT_MS = values.soak ? 60 * 60_000 : 150_000;
/** Two by default: crash tests and floors measured in tests want a core to themselves more than they want company. */
const CONCURRENCY = Number(values.concurrency ?? 2);

const counts = { ran: 0, failed: 0 };
const skips: string[] = [];
const durations: [ms: number, file: string][] = [];

function closingNotes(): string {
  const slowest = durations.sort((a, b) => b[0] - a[0]).slice(0, 5);
  const lines = ['', 'slowest files:', ...slowest.map(([ms, file]) => `  ${(ms / 1000).toFixed(1)} s  ${file}`)];
  if (skips.length > 0) lines.push('skipped, and why:', ...skips);
  return `${lines.join('\n')}\n`;
}

/** Counts what passes by and, just before Node's closing lines, lists the skipped tests with their reasons. */
async function* withSkips(events: AsyncIterable<RunEvent>): AsyncGenerator<RunEvent> {
  let listed = false;
  for await (const event of events) {
    const { type, data } = event;
    if (type === 'test:pass' || type === 'test:fail') {
      const isSuite = data.details?.type === 'suite';
      // A file without tests is reported as one passing test that bears the file's name.
      const isFile = data.name === data.file;
      if (data.skip !== undefined || data.todo !== undefined) {
        const reason = data.skip ?? data.todo;
        skips.push(`  ${path.relative(root, data.file ?? '')}: ${data.name}: ${typeof reason === 'string' && reason ? reason : 'no reason given'}`);
      } else if (type === 'test:fail') counts.failed++;
      else if (!isSuite && !isFile) counts.ran++;
    }
    if (type === 'test:diagnostic' && data.nesting === 0 && /^tests \d+$/.test(data.message ?? '') && !listed) {
      listed = true;
      yield { type: 'test:stdout', data: { message: closingNotes() } };
    }
    if (type === 'test:summary' && data.file !== undefined) durations.push([data.duration_ms ?? 0, path.relative(root, data.file)]);
    yield event;
  }
}

const files = globSync(['test/**/*.test.ts', 'src/**/*.test.ts'], { cwd: root })
  .filter((file) => positionals.length === 0 || positionals.some((part) => path.resolve(file) === path.resolve(part) || file.includes(part)))
  .sort()
  .map((file) => path.join(root, file));

if (files.length === 0) {
  console.error(positionals.length > 0 ? `no test file matches ${positionals.join(', ')}` : 'there are no test files');
  process.exitCode = 1;
} else {
  const events = run({
    files,
    cwd: root,
    concurrency: CONCURRENCY,
    timeout: FILE_LIMIT_MS,
    execArgv: ['--conditions=tutti-source', '--disable-warning=ExperimentalWarning'],
    ...(values.name === undefined ? {} : { testNamePatterns: [new RegExp(values.name)] }),
  });
  // The runner's events are typed one by one; here a few fields of all of them are enough.
  const output = Readable.from(withSkips(events as AsyncIterable<RunEvent>)).compose<NodeJS.ReadWriteStream>(new spec());
  for await (const chunk of output) process.stdout.write(chunk);
  if (counts.ran === 0) console.error('no test ran');
  if (counts.ran === 0 || counts.failed > 0) process.exitCode = 1;
}
