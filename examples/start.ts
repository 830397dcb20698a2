/**
 * `npm start`: a server on 127.0.0.1:8080 with the samples registered, two runs on real input, live progress; it stays up.
 * `npm run demo`: the same on a store of its own and, where the port is taken, on another port; exits 0 if every task completed.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { isTuttiError, type Served, serve, type TaskView } from 'tutti';
import { LiveRegion } from '../src/cli/live-region.ts';
import { drawStepTree, drawTaskLine } from '../src/cli/step-tree.ts';
import { duration, terminalOf } from '../src/cli/terminal.ts';
import { stepOfView, taskOfView } from '../src/cli/view-tree.ts';
import { loadConfig, terminalEnvironment } from '../src/config.ts';
import { airports } from './airports.ts';
import { indexFolder } from './index-folder.ts';
import { orderFulfillment } from './orders.ts';

const demo = process.argv.includes('--demo');
const out = terminalOf(process.stdout, terminalEnvironment().noColor);
const say = (text = ''): void => out.write(`${text}\n`);
const templates = [orderFulfillment, indexFolder];

const flag = (path: string, text: string) => ({ path, flag: demo ? '--demo' : 'npm start', text });
/** Quiet on the terminal that shows the trees, unless somebody asked for log lines. */
const configure = (more: { path: string; flag: string; text: string }[] = []) => {
  const asked = loadConfig();
  const quiet = asked.sources.get('orchestration.log.level')?.kind === 'default' ? [flag('orchestration.log.level', 'warn')] : [];
  return loadConfig({ flags: [...quiet, ...more] }).config;
};

const start = async (): Promise<Served> => {
  if (!demo) return serve(configure(), { templates });
  // What else runs on this machine, a server of ours included, must not fail the demo.
  const any = flag('orchestration.web.port', '0');
  const own = flag('orchestration.store.path', '.tutti/demo.db');
  const attempts = [[own], [own, any], [flag('orchestration.store.path', join(mkdtempSync(join(tmpdir(), 'tutti-demo-')), 'demo.db')), any]];
  for (const [i, flags] of attempts.entries()) {
    try {
      return await serve(configure(flags), { templates, dev: true });
    } catch (e) {
      const taken = isTuttiError(e) && (e.code === 'STORE_LOCKED' || e.field === 'orchestration.web.port');
      if (!taken || i === attempts.length - 1) throw e;
      say(`${(e as Error).message}; the demo takes another`);
    }
  }
  throw new Error('unreachable');
};

const fail = (e: unknown): never => {
  if (!isTuttiError(e)) throw e;
  process.stderr.write(`error: ${e.message}\n`);
  if (e.code === 'STORE_LOCKED') process.stderr.write('Is `npm start` running already? Then its address answers; TUTTI_STORE_PATH names another store.\n');
  if (e.code === 'TEMPLATE_CONFLICT')
    process.stderr.write('The samples have changed since this store was made: remove it, or name another with TUTTI_STORE_PATH.\n');
  process.exit(2);
};

const served = await start().catch(fail);
const { tutti } = served;

let stopping: Promise<void> | null = null;
const stop = (): Promise<void> => (stopping ??= served.stop());
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (stopping !== null) process.exit(130);
    const { used } = tutti.engine.metrics().slots;
    say(`\nstopping${used === 0 ? '' : `: ${used} running ${used === 1 ? 'handler has' : 'handlers have'} at most 30 s`}; Ctrl-C again stops at once`);
    stop().then(
      () => process.exit(demo ? 130 : 0),
      (e: unknown) => {
        process.stderr.write(`error: ${e instanceof Error ? e.message : String(e)}\n`);
        process.exit(1);
      },
    );
  });
}

/** Draws tasks until all have ended: trees in place on a terminal, else a line a step and the trees at the end. */
const follow = async (ids: readonly string[]): Promise<TaskView[]> => {
  const region = new LiveRegion(out);
  const draw = async (final: boolean): Promise<string[]> => {
    const lines: string[] = [];
    for (const id of ids) {
      const task = await tutti.engine.task(id);
      const o = { now: Date.now(), width: out.columns, paint: out.paint, maxLines: final ? undefined : Math.max(4, Math.floor((out.rows - 2) / ids.length)) };
      lines.push(
        ...(task.totalSteps > 1000 ? [drawTaskLine(taskOfView(task), o)] : drawStepTree(taskOfView(task), (await tutti.engine.steps(id)).map(stepOfView), o)),
        '',
      );
    }
    return lines;
  };
  let live = true;
  const redraw = (async () => {
    while (live && out.live) {
      region.draw(await draw(false));
      await new Promise((next) => setTimeout(next, 100));
    }
  })();
  const tell = async (id: string): Promise<void> => {
    const view = await tutti.engine.task(id);
    for await (const event of tutti.engine.events(id)) {
      const d = event.data as { step?: string; state?: string; attempt?: number; error?: { message: string } };
      const what =
        event.type === 'step.state'
          ? `${d.step}  ${d.state}${d.attempt ? `  attempt ${d.attempt}` : ''}${d.error ? `  ${d.error.message}` : ''}`
          : event.type === 'task.state'
            ? d.state
            : null;
      if (what) say(`${duration(event.at - view.createdAt).padStart(8)}  ${view.name}  ${what}`);
    }
  };
  await Promise.all(
    ids.map(async (id) => {
      if (!out.live) await tell(id);
      await tutti.engine.done(id);
    }),
  );
  live = false;
  await redraw;
  const last = await draw(true);
  if (out.live) region.draw(last);
  else say(`\n${last.join('\n')}`);
  region.keep();
  return Promise.all(ids.map((id) => tutti.engine.task(id)));
};

try {
  const unfinished =
    tutti.resumed === 0
      ? []
      : (
          await tutti.list({
            states: ['pending', 'initializing', 'enqueuing_steps', 'steps_in_process', 'evaluating_results', 'waiting_for_dependencies', 'waiting_for_retry'],
            limit: 5,
          })
        ).tasks;
  if (tutti.resumed > 0) say(`going on with ${tutti.resumed} unfinished ${tutti.resumed === 1 ? 'task' : 'tasks'} of the last run\n`);
  const orders = await tutti.submit(orderFulfillment, { gateway_hiccups: 1 }, { initiator: demo ? 'demo' : 'npm start', tags: ['sample'] });
  const report = await tutti.submit(indexFolder, {}, { initiator: demo ? 'demo' : 'npm start', tags: ['sample'] });
  const ended = await follow([...unfinished.map((t) => t.id).reverse(), orders.id, report.id]);
  say();
  const found = await airports(tutti, out);
  const good = found !== null && ended.every((t) => t.state === 'complete');

  const of = (id: string): boolean => ended.find((t) => t.id === id)?.state === 'complete';
  if (of(orders.id)) {
    const { ship_order: shipped } = await orders.result();
    say(`${shipped.parcels.length} orders shipped for ${shipped.taken}; the rest were refused or are out of stock`);
  }
  if (of(report.id)) {
    const { report: r } = await report.result();
    say(`${r.files} files, ${r.lines} lines: ${relative(process.cwd(), r.report) || r.report}`);
  }
  if (found !== null) {
    const [first] = found.rows;
    const left = found.rows.reduce((sum, row) => sum + Number(row[1]), 0);
    say(`${left} airports are left in ${found.rows.length} states; most of them, ${Number(first[1])}, in ${first[0] as string}`);
  }
  if (demo) {
    say(
      good
        ? 'every task and plan completed'
        : `did not complete: ${found === null ? 'a plan, ' : ''}${ended
            .filter((t) => t.state !== 'complete')
            .map((t) => `${t.name} (${t.state})`)
            .join(', ')}`,
    );
    await stop();
    process.exitCode = good ? 0 : 1;
  } else {
    if (served.url !== null) say(`\n  API   ${served.url}/v1/tasks\n  docs  ${served.url}/docs`);
    say('\nCtrl-C stops.');
  }
} catch (e) {
  // A stop in the middle of the runs ends what follows them; what was running goes on at the next start.
  if (stopping === null) {
    process.stderr.write(`error: ${e instanceof Error ? e.message : String(e)}\n`);
    await stop().catch(() => undefined);
    process.exitCode = 1;
  }
}
