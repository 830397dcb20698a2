import assert from 'node:assert/strict';
import { test } from 'node:test';
import { finishAttempt, startStep } from '../../src/core/decide-attempt.ts';
import { createTask, patchTask } from '../../src/core/decide-task.ts';
import { Decisions } from '../../src/core/decisions.ts';
import { DEFAULT_RETRY, type StepDefinition } from '../../src/core/definition.ts';
import { rank } from '../../src/core/rank.ts';
import { compileShape } from '../../src/core/shape.ts';

const NOW = 1_800_000_000_000;
const step = (name: string, after: string[] = []): StepDefinition => ({
  name,
  type: 'standard',
  handler: name,
  dependencies: after.map((n) => ({ name: n, required: true })),
  retry: DEFAULT_RETRY,
});

test('a new priority ranks ready steps anew, and writes rows only where a rank was stored', () => {
  const steps = [step('root'), step('stored'), ...Array.from({ length: 300 }, (_, i) => step(`s${i}`, ['root']))];
  const shape = compileShape({ namespace: 't', name: 'wide', version: '1.0.0', policy: 'fail', steps });
  const first = new Decisions(NOW, 1);
  const g = createTask(first, { id: 1, template: 1, shape, priority: 2, input: '{}', tags: null, meta: null });
  first.seal();
  const second = new Decisions(NOW, 1);
  startStep(second, g, 0);
  finishAttempt(second, g, 0, 1, { ok: true, body: '1' });
  second.seal();
  const patch = new Decisions(NOW, 1);
  assert.ok(patchTask(patch, g, { priority: 0 }));
  const written = patch.seal().steps;
  assert.deepEqual(
    written.map((w) => [w.no, w.rank]),
    [[1, rank(0, NOW)]],
  );
  assert.equal(g.ready.size, 301);
  assert.deepEqual([...new Set(g.ready.values())], [rank(0, NOW)]);
  assert.equal(g.unstored.size, 300);
});
