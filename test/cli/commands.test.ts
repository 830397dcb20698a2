import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { PermanentError, type Served, serve, template } from '../../src/main.ts';
import { cli, plain, scratch } from './cli-harness.ts';

/** Steps called `gate` wait until their task's gate is opened. */
const gates = new Map<string, PromiseWithResolvers<void>>();
const gate = (name: string): PromiseWithResolvers<void> => {
  let g = gates.get(name);
  if (g === undefined) gates.set(name, (g = Promise.withResolvers<void>()));
  return g;
};

const flow = template<{ gate?: string; fail?: boolean }>('tests/flow@1.0.0', { description: 'two steps' })
  .step('first', async ({ input, signal }) => {
    if (input.gate !== undefined)
      await Promise.race([gate(input.gate).promise, new Promise((_, no) => signal.addEventListener('abort', () => no(new Error('stopped'))))]);
    if (input.fail) throw new PermanentError('as asked');
    return { n: 1 };
  })
  .step('second', { after: ['first'] }, async ({ results }) => ({ n: results.first.n + 1 }));
const strict = template('tests/strict@2.0.0', { input: (await import('zod')).z.object({ count: (await import('zod')).z.int() }) }).step(
  'only',
  async ({ input }) => input.count,
);

const versions = ['1.9.0', '1.10.0', '2.0.0-rc.1'].map((version) => template(`tests/versions@${version}`).step('only', () => version));

let served: Served;
let url: string;
before(async () => {
  const { config } = loadConfig({ env: { TUTTI_STORE_PATH: ':memory:', TUTTI_WEB_PORT: '0', TUTTI_LOG_LEVEL: 'silent' }, cwd: '/' });
  served = await serve(config, { templates: [flow, strict, ...versions] });
  url = served.url as string;
});
after(() => served.stop());

const submit = async (input: unknown): Promise<string> => {
  const ran = await cli(['run', 'tests/flow', '--input', JSON.stringify(input)], { url });
  assert.equal(ran.code, 0, ran.err);
  return ran.out.trim();
};

test('run prints the id; show draws the tree and a step its result', async () => {
  const id = await submit({});
  assert.match(id, /^[0-9a-f-]{36}$/);
  await (await served.tutti.get(id)).done();
  const shown = await cli(['show', id], { url });
  assert.equal(shown.code, 0);
  assert.match(shown.out, /^✔ tests\/flow@1\.0\.0 .*complete/);
  assert.match(shown.out, /✔ first +complete +1\/3/);
  assert.match(shown.out, /└─ ✔ second +complete +1\/3/);
  const step = await cli(['show', id, 'second'], { url });
  assert.match(step.out, /result +\{"n":2\}/);
  const json = JSON.parse((await cli(['show', id, '--json'], { url })).out) as { status: string; steps: unknown[] };
  assert.equal(json.status, 'complete');
  assert.equal(json.steps.length, 2);
});

test('run --watch follows to the end: exit 0 when it completes, 1 when not, one line an event', async () => {
  const good = await cli(['run', 'tests/flow@1.0.0', '--watch'], { url });
  assert.equal(good.code, 0, good.err);
  assert.match(good.out, /first {2}in_progress {2}attempt 1\n/);
  assert.match(good.out, /task is complete\n/);
  assert.equal(plain(good.out), good.out, 'no escape sequences but on a terminal');
  const bad = await cli(['run', 'tests/flow', '-w', '-i', '{"fail":true}'], { url });
  assert.equal(bad.code, 1);
  assert.match(bad.out, /first {2}error {2}attempt 1: as asked/);
  assert.match(bad.out, /second {2}cancelled {2}dependency_failed/);
});

test('off a terminal how the task ended is said once, at the end', async () => {
  const id = await submit({});
  assert.equal((await cli(['show', id, '--watch'], { url })).code, 0);
  // It has ended before it is watched.
  const { out } = await cli(['show', id, '--watch'], { url });
  assert.equal(out.split('\n')[0], `tests/flow@1.0.0  ${id}`);
  assert.deepEqual(out.match(/[✔✘] tests\/flow@1\.0\.0.*/g)?.length, 1, out);
  assert.ok(out.indexOf('✔ tests/flow') > out.indexOf('task is complete'), out);
});

test('--json --watch: every line is a document, the last one the task', async () => {
  const ran = await cli(['run', 'tests/flow', '-w', '--json'], { url });
  const lines = ran.out
    .trimEnd()
    .split('\n')
    .map((l) => JSON.parse(l) as { event?: { seq?: number; last?: boolean }; task?: { status: string } });
  assert.equal(lines.at(-1)?.task?.status, 'complete');
  assert.equal(lines.at(-2)?.event?.last, true);
  const seqs = lines.flatMap((l) => (l.event?.seq === undefined ? [] : [l.event.seq]));
  assert.deepEqual(
    seqs,
    seqs.map((_, i) => i + 1),
    'every event of the log, once and in order',
  );
});

test('on a terminal the tree is drawn in place; NO_COLOR takes the colour and leaves the drawing', async () => {
  const tty = { columns: 80, rows: 24 };
  const ran = await cli(['run', 'tests/flow', '-w'], { url, tty });
  assert.equal(ran.code, 0);
  assert.ok(ran.out.includes('\u001b[32m'), 'colour');
  assert.match(plain(ran.out), /└─ ✔ second +complete/);
  const grey = await cli(['run', 'tests/flow', '-w'], { url, tty, noColor: true });
  assert.ok(!grey.out.includes('\u001b[32m'));
  assert.ok(grey.out.includes('\u001b[J'));
});

test('an interrupt stops the watching, not the task: exit 130', async () => {
  const id = await submit({ gate: 'interrupt' });
  const controller = new AbortController();
  const watching = cli(['show', id, '--watch'], { url, signal: controller.signal });
  await served.tutti.engine.events(id)[Symbol.asyncIterator]().next();
  controller.abort();
  const ran = await watching;
  assert.equal(ran.code, 130);
  assert.match(ran.err, /the task goes on/);
  gate('interrupt').resolve();
  assert.equal((await (await served.tutti.get(id)).done()).state, 'complete');
});

test('explain says what is waited for; cancel ends the task with its reason, once', async () => {
  const id = await submit({ gate: 'cancel' });
  const why = await cli(['explain', id], { url });
  assert.match(why.out, /second {2}pending\n {2}dependency +.*first/);
  const one = JSON.parse((await cli(['explain', id, 'second', '--json'], { url })).out) as { name: string }[];
  assert.deepEqual(
    one.map((e) => e.name),
    ['second'],
  );
  const ended = await cli(['cancel', id, '--reason', 'not needed'], { url });
  assert.equal(ended.code, 0, ended.err);
  assert.match(ended.out, /^cancelled/);
  assert.match((await cli(['show', id], { url })).out, /error +not needed/);
  assert.equal((await cli(['cancel', id], { url })).code, 5);
  assert.match((await cli(['explain', id], { url })).out, /every step has ended/);
});

test('ls filters and pages', async () => {
  for (let i = 0; i < 3; i++) assert.equal((await cli(['run', 'tests/flow', '-t', 'paged'], { url })).code, 0);
  const first = JSON.parse((await cli(['ls', '--tag', 'paged', '-l', '2', '--json'], { url })).out) as { tasks: { task_uuid: string }[]; next_cursor: string };
  assert.equal(first.tasks.length, 2);
  const rest = JSON.parse((await cli(['ls', '--tag', 'paged', '-l', '2', '--cursor', first.next_cursor, '--json'], { url })).out) as {
    tasks: { task_uuid: string }[];
    next_cursor: null;
  };
  assert.equal(rest.tasks.length, 1);
  assert.equal(rest.next_cursor, null);
  const text = await cli(['ls', '--tag', 'paged'], { url });
  assert.equal(text.out.trimEnd().split('\n').length, 4);
  assert.match(text.out, /^ID +TEMPLATE +STATE +STEPS +AGE\n/);
  const none = await cli(['ls', '--tag', 'nothing-has-this'], { url });
  assert.deepEqual([none.code, none.out, none.err], [0, '', 'no tasks\n']);
});

test('templates: list, show, without a version the newest', async () => {
  const list = await cli(['template', 'ls'], { url });
  assert.match(list.out, /tests\/flow@1\.0\.0 +2 +loaded +two steps/);
  assert.match((await cli(['template', 'show', 'tests/strict'], { url })).out, /tests\/strict@2\.0\.0[\s\S]*"count"/);
  assert.equal((await cli(['template', 'show', 'tests/none'], { url })).code, 3);
  assert.match((await cli(['template', 'show', 'tests/versions'], { url })).out, /^tests\/versions@1\.10\.0\n/, 'the highest release');
});

test('bad input gets its exit code, its message on stderr, and JSON there with --json', async (t) => {
  const dir = scratch(t);
  writeFileSync(join(dir, 'in.json'), '{"count": "x"}');
  const cases: [string[], number, RegExp][] = [
    [['run', 'tests/nope'], 3, /no template tests\/nope/],
    [['run', 'tests/flow@9.9.9'], 3, /tests\/flow@9\.9\.9/],
    [['run', 'flow'], 2, /namespace\/name/],
    [['run', 'tests/flow', '-i', '{'], 2, /not JSON/],
    [['run', 'tests/flow', '-i', '[1]'], 2, /object/],
    [['run', 'tests/flow', '-i', '@none.json'], 2, /none\.json cannot be read/],
    [['run', 'tests/strict', '-i', `@${join(dir, 'in.json')}`], 2, /count/],
    [['run', 'tests/flow', '-p', '7'], 2, /--priority must be a whole number from 0 to 3/],
    [['show', 'not-a-uuid'], 2, /UUID/],
    [['show', '01890a5d-ac96-774b-bcce-b302099a8057'], 3, /./],
    [['ls', '--status', 'sleeping'], 2, /pending/],
    [['ls', '--cursor', 'zzzz'], 2, /cursor/],
    [['ls', '--nope'], 2, /unknown option/],
    [['frobnicate'], 2, /unknown command/],
    [['show'], 2, /missing required argument/],
    [['--url', 'ftp://x', 'ls'], 2, /http:/],
  ];
  for (const [args, code, message] of cases) {
    const ran = await cli(args, { url });
    assert.equal(ran.code, code, `${args.join(' ')}: ${ran.err}`);
    assert.match(ran.err, message, args.join(' '));
    assert.equal(ran.out, '', args.join(' '));
  }
  const json = await cli(['run', 'tests/strict', '-i', '{}', '--json'], { url });
  const { error } = JSON.parse(json.err) as { error: { code: string; field: string; exit_code: number } };
  assert.deepEqual([error.code, error.field, error.exit_code], ['INVALID_INPUT', 'context.count', 2]);
});

test('no server: exit 4 and what to do', async () => {
  const ran = await cli(['ls'], { url: 'http://127.0.0.1:9' });
  assert.equal(ran.code, 4);
  assert.match(ran.err, /cannot reach the server at http:\/\/127\.0\.0\.1:9.*\n.*tutti serve/);
});

test('help fits 80 columns, names every command, and is no error', async () => {
  const commands = [
    [],
    ['dev'],
    ['serve'],
    ['run'],
    ['ls'],
    ['show'],
    ['explain'],
    ['cancel'],
    ['template'],
    ['template', 'ls'],
    ['template', 'show'],
    ['template', 'validate'],
    ['config'],
    ['config', 'show'],
  ];
  for (const command of commands) {
    const ran = await cli([...command, '--help'], { url, tty: { columns: 200, rows: 50 } });
    assert.equal(ran.code, 0);
    for (const line of ran.out.split('\n')) assert.ok(line.length <= 80, `${command.join(' ')}: ${line}`);
  }
  const help = (await cli(['--help'], { url })).out;
  for (const name of ['dev', 'serve', 'run', 'ls', 'show', 'explain', 'cancel', 'template', 'config']) assert.match(help, new RegExp(`^ {2}${name} `, 'm'));
});

test('template validate names every mistake with its file; exit 2', async (t) => {
  const dir = scratch(t);
  writeFileSync(join(dir, 'good.yaml'), 'name: a\nnamespace_name: b\nversion: "1.0.0"\nsteps:\n  - name: s\n    handler: { callable: x }\n');
  writeFileSync(
    join(dir, 'bad.yaml'),
    'name: a\nnamespace_name: b\nversion: "1.0.0"\nsteps:\n  - name: s\n    handler: { callable: x }\n    depends_on: [t]\n',
  );
  const good = await cli(['template', 'validate', 'good.yaml'], { cwd: dir });
  assert.deepEqual([good.code, good.out], [0, 'good.yaml: ok, b/a@1.0.0\n']);
  const bad = await cli(['template', 'validate', 'good.yaml', 'bad.yaml', 'none.yaml'], { cwd: dir });
  assert.equal(bad.code, 2);
  assert.match(bad.err, /bad\.yaml:\d+: step "s": depends_on/);
  assert.match(bad.err, /none\.yaml: there is no such file/);
});
