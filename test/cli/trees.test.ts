import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { noteOf, templateOf } from '../../src/cli/wire-tree.ts';
import { loadConfig } from '../../src/config.ts';
import { type Served, serve } from '../../src/main.ts';
import { cli, scratch } from './cli-harness.ts';

let served: Served;
let url: string;
before(async () => {
  const { config } = loadConfig({ env: { TUTTI_STORE_PATH: ':memory:', TUTTI_WEB_PORT: '0', TUTTI_LOG_LEVEL: 'silent' }, cwd: '/' });
  served = await serve(config, { handlers: { noop: () => 1 } });
  url = served.url as string;
});
after(() => served.stop());

test('run --tree takes JSON, YAML and lines; --watch follows it', async (t) => {
  const cwd = scratch(t);
  const tree = [{ name: 'root' }, { name: 'a', handler: 'noop', parent_id: 'root' }];
  writeFileSync(join(cwd, 'tree.json'), JSON.stringify({ tasks: tree }));
  writeFileSync(join(cwd, 'tree.ndjson'), tree.map((e) => `${JSON.stringify(e)}\n`).join(''));
  writeFileSync(join(cwd, 'tree.yaml'), '- name: root\n- name: a\n  handler: noop\n  parent_id: root\n');
  for (const file of ['tree.json', 'tree.ndjson', 'tree.yaml']) {
    const ran = await cli(['run', '--tree', file, '--tag', 'night', '--key', file, '--json'], { url, cwd });
    assert.equal(ran.code, 0, ran.err);
    const task = JSON.parse(ran.out) as { task_uuid: string; total_steps: number; tags: string[]; key: string };
    assert.deepEqual([task.total_steps, task.tags, task.key], [2, ['night'], file]);
    assert.equal((await (await served.tutti.get(task.task_uuid)).done()).state, 'complete');
  }
  const watched = await cli(['run', '--tree', 'tree.json', '--watch'], { url, cwd });
  assert.equal(watched.code, 0, watched.err);
});

test('where a task of a template has its name, a tree says that it is one', async () => {
  const task = await served.tutti.submitTree([{ name: 'listed', handler: 'noop' }], { key: 'the listed one' });
  await task.done();
  const listed = await cli(['ls', '--key', 'the listed one'], { url });
  assert.match(listed.out, new RegExp(`^ID +TEMPLATE .*\n${task.id} +tree +complete +1/1 .*\n$`));
  const events = await cli(['events', '--task', task.id, '--type', 'task.state'], { url });
  assert.match(events.out, new RegExp(`^${task.id} {2}tree {2}.*task is complete$`, 'm'));
});

test("a cancelled step says why; one that a person cancelled, in that person's words", () => {
  for (const [reason, error, note] of [
    [null, null, null],
    [null, { message: 'broke' }, 'broke'],
    ['dependency_failed', { message: 'step a: broke' }, 'dependency_failed'],
    ['by_request', { message: 'nobody waits' }, 'by_request: nobody waits'],
    ['by_request', null, 'by_request'],
  ] as const)
    assert.equal(noteOf({ reason, error }), note);
});

test('a batch of a plan is listed as that', () => {
  const task = { namespace: '', name: '', origin: null, initiator: 'plan', key: 'Task_My_Task_47a8b3e6-6c08-43f7-9c41-f7b5a163941a_12' };
  assert.equal(templateOf(task), 'My_Task batch 12');
  assert.equal(templateOf({ ...task, initiator: 'cli' }), 'tree');
  assert.equal(templateOf({ ...task, key: null }), 'tree');
});

test('what was made of another task is listed as that, and shown with where it came from', async () => {
  const task = await served.tutti.submitTree([{ name: 'first', handler: 'noop' }]);
  await task.done();
  for (const [mode, words] of [
    ['copy', `copy of ${task.id}\n`],
    ['link', `link to ${task.id}: its results are read from there`],
    ['archive', `archive of ${task.id}: how everything stood then; nothing of it runs or changes`],
    ['mixed', `copy of ${task.id}, with some steps linked`],
  ]) {
    const made = (await cli(['copy', task.id, '--mode', mode, ...(mode === 'mixed' ? ['--link', 'first'] : [])], { url })).out.trim();
    const listed = await cli(['ls'], { url });
    assert.match(listed.out, new RegExp(`^${made} +${mode} `, 'm'));
    assert.ok((await cli(['show', made], { url })).out.includes(`  origin    ${words}`));
    const json = JSON.parse((await cli(['show', made, '--json'], { url })).out) as { origin: object };
    assert.deepEqual(json.origin, { type: mode, task_uuid: task.id });
  }
  assert.doesNotMatch((await cli(['show', task.id], { url })).out, /origin/);
});

test('copy says which options its modes want', async () => {
  const task = await served.tutti.submitTree([{ name: 'kept', handler: 'noop' }]);
  await task.done();
  for (const [args, message] of [
    [['--mode', 'mixed'], /--mode mixed wants --link/],
    [['--mode', 'copy', '--link', 'kept'], /--link belongs to --mode mixed, not copy/],
  ] as const) {
    const refused = await cli(['copy', task.id, ...args], { url });
    assert.equal(refused.code, 2);
    assert.match(refused.err, message);
  }
  assert.equal((await cli(['copy', task.id, '--mode', 'mixed', '--link', 'kept'], { url })).code, 0);
  const both = await cli(['copy', task.id, '--mode', 'mixed', '--link', 'nobody', '--link', 'kept'], { url });
  assert.match(both.err, /nobody/);
});

test('run --tree --no-execute stores it; cancel --step ends one of its steps', async (t) => {
  const cwd = scratch(t);
  writeFileSync(
    join(cwd, 'tree.json'),
    JSON.stringify([
      { name: 'a', id: 'my a', handler: 'noop' },
      { name: 'b', handler: 'noop', dependencies: ['a'] },
    ]),
  );
  const id = (await cli(['run', '--tree', 'tree.json', '--no-execute'], { url, cwd })).out.trim();
  const ended = await cli(['cancel', id, '--step', 'my a', '--reason', 'not now'], { url });
  assert.deepEqual([ended.code, ended.out.trim()], [0, 'cancelled']);
  assert.equal((await (await served.tutti.get(id)).step('my a')).error?.message, 'not now');
  const again = await cli(['cancel', id, '--step', 'my a'], { url });
  assert.equal(again.code, 5);
});

test('what is wrong with the file or the usage is said before anything is stored', async (t) => {
  const cwd = scratch(t);
  const before = (await served.tutti.list()).tasks.length;
  writeFileSync(join(cwd, 'broken.json'), '[');
  writeFileSync(join(cwd, 'broken.ndjson'), '{"name":"a","handler":"noop"}\n{"na\n');
  writeFileSync(join(cwd, 'wrong.json'), '[{"name":"a","handler":"noop","dependencis":[]}]');
  writeFileSync(join(cwd, 'tree.txt'), '[]');
  for (const [args, message] of [
    [['--tree', 'broken.json'], /broken\.json is not JSON/],
    [['--tree', 'broken.ndjson'], /line 2 of broken\.ndjson is not JSON/],
    [['--tree', 'wrong.json'], /did you mean dependencies/],
    [['--tree', 'tree.txt'], /must end in/],
    [['--tree', 'absent.json'], /cannot be read/],
    [['--tree', 'absent.ndjson'], /cannot be read/],
    [[], /name a template, or give a tree/],
    [['tests/flow', '--tree', 'wrong.json'], /name a template, or give a tree/],
  ] as [string[], RegExp][]) {
    const ran = await cli(['run', ...args], { url, cwd });
    assert.equal(ran.code, 2, `${args.join(' ')}: ${ran.err}`);
    assert.match(ran.err, message);
  }
  assert.equal((await served.tutti.list()).tasks.length, before);
});
