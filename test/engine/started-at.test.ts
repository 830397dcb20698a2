/** A step began with its first attempt, whatever followed; a reset is a new beginning. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextRound } from 'node:timers/promises';
import { DEFAULT_RETRY } from '../../src/core/definition.ts';
import type { AuditView, StepView } from '../../src/engine/views.ts';
import { type StagedFamily, TWICE, family } from '../support/staged-family.ts';
import { graph, openEngine, step } from './engine-setup.ts';

const view = async (f: StagedFamily, name: string): Promise<StepView> => {
  const steps = await f.world.complete(f.world.engine.steps(f.id), 'steps');
  return steps!.find((s) => s.name === name)!;
};
/** Of all attempts of the step, those that were begun first and last. */
const begun = async (f: StagedFamily, name: string): Promise<{ first: number; last: number; count: number }> => {
  const rows = ((await f.world.complete(f.world.engine.audit(f.id), 'audit')) as AuditView[]).filter((a) => a.stepName === name);
  const starts = rows.map((a) => a.startedAt);
  return { first: Math.min(...starts), last: Math.max(...starts), count: rows.length };
};

const DELAYED = { ...TWICE, baseMs: 1_000, maxMs: 1_000, backoff: 'linear' as const };

test('a parent that is tried again, waits for its children and finalizes began with its first attempt', async () => {
  await family(
    {
      steps: [{ name: 'p', retry: DELAYED }],
      traits: { p: { finalize: true } },
      doing: {
        p: [
          { what: 'retryable', delayMs: 100 },
          { spawn: [{ key: 'a', retry: TWICE }], delayMs: 100 },
        ],
        'p.a': { delayMs: 5_000 },
        'p finalize': { delayMs: 100 },
      },
    },
    async (f) => {
      await f.until(() => f.state('p') === 'waiting_for_children', 'the parent waits');
      const waiting = await view(f, 'p');
      assert.ok(waiting.startedAt !== null && waiting.lastAttemptedAt !== null && waiting.lastAttemptedAt >= waiting.startedAt + 1_000);
      await f.crash();
      assert.deepEqual([(await view(f, 'p')).startedAt, (await view(f, 'p')).lastAttemptedAt], [waiting.startedAt, waiting.lastAttemptedAt]);
      await f.end();
      const p = await view(f, 'p');
      const { first, last, count } = await begun(f, 'p');
      assert.deepEqual([p.state, p.startedAt, p.lastAttemptedAt, count], ['complete', first, last, 3]);
      assert.equal(p.startedAt, waiting.startedAt);
    },
  );
});

test('a parent without finalize keeps its beginning, whether it completes or fails with a child', async () => {
  for (const what of ['ok', 'permanent'] as const) {
    await family({ doing: { p: { spawn: ['a'], delayMs: 100 }, 'p.a': { what, delayMs: 5_000 } } }, async (f) => {
      await f.until(() => f.state('p') === 'waiting_for_children', 'the parent waits');
      const { startedAt } = await view(f, 'p');
      assert.notEqual(startedAt, null);
      await f.end();
      const p = await view(f, 'p');
      assert.deepEqual([p.state, p.startedAt, p.lastAttemptedAt], [what === 'ok' ? 'complete' : 'error', startedAt, startedAt]);
    });
  }
});

test('an attempt that a crash takes was the beginning', async () => {
  await family({ doing: { p: [{ delayMs: 60_000 }, { delayMs: 10 }] } }, async (f) => {
    await f.until(() => f.state('p') === 'in_progress', 'it runs');
    const { startedAt } = await view(f, 'p');
    await f.until(() => f.world.machine.now() > startedAt!, 'time passes');
    await f.crash();
    await f.end();
    const p = await view(f, 'p');
    assert.deepEqual([p.state, p.attempts, p.startedAt], ['complete', 2, startedAt]);
    assert.ok(p.lastAttemptedAt! > startedAt!);
  });
});

for (const live of [true, false]) {
  test(`after a reset a step begins anew, ${live ? 'while its task goes on' : 'with a task that had ended'}`, async () => {
    const e = await openEngine();
    const twice = { retry: { ...DEFAULT_RETRY, maxAttempts: 2, backoff: 'none' as const } };
    await e.engine.register(graph('two', [step('w', [], twice), step('other', [], twice)]));
    const gate = Promise.withResolvers<void>();
    if (!live) gate.resolve();
    e.worker.handle('other', async () => {
      await gate.promise;
      return '1';
    });
    e.worker.handle('w', async (a) => {
      // No two attempts in one millisecond.
      for (const now = Date.now(); Date.now() === now; ) await nextRound();
      if (a.token < 3) throw new Error('not yet');
      return '1';
    });
    const { id } = await e.engine.submit({ namespace: 't', name: 'two', input: {} });
    if (live) for await (const event of e.engine.allEvents({ taskId: id, states: ['error'] })) if (event.type === 'step.state') break;
    if (!live) await e.engine.done(id);
    const starts = async (): Promise<number[]> => (await e.engine.audit(id, 'w')).sort((x, y) => x.token - y.token).map((x) => x.startedAt);
    const failed = await e.engine.step(id, 'w');
    assert.deepEqual([failed.startedAt, failed.lastAttemptedAt], await starts());
    await e.engine.reset(id, 'w');
    gate.resolve();
    await e.engine.done(id);
    const done = await e.engine.step(id, 'w');
    const third = (await starts())[2];
    assert.deepEqual([done.state, done.startedAt, done.lastAttemptedAt], ['complete', third, third]);
    assert.ok(third > failed.startedAt!);
    await e.close();
  });
}
