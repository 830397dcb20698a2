/** Cron expressions of both dialects, in zones whose clocks change: New York by an hour, Lord Howe by half of one, and one by none. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CronDialect } from '../../src/core/schedule.ts';
import { upcoming } from '../../src/core/schedule-ticks.ts';
import { CronExpressions } from '../../src/cron/cron-expressions.ts';

const cron = new CronExpressions();
const of = (text: string, dialect: CronDialect, zone = 'UTC'): ReturnType<CronExpressions['occurrences']> => {
  const t = { kind: 'cron' as const, cron: text, dialect, zone };
  assert.equal(cron.problem(t), null);
  return cron.occurrences(t);
};
/** As `MM-DDTHH:MM`, UTC. */
const falls = (text: string, dialect: CronDialect, zone: string, from: string, n: number): string[] =>
  upcoming(of(text, dialect, zone), Date.parse(from), n).map((at) => new Date(at).toISOString().slice(5, 16));

describe('the dialects', () => {
  const FROM = '2026-11-21T00:00:00Z';
  for (const [name, text, dialect, want] of [
    ['quartz: every day at two', '0 0 2 * * ?', 'quartz', ['11-21T02:00', '11-22T02:00']],
    ['quartz: 6L is the last Friday', '0 0 0 ? * 6L', 'quartz', ['11-27T00:00', '12-25T00:00']],
    ['unix: 6L would be the last Saturday', '0 0 * * 6L', 'unix', ['11-28T00:00', '12-26T00:00']],
    ['quartz: 2-6 is Monday to Friday', '0 0 0 ? * 2-6', 'quartz', ['11-23T00:00', '11-24T00:00', '11-25T00:00', '11-26T00:00', '11-27T00:00', '11-30T00:00']],
    ['unix: 1-5 is Monday to Friday', '0 0 * * 1-5', 'unix', ['11-23T00:00', '11-24T00:00', '11-25T00:00', '11-26T00:00', '11-27T00:00', '11-30T00:00']],
    ['unix: 0 and 7 are Sunday', '0 0 * * 7', 'unix', ['11-22T00:00', '11-29T00:00']],
    ['quartz: 1 is Sunday', '0 0 0 ? * 1', 'quartz', ['11-22T00:00', '11-29T00:00']],
    ['quartz: day of month and day of week both hold', '0 0 0 13 * FRI', 'quartz', ['08-13T00:00', '10-13T00:00']],
    ['unix: one of them is enough', '0 0 22 * 5', 'unix', ['11-22T00:00', '11-27T00:00']],
    ['quartz: a step from a number', '0 1/20 * * * ?', 'quartz', ['11-21T00:01', '11-21T00:21', '11-21T00:41', '11-21T01:01']],
    ['quartz: the working day nearest the 15th', '0 0 0 15W * ?', 'quartz', ['12-15T00:00', '01-15T00:00']],
    ['quartz: the last working day', '0 0 0 LW * ?', 'quartz', ['11-30T00:00', '12-31T00:00']],
    ['quartz: a year', '0 0 0 1 1 ? 2099', 'quartz', ['01-01T00:00']],
    ['quartz: the third Friday', '0 0 0 ? * 6#3', 'quartz', ['12-18T00:00', '01-15T00:00']],
    ['unix: a name', '@daily', 'unix', ['11-22T00:00', '11-23T00:00']],
  ] as const)
    test(name, () => assert.deepEqual(falls(text, dialect, 'UTC', FROM, want.length), [...want]));
});

/** The same moment written in both dialects. */
const both: [CronDialect, (minuteAndHour: string) => string][] = [
  ['unix', (m) => `${m} * * *`],
  ['quartz', (m) => `0 ${m} * * ?`],
];

for (const [dialect, write] of both)
  describe(`where clocks change, ${dialect}`, () => {
    for (const [name, text, zone, from, want] of [
      ['New York, spring: 02:30 falls when the gap ends', '30 2', 'America/New_York', '2027-03-13T12:00:00Z', ['03-14T07:00', '03-15T06:30']],
      ['New York, autumn: 01:30 falls once, the first time', '30 1', 'America/New_York', '2027-11-06T12:00:00Z', ['11-07T05:30', '11-08T06:30']],
      ['New York, spring: every half hour goes on evenly', '*/30 *', 'America/New_York', '2027-03-14T06:00:00Z', ['03-14T06:30', '03-14T07:00', '03-14T07:30']],
      [
        'New York, autumn: every half hour goes through both',
        '*/30 *',
        'America/New_York',
        '2027-11-07T05:00:00Z',
        ['11-07T05:30', '11-07T06:00', '11-07T06:30', '11-07T07:00'],
      ],
      [
        'Lord Howe, spring: 02:15 falls when the gap of half an hour ends',
        '15 2',
        'Australia/Lord_Howe',
        '2027-10-01T18:00:00Z',
        ['10-02T15:30', '10-03T15:15'],
      ],
      ['Lord Howe, autumn: 01:45 falls once', '45 1', 'Australia/Lord_Howe', '2027-04-03T06:00:00Z', ['04-03T14:45', '04-04T15:15']],
      ['Kolkata never changes its clocks', '30 2', 'Asia/Kolkata', '2027-03-13T12:00:00Z', ['03-13T21:00', '03-14T21:00']],
    ] as const)
      test(name, () => assert.deepEqual(falls(write(text), dialect, zone, from, want.length), [...want]));

    for (const [zone, from] of [
      ['America/New_York', '2027-03-13T20:00:00Z'],
      ['America/New_York', '2027-11-06T20:00:00Z'],
      ['Australia/Lord_Howe', '2027-10-02T06:00:00Z'],
      ['Australia/Lord_Howe', '2027-04-03T06:00:00Z'],
    ] as const)
      test(`${zone} ${from.slice(0, 10)}: whenever it is asked, the answers agree, forwards and back`, () => {
        for (const text of ['30 1', '45 1', '15 2', '*/15 1', '*/30 *', '15 1,2']) {
          const o = of(write(text), dialect, zone);
          const start = Date.parse(from);
          const all = upcoming(o, start, 60);
          const end = Math.min(start + 20 * 3_600_000, all[all.length - 1]);
          for (let t = start; t < end; t += 300_000) {
            assert.equal(
              o.next(t),
              all.find((at) => at > t),
              `${text} after ${new Date(t).toISOString()}`,
            );
            if (t > all[0])
              assert.equal(
                o.previous(t),
                all.findLast((at) => at < t),
                `${text} before ${new Date(t).toISOString()}`,
              );
          }
        }
      });
  });
