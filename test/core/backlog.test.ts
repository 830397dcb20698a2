import assert from 'node:assert/strict';
import { test } from 'node:test';
import { finishAttempt, startStep, wakeStep } from '../../src/core/decide-attempt.ts';
import { createTask } from '../../src/core/decide-task.ts';
import { Decisions } from '../../src/core/decisions.ts';
import { DEFAULT_RETRY, type StepDefinition } from '../../src/core/definition.ts';
import { READY_AT_ONCE, takeBacklog } from '../../src/core/failure.ts';
import { compileShape } from '../../src/core/shape.ts';

const step = (name: string, after: string[] = []): StepDefinition => ({
  name,
  type: 'standard',
  handler: name,
  dependencies: after.map((n) => ({ name: n, required: true })),
  retry: { ...DEFAULT_RETRY, jitter: 0 },
});

test('a retry that falls due in a turn full of ready steps is written without a rank and taken up after them', () => {
  const steps = [step('root'), step('flaky'), ...Array.from({ length: READY_AT_ONCE + 5 }, (_, i) => step(`s${i}`, ['root']))];
  const shape = compileShape({ namespace: 't', name: 'wide', version: '1.0.0', policy: 'fail', steps });
  let now = 1_800_000_000_000;
  const first = new Decisions(now, 1);
  const g = createTask(first, { id: 1, template: 1, shape, priority: undefined, input: '{}', tags: null, meta: null });
  first.seal();
  // The remaining chunks are of no interest here.
  g.arriving = -1;
  g.ready.set(0, 1);
  g.ready.set(1, 1);
  const second = new Decisions(now, 1);
  startStep(second, g, 0);
  startStep(second, g, 1);
  finishAttempt(second, g, 1, 1, { ok: false, error: { code: 'x', message: 'x', retryable: true } });
  second.seal();
  now += 60_000;
  const full = new Decisions(now, 1);
  finishAttempt(full, g, 0, 1, { ok: true, body: '1' });
  wakeStep(full, g, 1);
  const woken = full.seal().steps.find((w) => w.no === 1);
  assert.deepEqual([woken?.state, woken?.rank], [0, null]);
  assert.equal(g.ready.size, READY_AT_ONCE);
  assert.equal(g.backlog.length, 6);
  takeBacklog(new Decisions(now, 1), g);
  assert.equal(g.ready.size, READY_AT_ONCE + 6);
  assert.ok(g.ready.has(1));
});
