/** What is due within a minute is armed, whatever else is due and does not leave (I13). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineParts } from '../../src/engine/engine-parts.ts';
import { TimerScan } from '../../src/engine/recovery.ts';
import type { DueTimer } from '../../src/engine/timers.ts';
import { SimulatedMachine } from '../support/simulated-host.ts';

interface Row {
  task: number;
  no: number;
  at: number;
}

async function scanned(
  rows: (now: number) => Row[],
  o: { leave: boolean },
): Promise<{ armed: (task: number) => boolean; reads: number[]; wait: (ms: number) => Promise<void> }> {
  const machine = new SimulatedMachine(1);
  const life = { alive: true };
  let left = rows(machine.now());
  const reads: number[] = [];
  const armed = new Set<number>();
  const parts = {
    host: { now: () => machine.now(), timer: (ms: number, run: () => void) => machine.timer(life, ms, run) },
    store: {
      due: ({ until, limit }: { until: number; limit: number }) => {
        const due = left.filter((r) => r.at <= until).slice(0, limit);
        reads.push(due.length);
        return due;
      },
    },
    timers: {
      add: (t: DueTimer) => {
        armed.add(t.task);
        if (o.leave && t.at <= machine.now()) left = left.filter((r) => r.task !== t.task);
      },
    },
  };
  void new TimerScan(parts as unknown as EngineParts).run();
  await machine.settle();
  return { armed: (task) => armed.has(task), reads, wait: (ms) => machine.advanceBy(ms) };
}

test('a retry behind thousands that are overdue and cannot go on', async () => {
  const s = await scanned(
    (now) => [...Array.from({ length: 2500 }, (_, i) => ({ task: i, no: 0, at: now - 5000 + i })), { task: 9999, no: 0, at: now + 30_000 }],
    {
      leave: false,
    },
  );
  assert.equal(s.armed(9999), false);
  await s.wait(10_000);
  assert.equal(s.armed(9999), true);
  // From then on one read is enough, and twice a minute.
  s.reads.length = 0;
  await s.wait(60_000);
  assert.deepEqual(s.reads, [2501, 2501]);
});

test('thousands that go on when they are due are never read more than a thousand at a time', async () => {
  const s = await scanned((now) => Array.from({ length: 5000 }, (_, i) => ({ task: i, no: 0, at: now - 5000 + i })), { leave: true });
  await s.wait(10_000);
  assert.ok(s.armed(4999));
  assert.ok(Math.max(...s.reads) === 1000);
});
