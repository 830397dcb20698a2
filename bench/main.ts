/** `npm run bench`: every line of the performance budget, each measured in processes of its own beside its floor. */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { carryOut, type Facts, stopMeasuring } from './order.ts';
import { type Options, parseOptions, USAGE, UsageError } from './options.ts';
import { processorTimes, strangersShare } from './process-share.ts';
import { figure, jsonLine, type JudgedLine, linesOf, table } from './report.ts';
import type { Numbers, Workload } from './workload.ts';
import { WORKLOADS } from './workloads.ts';

const DEFAULT_SLOTS = 50;
const BRACKETED_SLOTS = 500;

interface Outcome {
  lines: JudgedLine[];
  facts: { slots: number; facts: Facts }[];
  failures: string[];
}

async function run(options: Options, root: string): Promise<number> {
  const chosen = WORKLOADS.filter((workload) => options.only?.includes(workload.name) ?? true);
  const started = performance.now();
  const before = processorTimes();
  // The first lines go to stderr in both forms: with --json stdout carries objects only.
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const show = (text: string): void => void (options.json || process.stdout.write(`${text}\n`));
  show(conditions());

  const all: JudgedLine[] = [];
  let failed = 0;
  const stores = new Map<string, string>();
  for (const workload of chosen) {
    const share = processorTimes();
    const outcome = await measure(workload, options, root, say);
    const others = strangersShare(share, processorTimes());
    for (const { slots, facts } of outcome.facts) {
      if (facts.store !== undefined) stores.set('store', facts.store);
      if (facts.flushes !== undefined) stores.set(`${workload.name}/${slots}`, `${figure(facts.flushes)} fsyncs`);
    }
    for (const failure of outcome.failures) say(`FAILED ${workload.name}: ${failure}`);
    failed += outcome.failures.length;
    all.push(...outcome.lines);
    if (options.json) for (const line of outcome.lines) process.stdout.write(`${jsonLine(line)}\n`);
    if (others !== null && others > 0.1) say(`${workload.name}: others used ${Math.round(others * 100)} % of the machine meanwhile`);
  }

  const missed = all.filter((line) => line.met === false);
  const others = strangersShare(before, processorTimes());
  show('');
  show(table(all));
  show('');
  show(`store     ${stores.get('store') ?? 'unknown'}`);
  stores.delete('store');
  show(`flushes   ${[...stores].map(([name, count]) => `${name} ${count}`).join(', ') || 'not reported'}`);
  show(
    `took      ${Math.round((performance.now() - started) / 1000)} s; load average now ${loads()}${others === null ? '' : `; others used ${Math.round(others * 100)} % of the machine`}`,
  );
  show(
    `verdict   ${all.filter((line) => line.met === true).length} of ${all.filter((line) => line.met !== null).length} budgets met${missed.length === 0 ? '' : `, missed: ${missed.map((line) => `${line.workload}/${line.slots} ${line.metric}`).join(', ')}`}`,
  );
  if (failed > 0) show(`${failed} measurement${failed === 1 ? '' : 's'} failed or gave a wrong result`);
  return failed > 0 || (options.strict && missed.length > 0) ? 1 : 0;
}

async function measure(workload: Workload, options: Options, root: string, say: (text: string) => void): Promise<Outcome> {
  const slotCounts = options.slots !== null ? [options.slots] : workload.slots === 'every' ? [DEFAULT_SLOTS, BRACKETED_SLOTS] : [DEFAULT_SLOTS];
  const repetitions = options.repetitions ?? workload.repetitions[options.size];
  const floors: Numbers[] = [];
  const samples = new Map<number, Numbers[]>(slotCounts.map((slots) => [slots, []]));
  const outcome: Outcome = { lines: [], facts: [], failures: [] };
  const settings = { root, limitSeconds: workload.limit, profile: options.profile };
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    say(`${workload.name} ${repetition}/${repetitions}`);
    if (workload.floor !== undefined) {
      const answer = await carryOut({ kind: 'floor', name: workload.floor, size: options.size, slots: 0 }, settings);
      if ('error' in answer) outcome.failures.push(`floor ${workload.floor}: ${answer.error}`);
      else floors.push(answer.numbers);
    }
    for (const slots of slotCounts) {
      const answer = await carryOut({ kind: 'workload', name: workload.name, size: options.size, slots }, { ...settings, nodeFlags: workload.nodeFlags });
      if ('error' in answer) outcome.failures.push(`${slots} slots: ${answer.error}`);
      else {
        samples.get(slots)?.push(answer.numbers);
        if (repetition === 1) outcome.facts.push({ slots, facts: answer.facts });
      }
    }
    // A second attempt at what fails costs minutes and tells nothing new.
    if (outcome.failures.length > 0) break;
  }
  for (const [slots, numbers] of samples) outcome.lines.push(...linesOf(workload, slots, numbers, floors));
  return outcome;
}

const loads = (): string =>
  loadavg()
    .map((load) => load.toFixed(2))
    .join(' ');

function conditions(): string {
  const sqlite = process.versions['sqlite'];
  return [
    `machine   ${availableParallelism()} x ${cpus()[0]?.model ?? 'unknown processor'}, ${process.platform} ${release()}; load average ${loads()}`,
    `software  Node ${process.versions.node}, SQLite ${sqlite ?? 'unknown'}; payloads 200 bytes; durable commits (WAL, synchronous=FULL)`,
  ].join('\n');
}

async function main(): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(
      process.argv.slice(2),
      WORKLOADS.map((workload) => workload.name),
    );
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}\n`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(`${USAGE}\n\nWorkloads:\n${WORKLOADS.map((w) => `  ${w.name.padEnd(12)} ${w.about}`).join('\n')}\n`);
    return 0;
  }
  const root = mkdtempSync(join(options.dir, 'tutti-bench-'));
  const tidy = (): void => rmSync(root, { recursive: true, force: true });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      stopMeasuring();
      tidy();
      process.exit(130);
    });
  }
  try {
    return await run(options, root);
  } finally {
    tidy();
  }
}

process.exitCode = await main();
