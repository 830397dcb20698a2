/**
 * A process that runs a plan of many batches and tells of each as its generator hears of it. Whoever started it kills it; the next one goes on.
 *
 *   node plan-process.ts <store file> <batches> <subtasks per batch>
 */
import { Tutti, defineResourceKind, defineTaskType } from '../../src/main.ts';

const [store, batches, size] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

const type = defineTaskType({
  name: 'Crash',
  startPlan: () => ({ state: { next: 0 }, inputsToProcess: batches * size }),
  nextBatch: (ctx) => {
    process.send?.({ kind: 'next', batch: ctx.batches });
    const { next } = ctx.state;
    if (next >= batches * size) return { kind: 'done' as const };
    return { kind: 'batch' as const, subtasks: Array.from({ length: size }, (_, i) => ({ input: next + i })), state: { next: next + size } };
  },
  onBatchFinished: async (ctx, batch) => {
    process.send?.({ kind: 'finish', batch: batch.sequence });
    const put = [];
    for await (const s of batch.subtasks)
      if (s.state === 'complete') put.push({ key: `done/${s.input}`, body: { batch: batch.sequence, result: s.result }, expect: null });
    return { state: ctx.state, changes: { put } };
  },
  onPlanEnd: (ctx) => ({ changes: { put: [{ key: `end/${ctx.planId}`, body: {}, expect: null }] } }),
  // Killed with its process it is lost, and tried again.
  retry: { maxAttempts: 100, backoff: 'none' },
  subtask: (ctx) => {
    process.send?.({ kind: 'subtask', n: ctx.input });
    return ctx.input * 2;
  },
});

const tutti = await Tutti.open({ store, slots: 4, taskTypes: [type], resourceKinds: [defineResourceKind({ name: 'crash' })], plans: { poll: '1s' } });
if ((await tutti.engine.resources.get('r')) === null) await tutti.engine.resources.create({ id: 'r', kind: 'crash', body: {} });
const [before] = await tutti.plans.list();
const plan = before === undefined ? await tutti.plans.run('Crash', 'r') : await tutti.plans.get(before.planId);
const view = await plan!.done();
const items = [];
for (let after: string | undefined; ; ) {
  const page = await tutti.engine.resources.items('r', { after, limit: 1000 });
  items.push(...page);
  if (page.length < 1000) break;
  after = page[page.length - 1].key;
}
const plans = (await tutti.plans.list()).length;
const tasks = (await tutti.list({ limit: 1, page: 1 })).total;
await tutti.close();
process.send?.({ kind: 'end', view, plans, tasks, items: items.map((i) => [i.key, i.version, i.body]) }, () => process.disconnect());
