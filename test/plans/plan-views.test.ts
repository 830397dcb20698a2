import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Status, type Plan, type PlanBatch } from '../../src/core/plan.ts';
import { PlanBook } from '../../src/engine/plans/plan-book.ts';
import { BATCHES_PAGE, planView } from '../../src/engine/plans/plan-views-of.ts';
import type { Store } from '../../src/store/store.ts';

const batch = (seq: number): PlanBatch => ({
  plan: 1,
  seq,
  task: 1000 + seq,
  name: `batch ${seq}`,
  submittedAt: seq,
  state: 8,
  finishedAt: seq,
  total: 1,
  complete: 1,
  failed: 0,
  units: 1,
});

/** The view of a plan with so many batches, and in their order: pages that were read ('read') and turns of the loop that were waited for ('turn'). */
async function view(batches: number, most?: number): Promise<{ seqs: number[]; steps: string[] }> {
  const steps: string[] = [];
  const store = {
    planBatches: ({ from, limit }: { from: number; limit: number }) => {
      assert.ok(limit <= BATCHES_PAGE, `${limit} batches are read at one go`);
      steps.push('read');
      // One batch more than the plan that is shown knows of: it was submitted since.
      return Array.from({ length: Math.min(limit, batches + 1 - from) }, (_, i) => batch(from + i));
    },
  } as unknown as Store;
  const plan = { id: 1, batches, status: Status.completed, taskType: 't' } as Plan;
  const turn = async (): Promise<void> => void steps.push('turn');
  const shown = await planView(plan, { store, book: new PlanBook(), graph: () => undefined, taskUuid: String, enabled: () => true, turn }, most);
  return { seqs: shown.batches.map((b) => b.batchSequence), steps };
}

test('ten thousand batches are read page by page, others have the loop between two of them', async () => {
  const { seqs, steps } = await view(10_000);
  assert.deepEqual(
    seqs,
    Array.from({ length: 10_000 }, (_, i) => i),
  );
  assert.deepEqual(steps, Array.from({ length: 10_000 / BATCHES_PAGE }, () => ['turn', 'read']).flat());
});

test('of more than are shown the newest are; few are read at once', async () => {
  const { seqs } = await view(12_345);
  assert.deepEqual([seqs.length, seqs[0], seqs.at(-1)], [10_000, 2345, 12_344]);
  assert.deepEqual((await view(700, 5)).seqs, [695, 696, 697, 698, 699]);
  assert.deepEqual((await view(3)).steps, ['read']);
  assert.deepEqual(await view(0), { seqs: [], steps: [] });
});
