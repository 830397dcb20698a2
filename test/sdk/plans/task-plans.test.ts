/** Task types and plans through `Tutti.open`, on the real engine. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  type AnyTaskType,
  defineResourceKind,
  defineTaskType,
  type ErrorCode,
  isTuttiError,
  type OpenOptions,
  PermanentError,
  Tutti,
} from '../../../src/main.ts';

const code =
  (wanted: ErrorCode, says = /./) =>
  (e: unknown) =>
    isTuttiError(e) && e.code === wanted && says.test(e.message);
const feed = defineResourceKind({ name: 'feed' });

/** Counts to `upTo`, three at a time. */
const counter = defineTaskType({
  name: 'Counter',
  aliases: ['Count'],
  inputUnit: 'numbers',
  startPlan: ({ properties }) => ({ state: { next: 0, upTo: Number(properties.upTo ?? 0) }, inputsToProcess: Number(properties.upTo ?? 0) }),
  nextBatch: ({ state: { next, upTo } }) =>
    next >= upTo
      ? { kind: 'done' }
      : { kind: 'batch', subtasks: Array.from({ length: Math.min(3, upTo - next) }, (_, i) => ({ input: next + i })), state: { next: next + 3, upTo } },
  subtask: ({ input }) => input * input,
  async onBatchFinished(_, batch) {
    const put = [];
    for await (const s of batch.subtasks) if (s.state === 'complete') put.push({ key: `square/${s.input}`, body: s.result, expect: null });
    return { changes: { put } };
  },
});

async function opened(t: TestContext, taskTypes: AnyTaskType[], more: Partial<OpenOptions> = {}): Promise<Tutti> {
  const tutti = await Tutti.open({ store: ':memory:', taskTypes, resourceKinds: [feed], tables: false, logger: () => undefined, ...more });
  t.after(() => tutti.close({ drain: 0 }));
  if ((await tutti.resources.get('numbers')) === null) await tutti.resources.create({ id: 'numbers', kind: 'feed', body: null });
  return tutti;
}

/** A signal that a test gives. */
function gate(): { open: () => void; opened: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { open: resolve, opened: promise };
}

test('a plan runs to its end; inputs are any JSON, results become items, settings become texts', async (t) => {
  const tutti = await opened(t, [counter]);
  const plan = await tutti.plans.run(counter, 'numbers', { upTo: 7, deep: true }, { triggeredBy: 'ann' });
  const end = await plan!.done();
  assert.equal(plan!.id, end.planId);
  assert.match(end.planId, /^numbers__Counter__[0-9a-f-]{36}$/);
  assert.deepEqual([end.status, end.triggeredBy, end.inputUnit, end.inputsProcessed], ['COMPLETED', 'ann', 'numbers', 7]);
  assert.deepEqual([end.properties.upTo, end.properties.deep], ['7', 'true']);
  assert.deepEqual(
    end.batches.map((b) => b.subtasks.complete),
    [3, 3, 1],
  );
  const items = await tutti.resources.items('numbers');
  assert.deepEqual(
    items.map((i) => i.body),
    [0, 1, 4, 9, 16, 25, 36],
  );
  assert.equal((await (await tutti.plans.get(end.planId)).view()).status, 'COMPLETED');
  assert.deepEqual(
    (await tutti.plans.list({ type: counter, resource: 'numbers' })).map((p) => p.planId),
    [end.planId],
  );
  assert.deepEqual(await tutti.plans.active(), []);
  assert.equal(tutti.plans.types().filter((x) => x.name === 'Counter').length, 1);
});

test('by alias it is the same type; where there is nothing to do there is no plan', async (t) => {
  const tutti = await opened(t, [counter]);
  assert.equal(await tutti.plans.run('Count', 'numbers'), null);
  assert.deepEqual(await tutti.plans.list(), []);
  const plan = await tutti.plans.run('Count', 'numbers', { upTo: 1 });
  assert.equal((await plan!.done()).taskType, 'Counter');
});

test('a run without a plan is one batch, as a task', async (t) => {
  const tutti = await opened(t, [counter]);
  const id = await tutti.plans.runOnce(counter, 'numbers', { upTo: 7 });
  assert.equal((await (await tutti.get(id!)).done()).state, 'complete');
  assert.equal(await tutti.plans.runOnce(counter, 'numbers', { upTo: 0 }), null);
  assert.deepEqual(await tutti.plans.list(), []);
});

test('while a plan is live a second one is refused; aborted, it lets its batch end and is CANCELLED', async (t) => {
  const go = gate();
  const began = gate();
  const slow = defineTaskType({
    name: 'Slow',
    nextBatch: () => ({ kind: 'batch', subtasks: [{ input: null }] }),
    subtask: async () => {
      began.open();
      await go.opened;
      return 1;
    },
  });
  const tutti = await opened(t, [slow]);
  const plan = await tutti.plans.run(slow, 'numbers');
  await began.opened;
  await assert.rejects(tutti.plans.run(slow, 'numbers'), code('PLAN_ACTIVE', new RegExp(plan!.id)));
  assert.equal((await tutti.plans.active({ type: 'Slow' }))[0].planId, plan!.id);
  assert.equal((await plan!.abort({ by: 'ann', reason: 'enough' })).status, 'ABORTING');
  go.open();
  const end = await plan!.done();
  assert.deepEqual([end.status, end.inputsProcessed, end.batches.length], ['CANCELLED', 1, 1]);
  await assert.rejects(plan!.abort(), code('ILLEGAL_STATE'));
});

test('what is asked wrongly is refused, and nothing begins', async (t) => {
  const single = { ...counter, name: 'Single', aliases: [], supportsOrchestration: false };
  const only = { ...counter, name: 'Only', aliases: [], orchestratedOnly: true };
  const halves = defineResourceKind({
    name: 'halves',
    exists: (id) => id.startsWith('trips_'),
    expand: (name) => (name === 'trips' ? ['trips_OFFLINE', 'trips_REALTIME'] : []),
  });
  const strict: AnyTaskType = { ...counter, name: 'Strict', aliases: [], validate: ({ upTo }) => (upTo === undefined ? ['upTo is missing'] : []) };
  const tutti = await opened(t, [counter, single, only, strict], { resourceKinds: [feed, halves] });
  await assert.rejects(tutti.plans.run('Counterr', 'numbers'), code('NOT_FOUND', /Counterr/));
  await assert.rejects(tutti.plans.run(counter, 'nothing'), code('NOT_FOUND', /nothing/));
  await assert.rejects(tutti.plans.run(counter, 'trips', { upTo: 3 }), code('INVALID_INPUT', /"trips" stands for trips_OFFLINE, trips_REALTIME/));
  await assert.rejects(
    tutti.plans.run(counter, 'numbers', { upTo: Number.NaN }),
    code('INVALID_INPUT', /settings\.upTo must be text, a number, true or false, not NaN/),
  );
  await assert.rejects(tutti.plans.run(strict, 'numbers'), code('INVALID_INPUT', /upTo is missing/));
  await assert.rejects(tutti.plans.run(single, 'numbers', { upTo: 3 }), code('ILLEGAL_STATE', /Single runs in single batches/));
  await assert.rejects(tutti.plans.runOnce(only, 'numbers', { upTo: 3 }), code('ORCHESTRATED_ONLY'));
  await assert.rejects(tutti.plans.get('numbers__Counter__x'), code('NOT_FOUND'));
  await tutti.engine.plans.stopQueue('Counter');
  await assert.rejects(tutti.plans.run(counter, 'numbers', { upTo: 3 }), code('ILLEGAL_STATE', /no batch of Counter can begin now/));
  assert.deepEqual(await tutti.plans.list(), []);
});

test('with plans switched off none begins, and a batch of its own still may', async (t) => {
  const tutti = await opened(t, [counter], { plans: { enabled: false } });
  await assert.rejects(tutti.plans.run(counter, 'numbers', { upTo: 3 }), code('ILLEGAL_STATE', /switched off/));
  assert.notEqual(await tutti.plans.runOnce(counter, 'numbers', { upTo: 3 }), null);
});

test('a PermanentError of a generator ends the plan with its message; so does an abort', async (t) => {
  const batch = { kind: 'batch', subtasks: [{ input: 1 }] } as const;
  const refuses: AnyTaskType = {
    name: 'Refuses',
    nextBatch: ({ batches }) => {
      if (batches === 0) return batch;
      throw new PermanentError('the account is closed');
    },
    subtask: () => 1,
  };
  const aborts: AnyTaskType = {
    name: 'Aborts',
    nextBatch: ({ batches }) => (batches === 0 ? batch : { kind: 'abort', reason: 'out of quota' }),
    subtask: () => 1,
  };
  const tutti = await opened(t, [refuses, aborts]);
  for (const [type, says] of [
    [refuses, /the account is closed/],
    [aborts, /out of quota/],
  ] as const) {
    const end = await (await tutti.plans.run(type, 'numbers'))!.done();
    assert.equal(end.status, 'FAILED');
    assert.match(end.statusMessage, says);
  }
});

test('an answer that cannot be used is told with its path, and made again once the code is mended', async (t) => {
  const told = gate();
  const lines: string[] = [];
  const broken: AnyTaskType = {
    name: 'Mended',
    nextBatch: ({ batches }) => ({ kind: 'batch', subtasks: [{ input: batches === 0 ? 1 : 1n }] }),
    subtask: () => 1,
  };
  const tutti = await opened(t, [broken], {
    plans: { poll: 20 },
    logger: (_, message) => {
      lines.push(message);
      if (message.startsWith('nextBatch')) told.open();
    },
  });
  const plan = await tutti.plans.run(broken, 'numbers');
  await told.opened;
  assert.ok(lines.includes('nextBatch of Mended failed'));
  tutti.plans.register({ ...broken, nextBatch: () => ({ kind: 'done', message: 'mended' }) }, { replace: true });
  await tutti.engine.plans.poll();
  const end = await plan!.done();
  assert.deepEqual([end.status, end.statusMessage], ['COMPLETED', 'mended']);
});

test('a failed subtask is tried as often as the type says, with its time limit', async (t) => {
  let tries = 0;
  const type = defineTaskType({
    name: 'Twice',
    retry: { maxAttempts: 2, backoff: 'none', baseMs: 0 },
    timeout: '30s',
    nextBatch: ({ batches }) => (batches > 0 ? { kind: 'done' } : { kind: 'batch', subtasks: [{ name: 'the only one', input: { a: 1 } }] }),
    subtask: ({ maxAttempts, deadline, stepName }) => {
      tries++;
      if (tries === 1) throw new Error('not yet');
      return { maxAttempts, timed: deadline !== null, stepName };
    },
    async onBatchFinished(_, batch) {
      for await (const s of batch.subtasks) return { customStats: { result: JSON.stringify(s) } };
      return undefined;
    },
  });
  const tutti = await opened(t, [type]);
  const end = await (await tutti.plans.run(type, 'numbers'))!.done();
  assert.deepEqual(JSON.parse(end.customStats!.result), {
    name: 'the only one',
    input: { a: 1 },
    units: 1,
    state: 'complete',
    result: { maxAttempts: 2, timed: true, stepName: 'the only one' },
  });
});

test('a plan goes on in the next process, once the task type is there again', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tutti-plans-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const store = join(folder, 'tutti.db');
  const began = gate();
  const stuck = {
    ...counter,
    subtask: ({ signal }: { signal: AbortSignal }) => (
      began.open(), new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    ),
  };
  const first = await opened(t, [stuck], { store });
  const plan = await first.plans.run('Counter', 'numbers', { upTo: 5 });
  await began.opened;
  await first.close({ drain: 0 });
  const second = await opened(t, [], { store });
  assert.equal((await second.plans.get(plan!.id).then((p) => p.view())).status, 'ACTIVE');
  second.plans.register({ ...counter, failurePolicy: { maxFailedBatches: 3 } });
  const end = await (await second.plans.get(plan!.id)).done();
  assert.equal(end.status, 'COMPLETED');
  assert.equal(end.batches.length, 2);
});

test('mistakes in task types and kinds come before the store is opened', async () => {
  const open = (o: Partial<OpenOptions>): Promise<Tutti> => Tutti.open({ store: '/dev/null/no/tutti.db', ...o });
  await assert.rejects(open({ taskTypes: [{ ...counter, name: 'A_B' }] }), code('INVALID_INPUT', /task type "A_B": name/));
  await assert.rejects(open({ taskTypes: [counter, counter] }), code('INVALID_INPUT', /"Counter" is a name of another task type/));
  await assert.rejects(open({ resourceKinds: [feed, { name: 'feed' }] }), code('INVALID_INPUT', /resource kind "feed": name is that of another one/));
  await assert.rejects(open({ taskType: [counter] } as never), code('INVALID_INPUT', /did you mean taskTypes\?/));
});
