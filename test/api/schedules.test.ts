/** Schedules over REST, with the client, on the command line and with the SDK, before the real engine. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import * as wire from '../../src/contract/schedule-wire.ts';
import { type Served, serve, template, Tutti } from '../../src/main.ts';
import { HttpClient } from '../../src/sdk/client/http-client.ts';
import { cli, plain, scratch } from '../cli/cli-harness.ts';
import { ask, type Answer } from '../support/http-client.ts';

const job = template('tests/job@1.0.0').step('work', async () => 1);
const YEARLY = { cron: '0 0 1 1 *' };

let served: Served;
let url: string;
let client: HttpClient;
before(async () => {
  const { config } = loadConfig({ env: { TUTTI_STORE_PATH: ':memory:', TUTTI_WEB_PORT: '0', TUTTI_LOG_LEVEL: 'silent' }, cwd: '/' });
  served = await serve(config, { templates: [job] });
  url = served.url as string;
  client = new HttpClient({ url, wait: () => Promise.resolve() });
});
after(() => served.stop());

const call = (method: string, path: string, body?: unknown): Promise<Answer> =>
  ask(`${url}/v1/schedules${path}`, { method, ...(body === undefined ? {} : { body }) });

describe('REST', () => {
  test('create, read, change, list, remove', async () => {
    const made = await call('POST', '', {
      key: 'a/b',
      template: 'tests/job@1.0.0',
      context: { x: 1 },
      cron: '0 0 2 * * ?',
      dialect: 'quartz',
      time_zone: 'Europe/Berlin',
      tags: ['t'],
    });
    assert.equal(made.status, 201, made.text);
    assert.equal(made.headers.location, '/v1/schedules/a%2Fb');
    assert.ok(wire.schedule.strict().safeParse(made.json).success);
    assert.deepEqual(
      [made.json.template, made.json.dialect, made.json.time_zone, made.json.overlap, made.json.catch_up, made.json.owner, made.json.context, made.json.tags],
      ['tests/job@1.0.0', 'quartz', 'Europe/Berlin', 'skip', 'last', 'caller', { x: 1 }, ['t']],
    );
    assert.equal((await call('POST', '', { key: 'a/b', template: 'tests/job', ...YEARLY })).status, 409);
    const put = await call('PUT', '/a%2Fb', { template: 'tests/job', every_seconds: 3600, overlap: 'queue' });
    assert.deepEqual(
      [put.status, put.json.every_seconds, put.json.anchor, put.json.template, put.json.cron],
      [200, 3600, '1970-01-01T00:00:00.000Z', 'tests/job', null],
    );
    const list = await call('GET', '');
    assert.ok(wire.scheduleList.strict().safeParse(list.json).success);
    assert.deepEqual(
      (list.json.schedules as { key: string }[]).map((s) => s.key),
      ['a/b'],
    );
    assert.equal((await call('DELETE', '/a%2Fb')).status, 204);
    assert.equal((await call('GET', '/a%2Fb')).status, 404);
    assert.equal((await call('DELETE', '/a%2Fb')).status, 404);
  });

  test('pause, resume, fire, preview, ticks', async () => {
    await client.schedules.create({ key: 'v', template: 'tests/job', ...YEARLY });
    assert.deepEqual([(await client.schedules.pause('v')).paused, (await client.schedules.get('v')).next_at], [true, null]);
    const fired = await client.schedules.fire('v');
    assert.ok(wire.tick.strict().safeParse(fired).success);
    assert.deepEqual([fired.state, fired.manual], ['fired', true]);
    assert.equal((await (await served.tutti.get(fired.task_uuid!)).done()).state, 'complete');
    assert.equal((await client.schedules.resume('v')).paused, false);
    const { firings } = await client.schedules.preview('v', 3);
    const year = new Date().getUTCFullYear();
    assert.deepEqual(
      firings,
      [1, 2, 3].map((n) => `${year + n}-01-01T00:00:00.000Z`),
    );
    assert.equal((await client.schedules.preview('v')).firings.length, 10);
    const ticks = await client.schedules.ticks('v', { limit: 1 });
    assert.deepEqual([ticks.ticks.map((t) => t.task_uuid), ticks.next_before], [[fired.task_uuid], fired.at]);
    assert.deepEqual((await client.schedules.ticks('v', { before: ticks.next_before! })).ticks, []);
    const { text } = await ask(`${url}/metrics`);
    assert.match(text, /tutti_schedules\{state="scheduled"\} 1/);
    assert.match(text, /tutti_schedule_ticks_total\{outcome="fired"\} 1/);
    await client.schedules.remove('v');
  });

  const bad = { key: 'bad', template: 'tests/job' };
  for (const [name, body, wanted, field, message] of [
    ['bad cron text', { ...bad, cron: 'daily' }, 400, 'cron', /"daily" is not valid/],
    ['an unknown zone', { ...bad, ...YEARLY, time_zone: 'Mars' }, 400, 'time_zone', /IANA/],
    ['an interval below a second', { ...bad, every_seconds: 0.2 }, 400, 'every_seconds', /whole number from 1/],
    ['a time that has passed', { ...bad, at: '2020-01-01T00:00:00Z' }, 400, 'at', /past/],
    ['a time that is none', { ...bad, at: 'soon' }, 400, 'at', /must be a time/],
    ['an unknown template', { ...bad, ...YEARLY, template: 'tests/none' }, 404, 'name', /tests\/none/],
    ['a template that is no name', { ...bad, ...YEARLY, template: 'none' }, 400, 'template', /namespace\/name/],
    ['a cron that never falls', { ...bad, cron: '0 0 31 2 *' }, 400, 'cron', /never falls/],
    ['two triggers', { ...bad, ...YEARLY, every_seconds: 5 }, 400, 'every_seconds', /exactly one/],
    ['no trigger', bad, 400, 'cron', /exactly one/],
    ['an unknown key', { ...bad, ...YEARLY, timezone: 'UTC' }, 400, 'timezone', /timezone/],
    ["a table's key", { ...bad, ...YEARLY, key: 'table/a/b' }, 409, 'key', /table\//],
    ['an unknown overlap', { ...bad, ...YEARLY, overlap: 'x' }, 400, 'overlap', /skip, queue, allow, cancel_previous/],
  ] as const)
    test(`refuses ${name}, and nothing is kept`, async () => {
      const { status, json } = await call('POST', '', body);
      const error = json.error as { field?: string; message: string };
      assert.deepEqual([status, error.field], [wanted, field], error.message);
      assert.match(error.message, message);
      assert.equal((await client.schedules.list()).schedules.length, 0);
    });

  test('refuses a page or a preview of no size', async () => {
    await client.schedules.create({ ...bad, ...YEARLY });
    for (const path of ['?limit=0', '/bad/preview?n=0', '/bad/preview?n=101', '/bad/ticks?limit=1001', '/bad/ticks?before=x'])
      assert.equal((await call('GET', path)).status, 400, path);
    await client.schedules.remove('bad');
  });
});

describe('the command line', () => {
  const tutti = async (...args: string[]): Promise<{ code: number; out: string; err: string }> => {
    const ran = await cli(['schedule', ...args], { url });
    return { ...ran, out: plain(ran.out) };
  };

  test('add, ls, show, next, pause, fire, ticks, resume, rm', async () => {
    const year = new Date().getUTCFullYear() + 1;
    assert.deepEqual(
      await tutti('add', 'n', '--template', 'tests/job', '--cron', '0 0 1 1 *', '--input', '{"a":1}', '--tag', 'x', '--description', 'New year'),
      {
        code: 0,
        out: `n: ${year}-01-01T00:00:00.000Z\n`,
        err: '',
      },
    );
    assert.match((await tutti('ls')).out, /KEY +WHEN +FIRES +NEXT +LAST\nn +0 0 1 1 \* UTC +tests\/job +\S+.* -/);
    assert.match((await tutti('show', 'n')).out, /New year\n.*fires +tests\/job\n.*when +0 0 1 1 \* UTC/s);
    assert.equal((await tutti('next', 'n', '-n', '2')).out, `${year}-01-01T00:00:00.000Z\n${year + 1}-01-01T00:00:00.000Z\n`);
    assert.equal((await tutti('pause', 'n')).out, 'n: paused\n');
    const { out } = await tutti('fire', 'n');
    assert.match(out, /^[0-9a-f-]{36}\n$/);
    assert.match((await tutti('ticks', 'n')).out, new RegExp(`fired +yes +${out.trim()}`));
    assert.match((await tutti('resume', 'n')).out, new RegExp(`n: ${year}`));
    assert.equal((await tutti('add', 'n', '--template', 'tests/job', '--every', '5m')).code, 2);
    assert.equal((await tutti('add', 'n', '--template', 'tests/job', '--every', '5m', '--replace')).code, 0);
    assert.match((await tutti('ls')).out, /every 5 m/);
    assert.equal((await tutti('rm', 'n')).out, 'n: removed\n');
    assert.equal((await tutti('show', 'n')).code, 3);
    assert.equal((await tutti('ls')).err, 'no schedules\n');
  });

  test('refuses what it cannot read', async () => {
    assert.match((await tutti('add', 'n', '--template', 'tests/job', '--every', 'often')).err, /--every is a number of seconds/);
    assert.equal((await tutti('add', 'n', '--template', 'tests/job', '--cron', 'x')).code, 2);
    assert.equal((await tutti('add', 'n', '--cron', '* * * * *')).code, 2);
  });
});

describe('the SDK', () => {
  test('put, fire, list; declared with open, and gone when they are not any more', async (t) => {
    const store = join(scratch(t), 'tutti.db');
    const daily = { key: 'daily', template: job, cron: '0 2 * * *', timeZone: 'Europe/Berlin' };
    const first = await Tutti.open({ store, templates: [job], schedules: [daily, { key: 'hourly', template: 'tests/job', every: '1h' }] });
    await first.schedules.put({ key: 'mine', template: job, every: '90s', lateAfter: '1m', input: {} });
    const tick = await first.schedules.fire('mine');
    assert.equal((await (await first.get(tick.taskId!)).done()).state, 'complete');
    assert.deepEqual(
      (await first.schedules.list()).schedules.map((s) => [s.key, s.owner, s.lateAfterSeconds]),
      [
        ['daily', 'declared', null],
        ['hourly', 'declared', null],
        ['mine', 'caller', 60],
      ],
    );
    assert.equal(first.schedules.preview('daily', 2).length, 2);
    await first.close();
    const second = await Tutti.open({ store, templates: [job], schedules: [daily] });
    assert.deepEqual(
      (await second.schedules.list()).schedules.map((s) => s.key),
      ['daily', 'mine'],
    );
    assert.equal((await second.schedules.ticks('mine'))[0].taskId, tick.taskId);
    await second.close();
    const third = await Tutti.open({ store, templates: [job] });
    assert.deepEqual(
      (await third.schedules.list()).schedules.map((s) => s.key),
      ['daily', 'mine'],
    );
    await third.close();
  });

  test('a misspelt option, a bad one, and a declared one that cannot be', async () => {
    const open = (schedule: object): Promise<Tutti> => Tutti.open({ store: ':memory:', templates: [job], schedules: [schedule as never] });
    await assert.rejects(open({ key: 'a', template: job, timezone: 'UTC', cron: '* * * * *' }), {
      code: 'INVALID_INPUT',
      message: /timezone.*did you mean timeZone/,
    });
    await assert.rejects(open({ key: 'a', template: job, every: '500ms' }), { code: 'INVALID_INPUT', message: /every must be whole seconds/ });
    await assert.rejects(open({ key: 'a', cron: '* * * * *' }), { code: 'INVALID_TEMPLATE' });
    await assert.rejects(open({ key: 'a', template: 'tests/none', every: '5s' }), { code: 'TEMPLATE_NOT_FOUND', message: /schedule "a"/ });
  });
});

describe('the configuration', () => {
  const write = (cwd: string, toml: string): { cwd: string; env: Record<string, string> } => {
    mkdirSync(join(cwd, 'config/tutti/base'), { recursive: true });
    writeFileSync(join(cwd, 'config/tutti/base/orchestration.toml'), toml);
    return { cwd, env: { TUTTI_WEB_ENABLED: 'false', TUTTI_LOG_LEVEL: 'silent', TUTTI_STORE_PATH: ':memory:' } };
  };

  test('[[orchestration.schedules]] are declared; a later file replaces those of the same key', async (t) => {
    const o = write(
      scratch(t),
      `[orchestration.worker]
       slots = 1
       [[orchestration.schedules]]
       key = "nightly"
       template = "tests/job@1.0.0"
       cron = "0 0 2 * * ?"
       dialect = "quartz"
       time_zone = "Europe/Berlin"
       context = { day = 2026-01-01T00:00:00Z, n = 1 }
       [[orchestration.schedules]]
       key = "often"
       template = "tests/job"
       every_seconds = 30
       anchor = 2026-01-01T00:00:10Z`,
    );
    writeFileSync(join(o.cwd, 'more.toml'), '[[orchestration.schedules]]\nkey = "often"\ntemplate = "tests/job"\nevery_seconds = 60');
    const { config } = loadConfig({ ...o, file: 'more.toml' });
    const server = await serve(config, { templates: [job] });
    const { schedules } = await server.tutti.schedules.list();
    assert.deepEqual(
      schedules.map((s) => [s.key, s.owner, s.trigger]),
      [
        ['nightly', 'declared', { kind: 'cron', cron: '0 0 2 * * ?', dialect: 'quartz', zone: 'Europe/Berlin' }],
        ['often', 'declared', { kind: 'interval', everyMs: 60_000, anchor: 0 }],
      ],
    );
    assert.deepEqual((await server.tutti.schedules.get('nightly')).input, { day: '2026-01-01T00:00:00.000Z', n: 1 });
    await server.stop();
  });

  for (const [name, toml, message] of [
    ['a table instead of a list', '[orchestration.schedules]\na = 1', /orchestration\.toml: orchestration\.schedules must be a list of tables/],
    ['no key', '[[orchestration.schedules]]\ntemplate = "a/b"', /orchestration\.schedules\[0\]: key is missing/],
    [
      'one key twice',
      '[[orchestration.schedules]]\nkey = "a"\ntemplate = "a/b"\n[[orchestration.schedules]]\nkey = "a"\ntemplate = "a/b"',
      /"a": is declared twice/,
    ],
    [
      'an unknown field',
      '[[orchestration.schedules]]\nkey = "a"\ntemplate = "a/b"\ntimezone = "UTC"',
      /"a": timezone is no field of a schedule\. Did you mean time_zone/,
    ],
    ['a misspelt section', '[[orchestration.schedule]]\nkey = "a"', /Did you mean \[orchestration\.schedules\]/],
  ] as const)
    test(`refuses ${name}`, (t) => {
      assert.throws(() => loadConfig(write(scratch(t), toml)), { code: 'INVALID_CONFIG', message });
    });
});
