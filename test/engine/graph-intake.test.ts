/** What is read of a task and waits to be taken up may be older than its rows by then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileShape } from '../../src/core/shape.ts';
import { Task } from '../../src/core/task-states.ts';
import type { EngineParts } from '../../src/engine/engine-parts.ts';
import { GraphCache } from '../../src/engine/graph-cache.ts';
import { GraphIntake } from '../../src/engine/graph-intake.ts';
import { Inbox } from '../../src/engine/inbox.ts';
import type { Store, StoredGraph } from '../../src/store/store.ts';
import { ReadyQueue } from '../../src/engine/ready-queue.ts';
import type { FinalizeCommand } from '../../src/engine/commands.ts';
import { coreStep } from '../support/core-task.ts';

const pause = (): Promise<void> => Promise.resolve();

function parts(): { intake: GraphIntake; graphs: GraphCache; inbox: Inbox<FinalizeCommand>; row: StoredGraph; reads: () => number } {
  const shape = compileShape({ namespace: 't', name: 'x', version: '1.0.0', policy: 'fail', steps: [coreStep('a')] });
  const row = {
    task: { id: 1, template: 1, state: Task.stepsInProcess, policy: 'fail', priority: 2, createdAt: 0, wakeAt: null, nextSeq: 1, totalSteps: 1 },
    steps: [{ no: 0, state: 0, token: 0, attempts: 0, phase: 0, phaseAttempts: 0, owner: null, rank: null, resultToken: 0, reason: null }],
    nodes: [],
  } as unknown as StoredGraph;
  let reads = 0;
  const store = {
    loadGraphs: () => {
      reads++;
      return [structuredClone(row)];
    },
  } as unknown as Store;
  const graphs = new GraphCache({ store, shapeOf: () => shape, maxSteps: 100 });
  const inbox = new Inbox<FinalizeCommand>('task_finalizer', 1);
  const intake = new GraphIntake({
    parts: { graphs, queue: new ReadyQueue(), dispatcher: { settle: () => {} }, timers: {}, host: { now: () => 0 }, config: {} } as unknown as EngineParts,
    inbox: () => inbox,
    pause,
    wake: () => {},
    changed: () => {},
    awaited: () => false,
    ended: () => {},
    wanted: () => false,
  });
  return { intake, graphs, inbox, row, reads: () => reads };
}

test('a graph that was in memory while another read of it waited is read again (I3)', async () => {
  const { intake, graphs, inbox, row, reads } = parts();
  inbox.force({ kind: 'debts', task: 9 });
  const slow = intake.load([1], true);
  // A quicker one; its turn is committed, and it leaves memory.
  await intake.load([1]);
  const quick = graphs.get(1)!;
  row.steps[0].token = 1;
  graphs.drop(quick);
  inbox.take();
  await slow;
  assert.equal(graphs.get(1)?.token[0], 1, 'what its rows say now');
  assert.equal(reads(), 3);
});

test('a graph that nobody else had in memory is taken up as it was read', async () => {
  const { intake, graphs, inbox, reads } = parts();
  inbox.force({ kind: 'debts', task: 9 });
  const slow = intake.load([1], true);
  inbox.take();
  await slow;
  assert.ok(graphs.get(1));
  assert.equal(reads(), 1);
});
