/** Which ticks are due and what becomes of each, as tables. Intervals stand for any trigger: ticks fall at whole tens unless said otherwise. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MAX_WAITING, type CatchUp, type Overlap } from '../../src/core/schedule.ts';
import { admitted, admitTick, COUNTED, dueTicks, NO_CRON, type Occurrences, occurrencesOf, TICKS_AT_ONCE, upcoming } from '../../src/core/schedule-ticks.ts';

const tens = occurrencesOf({ kind: 'interval', everyMs: 10, anchor: 0 }, NO_CRON);

describe('an interval', () => {
  const from100 = occurrencesOf({ kind: 'interval', everyMs: 30, anchor: 100 }, NO_CRON);
  for (const [after, next, before] of [
    [0, 100, null],
    [99, 100, null],
    [100, 130, null],
    [101, 130, 100],
    [129, 130, 100],
    [130, 160, 100],
    [131, 160, 130],
  ] as const)
    test(`of 30 from 100: after ${after} comes ${next}, before it ${before}`, () => {
      assert.equal(from100.next(after), next);
      assert.equal(from100.previous(after), before);
    });
  test('an anchor before 1970 is as good', () => {
    const early = occurrencesOf({ kind: 'interval', everyMs: 10, anchor: -25 }, NO_CRON);
    assert.deepEqual([early.next(-30), early.next(-25), early.next(0), early.previous(0)], [-25, -15, 5, -5]);
  });
});

test('what falls once falls once', () => {
  const once = occurrencesOf({ kind: 'once', at: 50 }, NO_CRON);
  assert.deepEqual([once.next(49), once.next(50), once.previous(50), once.previous(51)], [50, null, null, 50]);
});

describe('ticks that are due', () => {
  const cases: { name: string; nextAt: number; now: number; since: number; catchUp?: CatchUp; max?: number; of?: Occurrences; due: unknown }[] = [
    { name: 'none yet', nextAt: 20, now: 19, since: 0, due: [[], null, 20] },
    { name: 'one, at its time', nextAt: 20, now: 20, since: 0, due: [[20], null, 30] },
    {
      name: 'several that nobody was away for are all fired, also without catch-up',
      nextAt: 20,
      now: 45,
      since: 0,
      catchUp: 'none',
      due: [[20, 30, 40], null, 50],
    },
    { name: 'none: those before since are left out', nextAt: 20, now: 61, since: 61, catchUp: 'none', due: [[], [60, 5, false], 70] },
    { name: 'none: those from since on are fired', nextAt: 20, now: 61, since: 40, catchUp: 'none', due: [[40, 50, 60], [30, 2, false], 70] },
    { name: 'last: the newest', nextAt: 20, now: 61, since: 61, due: [[60], [50, 4, false], 70] },
    { name: 'last: the newest of all that are due, missed or not', nextAt: 20, now: 60, since: 60, due: [[60], [50, 4, false], 70] },
    { name: 'last: a single one leaves none out', nextAt: 60, now: 61, since: 61, due: [[60], null, 70] },
    { name: 'all', nextAt: 40, now: 61, since: 61, catchUp: 'all', due: [[40, 50, 60], null, 70] },
    { name: 'all, with those of now', nextAt: 40, now: 75, since: 61, catchUp: 'all', due: [[40, 50, 60, 70], null, 80] },
    { name: 'all, the newest two', nextAt: 20, now: 61, since: 61, catchUp: 'all', max: 2, due: [[50, 60], [40, 3, false], 70] },
    {
      name: 'many are counted so far and no further',
      nextAt: 0,
      now: 1_000_001,
      since: 1_000_001,
      catchUp: 'none',
      due: [[], [1_000_000, COUNTED, true], 1_000_010],
    },
    { name: 'a once that was missed', nextAt: 5, now: 9, since: 9, of: occurrencesOf({ kind: 'once', at: 5 }, NO_CRON), due: [[5], null, null] },
    { name: 'a once, on time', nextAt: 5, now: 5, since: 0, of: occurrencesOf({ kind: 'once', at: 5 }, NO_CRON), due: [[5], null, null] },
    {
      name: 'a promised time that the way back does not meet is not lost',
      nextAt: 25,
      now: 31,
      since: 31,
      catchUp: 'all',
      due: [[25, 30], null, 40],
    },
    { name: 'a trigger that stands still ends', nextAt: 20, now: 40, since: 0, of: { next: (t) => t, previous: () => null }, due: [[20], null, null] },
  ];
  for (const c of cases)
    test(c.name, () => {
      const d = dueTicks({ nextAt: c.nextAt, now: c.now, since: c.since, catchUp: c.catchUp ?? 'last', maxCatchUp: c.max ?? 100, occurrences: c.of ?? tens });
      assert.deepEqual([d.ticks, d.missed === null ? null : [d.missed.at, d.missed.count, d.missed.more], d.nextAt], c.due);
    });

  test('no more at once than so many; the next decision goes on there', () => {
    const d = dueTicks({ nextAt: 0, now: 1_000_000, since: 0, catchUp: 'last', maxCatchUp: 1, occurrences: tens });
    assert.equal(d.ticks.length, TICKS_AT_ONCE);
    assert.equal(d.nextAt, TICKS_AT_ONCE * 10);
  });
});

test('the next so many times', () => {
  assert.deepEqual(upcoming(tens, 20, 3), [30, 40, 50]);
  assert.deepEqual(upcoming(occurrencesOf({ kind: 'once', at: 5 }, NO_CRON), 4, 10), [5]);
  assert.deepEqual(upcoming(occurrencesOf({ kind: 'once', at: 5 }, NO_CRON), 5, 10), []);
});

test('a bounded number waits', () => {
  assert.equal(admitted([1, 2, 3], 0), 3);
  assert.equal(admitted([1, 2, 3], MAX_WAITING - 1), 1);
  assert.equal(admitted([1, 2, 3], MAX_WAITING + 5), 0);
});

describe('what becomes of a tick', () => {
  for (const [name, o, verdict] of [
    ['nothing lives', {}, 'fire'],
    ['in time', { now: 109, lateAfterMs: 9 }, 'fire'],
    ['late', { now: 110, lateAfterMs: 9 }, 'late'],
    ['late by hand is not late', { now: 110, lateAfterMs: 9, manual: true }, 'fire'],
    ['no limit of lateness', { now: 1e9 }, 'fire'],
    ['skip', { live: 1 }, 'overlap'],
    ['skip, by hand', { live: 1, manual: true }, 'overlap'],
    ['queue', { live: 1, overlap: 'queue' }, 'wait'],
    ['queue, late', { live: 1, overlap: 'queue', now: 110, lateAfterMs: 9 }, 'late'],
    ['allow', { live: 7, overlap: 'allow' }, 'fire'],
    ['cancel_previous', { live: 1, overlap: 'cancel_previous' }, 'cancel'],
    ['cancel_previous, nothing lives', { overlap: 'cancel_previous' }, 'fire'],
  ] as const)
    test(name, () => {
      assert.equal(admitTick({ at: 100, manual: false, now: 100, lateAfterMs: null, overlap: 'skip' as Overlap, live: 0, ...o }), verdict);
    });
});
