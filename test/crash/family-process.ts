/**
 * A process that dies by its own hand at a chosen place of a family's life, and a second one that goes on. Handlers note in a file of
 * their own what they do, so that the work done can be counted from outside.
 *
 *   node family-process.ts <store file> <log file> <life> <place>
 */
import { type ChildResult, type FinalizeContext, Tutti, type UntypedStepContext, template } from '../../src/main.ts';
import { LineLog, readLines } from './execution-log.ts';

const [store, path, life, place] = [process.argv[2], process.argv[3], Number(process.argv[4]), process.argv[5]];
const log = new LineLog(path);
const PARTS = place === 'spawn' ? 2_000 : 3;

/** Dies here, in the first life, if this is the place. */
function perhapsDie(here: string): void {
  if (life !== 1 || place !== here) return;
  log.write('kill', here);
  process.kill(process.pid, 'SIGKILL');
}

/** Asked for one by one, so that the process can die after some of the messages were stored. */
function* parts(): Generator<{ handler: string; inputs: { i: number }; key: string; retry: { maxAttempts: number; backoff: 'none' } }> {
  for (let i = 0; i < PARTS; i++) {
    if (i === 1_100) perhapsDie('spawn');
    yield { handler: 'part', inputs: { i }, key: `part-${i}`, retry: { maxAttempts: 3, backoff: 'none' } };
  }
}

let running = 0;
let tellUndone = (): void => undefined;
const allUndone = new Promise<void>((resolve) => (tellUndone = resolve));
function undone(what: string | number): void {
  log.write('undone', life, what);
  if (new Set(readLines(path).flatMap((l) => (l[0] === 'undone' ? [l[2]] : []))).size > PARTS) tellUndone();
}
const tutti: Tutti = await Tutti.open({
  store,
  slots: place === 'gap' ? 1 : 8,
  retention: false,
  templates: [
    template('crash/upload@1.0.0').step('upload', { handler: 'upload', retry: { maxAttempts: 3, backoff: 'none' } }),
    template('crash/blocker@1.0.0').step('block', { handler: 'block' }),
  ],
  handlers: {
    upload: {
      call: async (ctx: UntypedStepContext) => {
        log.write('run', life, ctx.attempt);
        const refs = await ctx.spawnAll(parts());
        log.write('spawned', life, refs.length);
        return { plan: refs.length };
      },
      finalize: async (ctx: FinalizeContext, children: AsyncIterable<ChildResult>) => {
        log.write('finalize', life, ctx.attempt, JSON.stringify(ctx.own));
        perhapsDie('finalize');
        let sum = 0;
        for await (const c of children) if (c.state === 'complete') sum += (c.value as { i: number }).i;
        return { sum };
      },
      onAbort: (ctx: UntypedStepContext) => {
        log.write('abort', life, 'upload', ctx.attempt);
        undone('upload');
      },
    },
    part: {
      call: async (ctx: UntypedStepContext) => {
        const { i } = ctx.inputs as { i: number };
        log.write('part', life, i, ctx.attempt);
        running++;
        if (place === 'abort') {
          if (life === 1 && running === PARTS) process.send?.({ running });
          await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
        }
        // The one slot goes to what is more urgent than the finalizer.
        if (place === 'gap' && life === 1 && running === PARTS) await tutti.submit('crash/blocker@1.0.0', {}, { priority: 0 });
        return { i };
      },
      onAbort: async (ctx: UntypedStepContext) => {
        const { i } = ctx.inputs as { i: number };
        log.write('abort', life, i, ctx.attempt);
        if (i === 1) perhapsDie('abort');
        undone(i);
      },
    },
    block: () => perhapsDie('gap'),
  },
});

process.on('message', (m) => {
  if (m === 'cancel') void tutti.list({ states: ['steps_in_process', 'waiting_for_dependencies'] }).then(({ tasks }) => tutti.cancel(tasks[0].id));
});

if (life === 1) await tutti.submit('crash/upload@1.0.0', {});
else {
  const [unfinished] = (await tutti.list()).tasks.filter((t) => t.name === 'upload');
  await tutti.engine.done(unfinished.id);
  // The hooks of a task that has ended tell nobody when they return.
  if (place === 'abort') await allUndone;
  const { tasks } = await tutti.list();
  const upload = tasks.find((t) => t.name === 'upload')!;
  const steps = await tutti.engine.steps(upload.id, { results: true });
  process.send?.({
    state: upload.state,
    repairs: tutti.engine.metrics().reconcilerRepairs,
    result: upload.state === 'complete' ? await tutti.engine.result(upload.id) : null,
    steps: steps.map((s) => [s.name, s.state, s.attempts]),
  });
  await tutti.close();
  process.disconnect?.();
}
