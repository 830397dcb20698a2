/** What is refused as a schedule, and how it is said. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TuttiError } from '../../src/core/errors.ts';
import type { ScheduleRequest } from '../../src/core/schedule.ts';
import { scheduleOfFields } from '../../src/core/schedule-fields.ts';
import { checkFalls, checkSchedule } from '../../src/core/schedule-rules.ts';
import { CronExpressions } from '../../src/cron/cron-expressions.ts';

const cron = new CronExpressions();
const NOW = Date.UTC(2026, 10, 22, 12);
const target = { kind: 'template' as const, namespace: 'a', name: 'b' };
const check = (r: Partial<ScheduleRequest>): ReturnType<typeof checkSchedule> => {
  const d = checkSchedule({ key: 'k', target, ...r } as ScheduleRequest, { cron, owner: 'caller' });
  checkFalls(d.trigger, { cron, now: NOW, past: false });
  return d;
};

test('what is left out has its default', () => {
  assert.deepEqual(check({ cron: ' 0 2 * * * ' }), {
    trigger: { kind: 'cron', cron: '0 2 * * *', dialect: 'unix', zone: 'UTC' },
    target,
    overlap: 'skip',
    catchUp: 'last',
    maxCatchUp: 100,
    lateAfterMs: null,
    tickField: null,
    description: null,
    owner: 'caller',
  });
  assert.deepEqual(check({ everySeconds: 90 }).trigger, { kind: 'interval', everyMs: 90_000, anchor: 0 });
});

describe('is refused', () => {
  const cases: [name: string, r: object, field: string, message: RegExp][] = [
    ['no key', { key: undefined, cron: '* * * * *' }, 'key', /must be 1 to 255 letters/],
    ['a key with spaces', { key: 'a b', cron: '* * * * *' }, 'key', /"a b"/],
    ['a key that is too long', { key: 'a'.repeat(256), cron: '* * * * *' }, 'key', /255/],
    ['no trigger', {}, 'cron', /exactly one of cron, every_seconds and at; none/],
    ['two triggers', { cron: '* * * * *', everySeconds: 5 }, 'every_seconds', /cron and every_seconds are there/],
    ['cron text that is none', { cron: 'every day' }, 'cron', /"every day" is not valid: the unix dialect has 5 fields .* these are 2/],
    ['an hour that there is not', { cron: '0 25 * * *' }, 'cron', /hour/],
    ['seconds in unix', { cron: '0 0 2 * * *' }, 'cron', /unix dialect has 5 fields .* these are 6/],
    ['five fields in quartz', { cron: '0 2 * * *', dialect: 'quartz' }, 'cron', /quartz dialect has 6 or 7 fields .* these are 5/],
    ['weekday 0 in quartz', { cron: '0 0 2 ? * 0', dialect: 'quartz' }, 'cron', /dayOfWeek/],
    ['an unknown name', { cron: '@sometimes' }, 'cron', /@daily/],
    ['@reboot', { cron: '@reboot' }, 'cron', /of names there are/],
    ['too long', { cron: `${'1,'.repeat(100)}1 * * * *` }, 'cron', /200/],
    ['a cron that never falls', { cron: '0 0 30 2 *' }, 'cron', /never falls/],
    ['a year that has passed', { cron: '0 0 0 1 1 ? 2020', dialect: 'quartz' }, 'cron', /never falls/],
    ['an unknown dialect', { cron: '* * * * *', dialect: 'jenkins' }, 'dialect', /unix, quartz/],
    ['an unknown zone', { cron: '* * * * *', timeZone: 'Mars/Phobos' }, 'time_zone', /IANA.*Mars\/Phobos/],
    ['a zone without cron', { everySeconds: 5, timeZone: 'UTC' }, 'time_zone', /belongs to cron/],
    ['a dialect without cron', { at: NOW + 1, dialect: 'unix' }, 'dialect', /belongs to cron/],
    ['an anchor without interval', { cron: '* * * * *', anchor: 5 }, 'anchor', /belongs to every_seconds/],
    ['an interval below a second', { everySeconds: 0.5 }, 'every_seconds', /whole number from 1 to 31622400, not 0.5/],
    ['an interval of nothing', { everySeconds: 0 }, 'every_seconds', /from 1/],
    ['an interval above a year', { everySeconds: 31_622_401 }, 'every_seconds', /31622400/],
    ['a time that has passed', { at: NOW }, 'at', /lies in the past/],
    ['a time that is none', { at: Number.NaN }, 'at', /must be a time/],
    ['an unknown overlap', { everySeconds: 5, overlap: 'wait' }, 'overlap', /skip, queue, allow, cancel_previous, not "wait"/],
    ['an unknown catch-up', { everySeconds: 5, catchUp: 'some' }, 'catch_up', /none, last, all/],
    ['a cap without all', { everySeconds: 5, maxCatchUp: 5 }, 'max_catch_up', /belongs to catch_up "all"/],
    ['a cap above the limit', { everySeconds: 5, catchUp: 'all', maxCatchUp: 501 }, 'max_catch_up', /from 1 to 500/],
    ['no time to be late', { everySeconds: 5, lateAfterSeconds: 0 }, 'late_after_seconds', /from 1/],
    ['paused as text', { everySeconds: 5, paused: 'yes' }, 'paused', /true or false/],
    ['an empty description', { everySeconds: 5, description: '' }, 'description', /1 to 1000/],
    ['a tick field of no object', { everySeconds: 5, tickField: 'at', input: [] }, 'context', /must be an object/],
    ['a tick field of a plan', { everySeconds: 5, tickField: 'at', target: { kind: 'plan', resource: 'a', taskType: 'x' } }, 'tick_field', /template/],
    ['no target', { everySeconds: 5, target: undefined }, 'template', /names what it fires/],
    ['a bad template name', { everySeconds: 5, target: { ...target, name: '9' } }, 'template', /name must start/],
    ['a bad version', { everySeconds: 5, target: { ...target, version: '1' } }, 'template', /version must be/],
    ['a plan of nothing', { everySeconds: 5, target: { kind: 'plan', resource: '', taskType: 'x' } }, 'resource', /1 to 255/],
  ];
  for (const [name, r, field, message] of cases)
    test(name, () => {
      assert.throws(
        () => check(r as Partial<ScheduleRequest>),
        (e: TuttiError) => {
          assert.equal(e.code, 'INVALID_INPUT');
          assert.equal(e.field, field, e.message);
          assert.match(e.message, message);
          return true;
        },
      );
    });
});

describe('fields as files and requests spell them', () => {
  test('all of them', () => {
    const r = scheduleOfFields(
      {
        key: 'k',
        template: 'a/b@1.0.0',
        priority: 0,
        tags: ['t'],
        every_seconds: 5,
        anchor: '2026-01-01T00:00:00Z',
        catch_up: 'all',
        max_catch_up: 3,
        late_after_seconds: 9,
        context: { x: 1 },
        paused: true,
      },
      Date.parse,
    );
    assert.deepEqual(r, {
      key: 'k',
      target: { kind: 'template', namespace: 'a', name: 'b', version: '1.0.0', priority: 0, tags: ['t'] },
      everySeconds: 5,
      anchor: Date.UTC(2026, 0),
      catchUp: 'all',
      maxCatchUp: 3,
      lateAfterSeconds: 9,
      input: { x: 1 },
      paused: true,
    });
  });
  for (const [name, raw, message] of [
    ['an unknown one, with the nearest', { timezone: 'UTC' }, /timezone is no field of a schedule\. Did you mean time_zone\?/],
    ['no template', { template: undefined }, /template must be namespace\/name/],
    ['a template without namespace', { template: 'b' }, /not "b"/],
    ['a time that is none', { at: 'tomorrow' }, /at must be a time such as .*not "tomorrow"/],
    ['a time as number', { at: 5 }, /at must be a time/],
  ] as const)
    test(name, () => assert.throws(() => scheduleOfFields({ key: 'k', template: 'a/b', ...raw }, Date.parse), { code: 'INVALID_INPUT', message }));
});
