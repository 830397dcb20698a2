import assert from 'node:assert/strict';
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BIN, cli, ROOT, scratch, Spawned } from './cli-harness.ts';

const READY = /serving on (http:\/\/\S+)/;

test('serve: files of the configuration and of the command line, a key, drain on the first signal', async (t) => {
  const cwd = scratch(t);
  mkdirSync(join(cwd, 'config/tutti/base'), { recursive: true });
  writeFileSync(
    join(cwd, 'config/tutti/base/orchestration.toml'),
    `[orchestration.web]\nport = 0\napi_keys = ["k"]\n[orchestration.grpc]\nenabled = true\n[orchestration.templates]\npaths = [${JSON.stringify(join(ROOT, 'examples/templates'))}]\n`,
  );
  const server = new Spawned([BIN, 'serve', join(ROOT, 'examples/templates/word-count-handlers.ts')], { cwd });
  const [, url] = await server.until(READY);
  assert.equal((await cli(['template', 'ls'], { url })).code, 5);
  const ran = await cli(['run', 'texts/word_count', '-i', '{"text":"a b a"}', '--watch', '--json'], { url, apiKey: 'k' });
  assert.equal(ran.code, 0, ran.err);
  const summary = await cli(['show', JSON.parse(ran.out.trimEnd().split('\n').at(-1) as string).task.task_uuid as string, 'summary', '--json'], {
    url,
    apiKey: 'k',
  });
  assert.deepEqual((JSON.parse(summary.out) as { results: unknown }).results, { words: 3, most: 'a', longest: ['a', 'b'] });
  assert.match(server.err, /gRPC is not there yet/);
  server.kill('SIGTERM');
  assert.equal(await server.ended(), 0, server.err);
});

test('serve refuses what must not start, with code 2 and the reason, before it makes a store', async (t) => {
  const cwd = scratch(t);
  const cases: [Record<string, string>, string[], RegExp, number][] = [
    [{ TUTTI_WEB_HOST: '0.0.0.0', TUTTI_WEB_PORT: '0' }, [], /no API key/, 2],
    [{ TUTTI_WEB_PROT: '1' }, [], /Did you mean TUTTI_WEB_PORT/, 2],
    [{}, ['--port', 'x'], /--port .*whole number/, 2],
    [{}, ['none.yaml'], /none\.yaml: there is no such file/, 2],
  ];
  for (const [env, args, message, code] of cases) {
    const ran = new Spawned([BIN, 'serve', '--store', 's.db', ...args], { cwd, env });
    assert.equal(await ran.ended(), code, ran.err);
    assert.match(ran.err, message);
  }
  const { readdirSync } = await import('node:fs');
  assert.deepEqual(readdirSync(cwd), []);
});

test('a store file that cannot be used is code 2: trying again would not help', async (t) => {
  const cwd = scratch(t);
  writeFileSync(join(cwd, 's.db'), 'this is no database, and never will be one'.repeat(200));
  const ran = new Spawned([BIN, 'serve', '--port', '0', '--store', 's.db'], { cwd });
  assert.equal(await ran.ended(), 2, ran.err);
  assert.match(ran.err, /not an SQLite database/);
});

test('a second server on the same store is refused with code 5, one on the same port with code 2', async (t) => {
  const cwd = scratch(t);
  const first = new Spawned([BIN, 'serve', '--port', '0', '--store', 's.db'], { cwd });
  const [, url] = await first.until(READY);
  await first.until(/^serving on \S+ {2}\(API docs: \S+\/docs\)\nstoring in (\/\S+)\n/);
  assert.ok(first.out.includes(`storing in ${join(realpathSync(cwd), 's.db')}\n`), first.out);
  // To a pipe the log is JSON.
  assert.match(first.err, /^\{"level":30,.*Server listening at/);
  const second = new Spawned([BIN, 'serve', '--port', '0', '--store', 's.db'], { cwd });
  assert.equal(await second.ended(), 5, second.err);
  assert.match(second.err, /in use by another Tutti process/);
  const third = new Spawned([BIN, 'serve', '--port', new URL(url).port, '--store', 'other.db'], { cwd });
  assert.equal(await third.ended(), 2, third.err);
  assert.match(third.err, /port \d+ .*in use/);
  first.kill('SIGINT');
  assert.equal(await first.ended(), 0);
});

test('dev reloads a changed file and what it imports, keeps going over a broken one, and makes revisions', async (t) => {
  const cwd = scratch(t);
  // A folder in the checkout, so that the sample file finds the package by its name.
  const dir = join(ROOT, '.tutti', `dev-test-${process.pid}`);
  mkdirSync(dir, { recursive: true });
  const { rmSync } = await import('node:fs');
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const flow = (steps: string): string =>
    `import { template } from 'tutti';\nimport { word } from './word.ts';\nexport const flow = template('dev/flow@1.0.0').step('say', async () => word)${steps};\n`;
  writeFileSync(join(dir, 'word.ts'), "export const word = 'one';\n");
  writeFileSync(join(dir, 'flow.ts'), flow(''));
  const server = new Spawned([BIN, 'dev', '--port', '0', join(dir, 'flow.ts')], { cwd });
  t.after(() => server.kill('SIGKILL'));
  const [, url] = await server.until(READY);
  const said = async (): Promise<unknown> => {
    const ran = await cli(['run', 'dev/flow', '--watch', '--json'], { url });
    assert.equal(ran.code, 0, ran.err);
    const { task } = JSON.parse(ran.out.trimEnd().split('\n').at(-1) as string) as { task: { task_uuid: string } };
    return (JSON.parse((await cli(['show', task.task_uuid, 'say', '--json'], { url })).out) as { results: unknown }).results;
  };
  assert.equal(await said(), 'one');

  let mark = server.out.length;
  writeFileSync(join(dir, 'word.ts'), "export const word = 'two';\n");
  await server.until(/reloaded dev\/flow@1\.0\.0/, mark);
  assert.equal(await said(), 'two');

  mark = server.out.length;
  writeFileSync(join(dir, 'flow.ts'), flow(".step('more', { after: ['say'] }, async () => 1)"));
  await server.until(/reloaded dev\/flow@1\.0\.0, revision 2/, mark);

  writeFileSync(join(dir, 'flow.ts'), 'export const flow = ;');
  while (!server.err.includes('cannot be loaded')) await new Promise((next) => server.child.stderr?.once('data', next));
  assert.equal(await said(), 'two', 'what was loaded before goes on working');

  server.kill('SIGINT');
  assert.equal(await server.ended(), 0, server.err);
});

test('the command line ends quietly when its reader goes away', async (t) => {
  const ran = new Spawned([BIN, 'config', 'show'], { cwd: scratch(t) });
  ran.child.stdout?.destroy();
  assert.equal(await ran.ended(), 0);
  assert.equal(ran.err, '');
});
