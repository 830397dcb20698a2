/** Attempts of `finalize` have a count of their own: what is told of them says which one it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditView, TaskEvent } from '../../src/engine/views.ts';
import { TWICE, family } from '../support/staged-family.ts';

test('events and audit number the attempts of finalize from 1', async () => {
  await family(
    {
      steps: [{ name: 'p', retry: { ...TWICE, maxAttempts: 3 } }],
      traits: { p: { finalize: true } },
      doing: { p: [{ what: 'retryable' }, {}], 'p finalize': [{ what: 'retryable' }, { what: 'retryable' }, {}] },
    },
    async (f) => {
      const told: TaskEvent[] = [];
      const listening = (async () => {
        for await (const e of f.world.engine.events(f.id)) told.push(e);
      })();
      await f.end();
      await f.world.complete(listening, 'events');
      const steps = told.filter((e) => e.type === 'step.state' && e.data.step === 'p');
      assert.deepEqual(
        steps.map((e) => `${e.data.state as string} ${Number(e.data.attempt)}`),
        [
          ...['in_progress 1', 'waiting_for_retry 1', 'pending 1', 'in_progress 2', 'waiting_for_children 2'],
          ...['in_progress 1', 'waiting_for_retry 1', 'pending 1', 'in_progress 2', 'waiting_for_retry 2', 'pending 2', 'in_progress 3', 'complete 3'],
        ],
      );
      const audit = (await f.world.complete(f.world.engine.audit(f.id, 'p'), 'audit')) as AuditView[];
      assert.deepEqual(
        audit.map((a) => `${a.phase} ${a.attempt}`),
        ['finalize 3', 'finalize 2', 'finalize 1', 'run 2', 'run 1'],
      );
    },
  );
});
