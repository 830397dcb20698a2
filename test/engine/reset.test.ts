/** Reset through the engine: a task that has left memory, events and results across its first end, crashes and refused commits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_RETRY } from '../../src/core/definition.ts';
import { type FaultPlan, failingStore } from '../support/faulty-store.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { type Opened, graph, oneStep, openEngine, step } from './engine-setup.ts';

const once = { retry: { ...DEFAULT_RETRY, maxAttempts: 1 } };
const submit = { namespace: 't', input: {} };
const chain = graph('chain', [step('a', [], once), step('b', ['a'], once), step('c', ['b'], once), step('side', ['a'], once)]);

/** `b` fails while `broken.value`. */
function cook(e: Opened): { value: boolean; ran: string[] } {
  const broken = { value: true, ran: [] as string[] };
  for (const name of ['a', 'b', 'c', 'side']) {
    e.worker.handle(name, async (a) => {
      broken.ran.push(name);
      if (name === 'b' && broken.value) throw new Error('broken');
      return `"${name}${a.token}"`;
    });
  }
  return broken;
}

test('a failed task that has left memory runs again what failed and what depends on it', async () => {
  const e = await openEngine();
  await e.engine.register(chain);
  const broken = cook(e);
  const { id } = await e.engine.submit({ ...submit, name: 'chain' });
  assert.equal((await e.engine.done(id)).state, 'error');
  await assert.rejects(e.engine.result(id), { code: 'TASK_FAILED' });
  assert.deepEqual(
    (await e.engine.steps(id)).map((s) => [s.name, s.needsReexecution]),
    [
      ['a', false],
      ['b', true],
      ['c', true],
      ['side', false],
    ],
  );
  assert.equal(e.engine.metrics().cachedSteps, 0);
  broken.value = false;
  broken.ran.length = 0;
  const again = await e.engine.reset(id);
  assert.notEqual(again.state, 'error');
  assert.equal(again.completedAt, null);
  assert.equal(again.error, null);
  assert.deepEqual(await e.engine.result(id), { c: 'c1', side: 'side1' });
  assert.deepEqual(broken.ran, ['b', 'c']);
  const b = await e.engine.step(id, 'b');
  assert.deepEqual([b.error, b.result, b.attempts, b.needsReexecution], [null, 'b2', 1, false]);
  await e.close();
});

test('events go on in the same log, and a reader from the beginning sees both ends', async () => {
  const e = await openEngine();
  await e.engine.register(chain);
  const broken = cook(e);
  const { id } = await e.engine.submit({ ...submit, name: 'chain' });
  await e.engine.done(id);
  broken.value = false;
  await e.engine.reset(id, 'b');
  await e.engine.done(id);
  const seen: string[] = [];
  let seq = 0;
  for await (const ev of e.engine.events(id)) {
    assert.equal(ev.seq, ++seq);
    if (ev.type === 'task.state' && (ev.data.state === 'error' || ev.data.state === 'complete')) seen.push(ev.data.state);
    if (ev.type === 'step.reset') seen.push(`reset ${JSON.stringify([ev.data.step, ev.data.steps])}`);
  }
  assert.deepEqual(seen, ['error', 'reset ["b",2]', 'complete']);
  await e.close();
});

test('409 with the state and the legal verbs; nothing stays in memory for it', async () => {
  const e = await openEngine();
  await e.engine.register(chain);
  const broken = cook(e);
  broken.value = false;
  const { id } = await e.engine.submit({ ...submit, name: 'chain' });
  await e.engine.done(id);
  await assert.rejects(e.engine.reset(id), (x: { code: string; details: unknown }) => {
    assert.equal(x.code, 'ILLEGAL_STATE');
    assert.deepEqual(x.details, { state: 'complete', legal: ['purge', 'copy', 'link', 'archive'] });
    return true;
  });
  await assert.rejects(e.engine.reset(id, 'b'), { code: 'ILLEGAL_STATE' });
  await assert.rejects(e.engine.reset(id, 'nobody'), { code: 'NOT_FOUND' });
  assert.equal(e.engine.metrics().cachedSteps, 0);
  await e.close();
});

test('a second reset at the same time is refused or finds nothing to do, and the task runs once', async () => {
  const e = await openEngine();
  await e.engine.register(chain);
  const broken = cook(e);
  const { id } = await e.engine.submit({ ...submit, name: 'chain' });
  await e.engine.done(id);
  broken.value = false;
  broken.ran.length = 0;
  const both = await Promise.allSettled([e.engine.reset(id), e.engine.reset(id)]);
  assert.deepEqual(both.map((r) => r.status).sort(), ['fulfilled', 'rejected']);
  assert.equal((await e.engine.done(id)).state, 'complete');
  assert.deepEqual(broken.ran, ['b', 'c']);
  await e.close();
});

test('no attempt begins beside the handler of a cancelled step that has not returned', async () => {
  const e = await openEngine();
  await e.engine.register(graph('fast', [step('bad', [], once), step('slow', [], once)], { policy: 'fail_fast' }));
  const begun: number[] = [];
  const release: (() => void)[] = [];
  e.worker.handle('slow', (a) => {
    begun.push(a.token);
    return new Promise((go) => release.push(() => go('1')));
  });
  let fails = true;
  e.worker.handle('bad', async () => {
    await e.worker.arrived(2);
    if (fails) throw new Error('no');
    return '1';
  });
  const { id } = await e.engine.submit({ ...submit, name: 'fast' });
  assert.equal((await e.engine.done(id)).state, 'error');
  fails = false;
  await e.engine.reset(id);
  await e.worker.arrived(3);
  assert.deepEqual(begun, [1]);
  release[0]();
  await e.worker.arrived(4);
  assert.deepEqual(begun, [1, 2]);
  release[1]();
  assert.equal((await e.engine.done(id)).state, 'complete');
  await e.close();
});

test('a task that was reset goes on after a crash', async () => {
  const e = await openEngine();
  await e.engine.register(chain);
  cook(e);
  const { id } = await e.engine.submit({ ...submit, name: 'chain' });
  await e.engine.done(id);
  // Nobody is there to run it before the crash.
  e.worker.session.close();
  const reset = await e.engine.reset(id);
  assert.equal(reset.state, 'steps_in_process');
  const again = await e.reopen({});
  const broken = cook(again);
  broken.value = false;
  assert.equal((await again.engine.done(id)).state, 'complete');
  assert.deepEqual(broken.ran, ['b', 'c']);
  await again.close();
});

for (const fate of ['refused', 'lost', 'applied', 'busy'] as const) {
  test(`a reset whose commit is ${fate} happens once`, async () => {
    const inner = SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 });
    let armed = false;
    let faults = 0;
    const plan: FaultPlan = (_n, changes) => {
      if (!armed || changes.deadLetterClosings.length === 0) return 'ok';
      armed = false;
      faults++;
      return fate;
    };
    const store = failingStore(inner, plan);
    const e = await openEngine({}, store as unknown as SqliteStore);
    await e.engine.register(chain);
    const broken = cook(e);
    const { id } = await e.engine.submit({ ...submit, name: 'chain' });
    await e.engine.done(id);
    broken.value = false;
    broken.ran.length = 0;
    armed = true;
    await e.engine.reset(id);
    assert.equal(faults, 1);
    assert.equal((await e.engine.done(id)).state, 'complete');
    assert.deepEqual(broken.ran, ['b', 'c']);
    let resets = 0;
    for await (const ev of e.engine.events(id)) if (ev.type === 'task.reset') resets++;
    assert.equal(resets, 1);
    await e.close();
  });
}

test('a failed task holds a dead letter until it is reset, and retention may take it once it has completed', async () => {
  const e = await openEngine({ config: { retention: { enabled: true, maxAgeMs: -1000, maxCount: 1000, intervalMs: 3_600_000 } } });
  await e.engine.register(oneStep('b', once));
  const broken = cook(e);
  const { id } = await e.engine.submit({ ...submit, name: 'b' });
  await e.engine.done(id);
  assert.equal(await e.engine.maintenance.sweep(), 0);
  broken.value = false;
  await e.engine.reset(id);
  await e.engine.done(id);
  assert.equal(await e.engine.maintenance.sweep(), 1);
  await e.close();
});

/** Slices of four rows. */
const slowly = { config: { turn: { maxRows: 4, maxMs: 1000 } } };
const broad = graph('broad', [
  step('a', [], once),
  step('side', [], once),
  ...Array.from({ length: 40 }, (_, i) => step(`s${i}`, ['a'], { ...once, handler: 's' })),
]);

async function broadTask(e: Opened): Promise<{ id: string; broken: { value: boolean; ran: string[] } }> {
  await e.engine.register(broad);
  const broken = handleBroad(e);
  const { id } = await e.engine.submit({ ...submit, name: 'broad' });
  await e.engine.done(id);
  broken.value = false;
  return { id, broken };
}
function handleBroad(e: Opened): { value: boolean; ran: string[] } {
  const broken = { value: true, ran: [] as string[] };
  for (const name of ['a', 'side', 's']) {
    e.worker.handle(name, async () => {
      broken.ran.push(name);
      if (name === 'a' && broken.value) throw new Error('broken');
      return '1';
    });
  }
  return broken;
}

test('a reset of more rows than a turn writes answers with its first commit, and shows everybody what it decided', async () => {
  const e = await openEngine(slowly);
  const { id, broken } = await broadTask(e);
  broken.ran.length = 0;
  const view = await e.engine.reset(id);
  assert.deepEqual([view.state, view.failedSteps, view.cancelledSteps, view.pendingSteps], ['evaluating_results', 0, 0, 41]);
  const [steps, gates] = await Promise.all([e.engine.steps(id), e.engine.explain(id, 'a')]);
  assert.deepEqual(
    steps.filter((s) => s.state !== 'pending' || s.error !== null || s.readyForExecution).map((s) => s.name),
    ['side'],
  );
  assert.deepEqual(
    gates[0].gates.map((g) => g.kind),
    ['task_reopening'],
  );
  await assert.rejects(e.engine.copy(id, { mode: 'copy' }), { code: 'ILLEGAL_STATE', message: 'The task is being reset.' });
  assert.equal((await e.engine.done(id)).state, 'complete');
  assert.equal(broken.ran.length, 41);
  assert.equal(e.engine.metrics().reconcilerRepairs, 0);
  await e.close();
});

test('a crash in the middle of a reset: the next process goes on with it, and every step runs once (I10)', async () => {
  const e = await openEngine(slowly);
  const { id } = await broadTask(e);
  assert.equal((await e.engine.reset(id)).state, 'evaluating_results');
  const again = await e.reopen(slowly);
  const broken = handleBroad(again);
  broken.value = false;
  assert.equal((await again.engine.done(id)).state, 'complete');
  assert.equal(broken.ran.length, 41);
  assert.equal((await again.engine.task(id)).completedSteps, 42);
  await again.close();
});

test('what comes in for a task while its reset is written waits for the last row: a second reset, then a cancel', async () => {
  const e = await openEngine(slowly);
  const { id, broken } = await broadTask(e);
  broken.ran.length = 0;
  await e.engine.reset(id);
  const second = e.engine.reset(id, 'a');
  const cancel = e.engine.cancel(id);
  await assert.rejects(second, { code: 'ILLEGAL_STATE' });
  assert.equal((await cancel).state, 'cancelled');
  const steps = await e.engine.steps(id);
  assert.ok(steps.every((s) => s.state === 'cancelled' || s.name === 'side' || s.name === 'a'));
  await e.close();
});

for (const fate of ['refused', 'lost', 'applied', 'busy'] as const) {
  test(`a slice of a reset whose commit is ${fate}`, async () => {
    const inner = SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 });
    let faults = 0;
    let slices = 0;
    const plan: FaultPlan = (_n, changes) => {
      if (changes.steps.length !== 4 || changes.steps[0].fromState < 6 || ++slices !== 3) return 'ok';
      faults++;
      return fate;
    };
    const store = failingStore(inner, plan);
    const e = await openEngine(slowly, store as unknown as SqliteStore);
    const { id, broken } = await broadTask(e);
    broken.ran.length = 0;
    await e.engine.reset(id);
    assert.equal((await e.engine.done(id)).state, 'complete');
    assert.deepEqual([faults, broken.ran.length, store.conflicts], [1, 41, 0]);
    await e.close();
  });
}

test('a reset right after the end waits until the rows of what ended by implication are written, a part a turn', async () => {
  const inner = SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 });
  let most = 0;
  const plan: FaultPlan = (_n, changes) => {
    most = Math.max(most, changes.steps.filter((s) => !s.insert).length);
    return 'ok';
  };
  const store = failingStore(inner, plan);
  const e = await openEngine({}, store as unknown as SqliteStore);
  const below = Array.from({ length: 4000 }, (_, i) => step(`s${i}`, ['a'], { ...once, handler: 's' }));
  await e.engine.register(graph('deep', [step('a', [], once), ...below]));
  const broken = handleBroad(e);
  const { id } = await e.engine.submit({ ...submit, name: 'deep' });
  for await (const ev of e.engine.events(id)) if (ev.type === 'task.state' && ev.data.state === 'error') break;
  broken.value = false;
  await e.engine.reset(id);
  assert.equal((await e.engine.done(id)).state, 'complete');
  assert.ok(most <= 512, `${most} rows of steps in one commit`);
  await e.close();
});
