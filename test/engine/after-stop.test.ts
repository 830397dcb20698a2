/** Whoever waits for an engine that stops, or asks it for something afterwards, is answered: nothing waits for a loop that has ended. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_ENGINE_CONFIG } from '../../src/engine/host.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import type { Store } from '../../src/store/store.ts';
import { failingStore } from '../support/faulty-store.ts';
import { type Opened, oneStep, openEngine } from './engine-setup.ts';
import { SimulatedEngine } from './simulated-engine.ts';

const memory = (): SqliteStore => SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 });
const request = { namespace: 't', name: 'a', input: {} };
const narrow = { channels: { ...DEFAULT_ENGINE_CONFIG.channels, taskRequest: 2 } };
const codeOf = (r: PromiseSettledResult<unknown>): string => (r.status === 'rejected' ? (r.reason as { code: string }).code : r.status);
const rounds = async (until: () => boolean): Promise<void> => {
  while (!until()) await new Promise<void>((resolve) => setImmediate(resolve));
};

/** One whose handler never returns. */
async function withRunning(): Promise<{ e: Opened; id: string }> {
  const e = await openEngine();
  await e.engine.register(oneStep('a'));
  e.worker.handle('a', () => new Promise(() => {}));
  const { id } = await e.engine.submit(request);
  await e.worker.arrived(1);
  return { e, id };
}

test('a submission whose validator answers after the stop is refused', async () => {
  const e = await openEngine();
  let answer = (): void => {};
  const asked = new Promise<void>((resolve) => (answer = resolve));
  const validate = async (value: unknown): Promise<{ ok: true; value: unknown }> => {
    await asked;
    return { ok: true, value };
  };
  await e.engine.register({ ...oneStep('a'), validate });
  e.worker.handle('a', async () => '1');
  const refused = assert.rejects(e.engine.submit(request), { code: 'SHUTTING_DOWN' });
  await e.engine.stop({ drainMs: 0 });
  answer();
  await refused;
  await e.close();
});

test('submissions that wait for room are all refused by a stop', async () => {
  const e = await openEngine({ config: narrow });
  await e.engine.register(oneStep('a'));
  e.worker.handle('a', async () => '1');
  const asked = Promise.allSettled(Array.from({ length: 20 }, () => e.engine.submit(request)));
  await e.close();
  assert.deepEqual([...new Set((await asked).map(codeOf))], ['SHUTTING_DOWN']);
});

test('submissions that wait for room are all refused when the store is full', async () => {
  let full = false;
  const e = await openEngine({ config: narrow }, failingStore(memory(), () => (full ? 'full' : 'ok')) as Store as SqliteStore);
  await e.engine.register(oneStep('a'));
  e.worker.handle('a', async () => '1');
  full = true;
  const asked = await Promise.allSettled(Array.from({ length: 20 }, () => e.engine.submit(request)));
  assert.deepEqual([...new Set(asked.map(codeOf))], ['STORE_UNAVAILABLE']);
  await e.close();
});

test('a submission of which nobody knows whether it was stored is told so by a stop', async () => {
  let armed = false;
  let commits = 0;
  let unreadable = false;
  const failing = failingStore(memory(), () => (armed && ++commits === 1 ? 'applied' : 'ok'));
  const looked = Promise.withResolvers<void>();
  const store = new Proxy(failing, {
    get: (target, name) => {
      if (name !== 'loadTask' || !unreadable) return Reflect.get(target, name) as unknown;
      return () => {
        looked.resolve();
        throw new Error('cannot be read');
      };
    },
  });
  const e = await openEngine({}, store as Store as SqliteStore);
  await e.engine.register(oneStep('a'));
  e.worker.handle('a', async () => '1');
  armed = unreadable = true;
  const told = assert.rejects(e.engine.submit(request), { code: 'SHUTTING_DOWN', message: /known whether/ });
  await looked.promise;
  await e.engine.stop({ drainMs: 0 });
  await told;
  await e.close();
});

test('a cancel that a stop overtakes is refused', async () => {
  for (let hops = 0; hops < 8; hops++) {
    const { e, id } = await withRunning();
    e.worker.session.close();
    await rounds(() => e.engine.metrics().slots.total === 0);
    const stopped = e.engine.stop({ drainMs: 0 });
    for (let i = 0; i < hops; i++) await Promise.resolve();
    await assert.rejects(e.engine.cancel(id), (x: { code: string }) => x.code === 'SHUTTING_DOWN' || x.code === 'STORE_UNAVAILABLE');
    await stopped;
    await e.close();
  }
});

test('after the stop, checkpoints and spawns of a handler that goes on are refused, and so is whoever waits for its task', async () => {
  const { e, id } = await withRunning();
  const [{ task, no, token }] = e.worker.assigned;
  await e.engine.stop({ drainMs: 0 });
  await assert.rejects(e.worker.session.checkpoint({ task, no, token, body: '1' }), { code: 'SHUTTING_DOWN' });
  await assert.rejects(e.worker.session.spawn({ task, no, token, children: [{ handler: 'a', inputs: '{}', position: 0 }] }), { code: 'SHUTTING_DOWN' });
  await assert.rejects(e.engine.done(id), { code: 'SHUTTING_DOWN' });
  await e.close();
});

test('who reads after the stop is told so, and nothing is said of the store', async () => {
  const { e, id } = await withRunning();
  await e.engine.stop({ drainMs: 0 });
  const { engine } = e;
  for (const ask of [
    () => engine.task(id),
    () => engine.done(id),
    () => engine.steps(id),
    () => engine.list({}),
    () => engine.audit(id),
    () => engine.result(id),
  ])
    await assert.rejects(ask(), { code: 'SHUTTING_DOWN' }, String(ask));
  assert.deepEqual(
    e.logged.filter((l) => l.startsWith('error')),
    [],
  );
  await e.close();
});

test('an engine that is about to be stopped takes nothing new, and what runs goes on', async () => {
  const e = await openEngine();
  await e.engine.register(oneStep('a'));
  const answer = Promise.withResolvers<string>();
  e.worker.handle('a', () => answer.promise);
  const { id } = await e.engine.submit(request);
  await e.worker.arrived(1);
  e.engine.refuseNew();
  await assert.rejects(e.engine.submit(request), { code: 'SHUTTING_DOWN' });
  assert.equal(e.engine.health().status, 'draining');
  answer.resolve('1');
  assert.equal((await e.engine.done(id)).state, 'complete');
  await e.close();
});

test('an attempt whose inputs are read while the engine stops is told to stop once its worker has it', async () => {
  const s = await SimulatedEngine.open({ cache: { maxSteps: 100, payloadBytes: 0 } });
  await s.complete(s.engine.register(oneStep('a')), 'register');
  const asked = Promise.withResolvers<void>();
  const read = Promise.withResolvers<(string | null)[]>();
  (s.inner as Store).payloads = () => {
    asked.resolve();
    return read.promise;
  };
  const told: string[] = [];
  s.worker.handle('a', async (a) => {
    told.push(`run ${a.stepName}`);
    return await new Promise<string>(() => undefined);
  });
  await s.complete(s.engine.submit(request), 'submit');
  await s.complete(asked.promise, 'the read');
  const stopped = s.engine.stop({ drainMs: 100 });
  await s.machine.advanceBy(100);
  assert.deepEqual([told, s.worker.stops.map((x) => x.reason)], [[], ['shutdown']], 'a stop that the worker does not know what to do with');
  read.resolve(['{}']);
  await s.complete(stopped, 'stop');
  await s.machine.settle();
  assert.deepEqual([told, s.worker.stops.map((x) => x.reason)], [['run a'], ['shutdown', 'shutdown']]);
  await s.close();
});
