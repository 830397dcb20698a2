import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import type { WireEventPage, WireGlobalEvent } from '../../src/contract/wire.ts';
import { type Served, serve, template } from '../../src/main.ts';
import { runCli } from '../../src/cli/run-cli.ts';
import { cli } from './cli-harness.ts';

const flow = template('tests/flow@1.0.0')
  .step('first', async () => 1)
  .step('second', { after: ['first'] }, async () => 2);
const lone = template('tests/lone@1.0.0').step('only', async () => 1);

let served: Served;
let url: string;
let flowId: string;
before(async () => {
  const { config } = loadConfig({ env: { TUTTI_STORE_PATH: ':memory:', TUTTI_WEB_PORT: '0', TUTTI_LOG_LEVEL: 'silent' }, cwd: '/' });
  served = await serve(config, { templates: [flow, lone] });
  url = served.url as string;
  const task = await served.tutti.submit(flow, {});
  await task.done();
  flowId = task.id;
  await (await served.tutti.submit(lone, {})).done();
});
after(() => served.stop());

test('events lists what happened, oldest first, and says where to go on', async () => {
  const all = await cli(['events'], { url });
  assert.equal(all.code, 0, all.err);
  const lines = all.out.trimEnd().split('\n');
  assert.match(lines[0], new RegExp(`^${flowId}  tests/flow  .*first  in_progress  attempt 1$`));
  assert.match(lines.at(-1)!, /tests\/lone .*task is complete$/);
  const some = await cli(['events', '--limit', '2'], { url });
  assert.deepEqual(some.out.trimEnd().split('\n'), lines.slice(0, 2));
  const cursor = /^more: --after (\S+)$/m.exec(some.err)![1];
  assert.deepEqual((await cli(['events', '--after', cursor], { url })).out.trimEnd().split('\n'), lines.slice(2));
});

test('events: filters, JSON, and what is refused', async () => {
  const page = JSON.parse(
    (await cli(['events', '--json', '--type', 'task.state', '--task', flowId, '--state', 'complete, error'], { url })).out,
  ) as WireEventPage;
  assert.deepEqual([page.events.map((e) => e.data.state), page.has_more], [['complete'], false]);
  assert.equal((await cli(['events', '--name', 'lone', '-n', 'tests'], { url })).out.match(/tests\/lone/g)!.length, 4);
  assert.match((await cli(['events', '-n', 'nobody'], { url })).err, /^no events$/m);
  for (const [args, code] of [
    [['--type', 'nonsense'], 2],
    [['--after', 'nonsense'], 2],
    [['--limit', '0'], 2],
    [['--follow', '--limit', '5'], 2],
    [['--task', '01900000-0000-7000-8000-000000000001'], 3],
  ] as const) {
    const ran = await cli(['events', ...args], { url });
    assert.equal(ran.code, code, `${args.join(' ')}: ${ran.err}`);
  }
});

test('events --follow goes on with what happens, until interrupted, and names the place', async () => {
  const abort = new AbortController();
  const stdout = new PassThrough() as unknown as NodeJS.WriteStream;
  const stderr = new PassThrough() as unknown as NodeJS.WriteStream;
  const told = new EventEmitter();
  const following = runCli(['events', '--follow', '--json', '--name', 'lone'], { stdout, stderr, environment: { url, noColor: true } as never }, abort.signal);
  const seen: WireGlobalEvent[] = [];
  const reading = (async () => {
    for await (const line of createInterface({ input: stdout as unknown as NodeJS.ReadableStream })) {
      seen.push((JSON.parse(line) as { event: WireGlobalEvent }).event);
      told.emit('event');
    }
  })();
  while (seen.length < 4) await once(told, 'event');
  const task = await served.tutti.submit(lone, {});
  while (seen.at(-1)?.task_uuid !== task.id || seen.at(-1)?.data.state !== 'complete' || seen.at(-1)?.type !== 'task.state') await once(told, 'event');
  abort.abort();
  assert.equal(await following, 130);
  stdout.end();
  await reading;
  const said = String(stderr.read());
  assert.match(said, new RegExp(`tutti events --follow --after ${seen.at(-1)!.cursor!.replaceAll('.', '\\.')}"`));
  assert.deepEqual(new Set(seen.map((e) => e.name)), new Set(['lone']));
});
