/** Whatever is asked of the engine while its store cannot be read: the answer is an error of the registry, whichever read it was that failed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTuttiError } from '../../src/core/errors.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { oneStep, openEngine } from './engine-setup.ts';

const WRITES = ['commit', 'close', 'reopen', 'health'];

test('a read that fails is STORE_UNAVAILABLE, in every verb and at every read of it', async () => {
  const inner = SqliteStore.open({ path: ':memory:', now: () => Date.now(), tag: 7 });
  /** Which read from now on fails; null: none. */
  let fails: number | null = null;
  let reads = 0;
  const store = new Proxy(inner, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        if (fails !== null && !WRITES.includes(String(name)) && reads++ === fails) throw new Error(`${String(name)} failed`);
        return value.apply(target, args) as unknown;
      };
    },
  });
  const e = await openEngine({}, store);
  const { engine } = e;
  await engine.register(oneStep('a'));
  await engine.register(oneStep('b'));
  e.worker.handle('a', async () => '1');
  e.worker.handle('b', async () => Promise.reject(Object.assign(new Error('scripted'), { retryable: false })));
  const { id } = await engine.submit({ namespace: 't', name: 'a', input: {} });
  const { id: failed } = await engine.submit({ namespace: 't', name: 'b', input: {} });
  await Promise.all([engine.done(id), engine.done(failed)]);
  let keys = 0;
  const verbs: Record<string, () => Promise<unknown>> = {
    task: () => engine.task(id),
    list: () => engine.list({}),
    steps: () => engine.steps(id),
    step: () => engine.step(id, 'a'),
    audit: () => engine.audit(id),
    explain: () => engine.explain(id),
    tree: () => engine.tree(id),
    findElement: () => engine.findElement('nobody'),
    done: () => engine.done(failed),
    result: () => engine.result(id),
    submit: () => engine.submit({ namespace: 't', name: 'a', input: {}, key: `k${++keys}` }),
    submitMany: () => engine.submitMany([{ namespace: 't', name: 'a', input: {}, key: `k${++keys}` }]),
    cancel: () => engine.cancel(id),
    cancelStep: () => engine.cancelStep(id, 'a'),
    executeTree: () => engine.executeTree(id),
    previewCopy: () => engine.previewCopy(id, { mode: 'copy' }),
    eventPage: () => engine.eventPage({}),
  };
  for (const [verb, ask] of Object.entries(verbs)) {
    let failures = 0;
    for (let at = 0; at < 8; at++) {
      fails = at;
      reads = 0;
      await ask().catch((x: unknown) => {
        assert.ok(isTuttiError(x), `${verb}, read ${at}: ${String(x)}`);
        if (x.code === 'STORE_UNAVAILABLE') failures++;
      });
      fails = null;
    }
    assert.ok(failures > 0, `${verb} reads the store`);
  }
  await e.close();
});
