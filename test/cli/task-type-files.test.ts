/** Task types and resource kinds out of users' files. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadFiles } from '../../src/cli/load-files.ts';
import { BIN, cli, ROOT, scratch, Spawned } from './cli-harness.ts';

const COUNT = `export const count = { name: 'Count', description: 'counts', nextBatch: () => ({ kind: 'done' }), subtask: () => 1 };\n`;
const MODULE = `import { defineResourceKind, defineTaskType, handler } from '${ROOT}/src/main.ts';
${COUNT}export const more = [
  defineTaskType({ name: 'More', nextBatch: () => ({ kind: 'done' }), subtask: () => 1 }),
  count,
  handler('work', () => 1),
];
export const feed = defineResourceKind({ name: 'feed' });
export const again = feed;
export const handlers = { client: { name: 'x', nextBatch: () => 1 } };
export const settings = { name: 'feed', size: 3 };
`;

test('a module may export task types and kinds, alone or in lists, beside handlers; each is taken once', async (t) => {
  const cwd = scratch(t);
  writeFileSync(join(cwd, 'all.ts'), MODULE);
  const loaded = await loadFiles(['all.ts'], cwd);
  assert.deepEqual(loaded.taskTypes.map((x) => x.name).sort(), ['Count', 'More']);
  assert.deepEqual(
    loaded.resourceKinds.map((k) => k.name),
    ['feed'],
  );
  assert.deepEqual(loaded.handlers.map((h) => h.name).sort(), ['client', 'work']);
  assert.deepEqual(loaded.templates, []);
});

test('template validate checks task types, too; of one that is half there it says what is missing', async (t) => {
  const cwd = scratch(t);
  writeFileSync(join(cwd, 'good.ts'), COUNT);
  writeFileSync(join(cwd, 'half.ts'), `export const half = { name: 'Half', subtask: () => 1 };\n`);
  writeFileSync(join(cwd, 'empty.ts'), 'export const n = 1;\n');
  const good = await cli(['template', 'validate', 'good.ts'], { cwd });
  assert.deepEqual([good.code, good.out], [0, 'good.ts: ok, task type Count\n']);
  const bad = await cli(['template', 'validate', 'good.ts', 'half.ts', 'empty.ts'], { cwd });
  assert.equal(bad.code, 2);
  assert.match(bad.err, /half\.ts: task type "Half": nextBatch must be a function, not nothing/);
  assert.match(bad.out, /empty\.ts: holds no template/);
});

test('serve refuses a task type that cannot be used, before it makes a store', async (t) => {
  const cwd = scratch(t);
  writeFileSync(join(cwd, 'bad.ts'), COUNT.replace("'Count'", "'Co_unt'"));
  const ran = new Spawned([BIN, 'serve', '--port', '0', '--store', 's.db', 'bad.ts'], { cwd });
  assert.equal(await ran.ended(), 2, ran.err);
  assert.match(ran.err, /task type "Co_unt": name must be/);
});

test('serve has them; dev takes up a changed one when its file is saved', async (t) => {
  const cwd = scratch(t);
  const file = join(cwd, 'count.ts');
  writeFileSync(file, COUNT);
  const server = new Spawned([BIN, 'dev', '--port', '0', '--store', ':memory:', 'count.ts'], { cwd });
  t.after(() => server.kill('SIGKILL'));
  const [, url] = await server.until(/serving on (http:\/\/\S+)/);
  assert.match(server.out, / {2}task type Count\n/);
  const described = async (): Promise<unknown> => /"Count"[^}]*"description":"([^"]*)"/.exec(await (await fetch(`${url}/tasks/tasktypes`)).text())?.[1];
  assert.equal(await described(), 'counts');
  writeFileSync(file, COUNT.replace("'counts'", "'counts further'"));
  await server.until(/reloaded task type Count\n/);
  assert.equal(await described(), 'counts further');
  // What is wrong is told, and what was there stays.
  writeFileSync(file, COUNT.replace('subtask: () => 1', 'subtask: 1'));
  while (!server.err.includes('task type "Count": subtask must be a function, not 1')) await new Promise((next) => server.child.stderr?.once('data', next));
  assert.equal(await described(), 'counts further');
  server.kill('SIGTERM');
  assert.equal(await server.ended(), 0, server.err);
});
