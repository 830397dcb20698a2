import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { Tutti } from '../../src/main.ts';
import { cli, ROOT, scratch, Spawned } from './cli-harness.ts';

const sample = (name: string): string => join(ROOT, 'examples', name);

test('hello.ts needs no server and prints its result', async (t) => {
  const ran = new Spawned([sample('hello.ts')], { cwd: scratch(t) });
  assert.equal(await ran.ended(), 0, ran.err);
  assert.equal(ran.out, "{ ship: { notified: { state: 'complete', value: 'sent' } } }\n");
  assert.equal(ran.err, '');
});

test('the demo completes both samples and exits 0, though its port is taken', async (t) => {
  const cwd = scratch(t);
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const ran = new Spawned([sample('start.ts'), '--demo'], { cwd, env: { TUTTI_WEB_PORT: String(port), TUTTI_API_KEY: 'secret' } });
  assert.equal(await ran.ended(), 0, ran.err + ran.out);
  assert.match(ran.out, /✔ orders\/order_fulfillment@1\.0\.0 +\S* *complete/);
  assert.match(ran.out, /process_payment +complete +2\/5/);
  assert.match(ran.out, /✔ reports\/index_folder@1\.0\.0 +\S* *complete/);
  assert.match(ran.out, /4 orders shipped for 405\.20 EUR/);
  assert.match(ran.out, /FileIngestionTask  batch 18  COMPLETED  3 of 3 complete/);
  assert.match(ran.out, /every task and plan completed/);
  const report = readFileSync(join(cwd, '.tutti/report.md'), 'utf8');
  assert.match(report, /\| TypeScript \| [\d,]+ \| [\d,]+ \| [\d,]+ \|/);
  assert.match(report, /## Largest files/);
});

test('start: killed with -9 in the middle and started again, it finishes what was running, and takes work with a key', async (t) => {
  const cwd = scratch(t);
  const env = { TUTTI_WEB_PORT: '0', TUTTI_API_KEY: 'secret' };
  const first = new Spawned([sample('start.ts')], { cwd, env });
  await first.until(/order_fulfillment {2}process_payment {2}in_progress/);
  first.kill('SIGKILL');
  assert.equal(await first.ended(), 'SIGKILL');

  const second = new Spawned([sample('start.ts')], { cwd, env });
  const [, url] = await second.until(/API +(http:\S+)\/v1\/tasks/);
  assert.match(second.out, /going on with [12] unfinished tasks? of the last run/);
  assert.equal((second.out.match(/✔ orders\/order_fulfillment@1\.0\.0 +\S* *complete/g) ?? []).length, 2, second.out);
  assert.doesNotMatch(second.out, /^✘/m);

  assert.equal((await cli(['ls'], { url })).code, 5, 'without the key');
  const run = await cli(['run', 'orders/order_fulfillment', '-i', '{"pace_ms":0}', '--watch'], { url, apiKey: 'secret' });
  assert.equal(run.code, 0, run.err);

  const long = await cli(['run', 'orders/order_fulfillment', '-i', '{"pace_ms":60000}'], { url, apiKey: 'secret' });
  assert.equal(long.code, 0);
  second.kill('SIGINT');
  await second.until(/stopping: 1 running handler has at most 30 s/);
  second.kill('SIGINT');
  assert.equal(await second.ended(), 130);
});

test('index_folder reports links, binaries, twins and what cannot be read, in the same order every time', async (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'sub/deep'), { recursive: true });
  mkdirSync(join(folder, 'node_modules'));
  writeFileSync(join(folder, 'node_modules/no.ts'), 'x');
  writeFileSync(join(folder, 'a|b.md'), 'one\ntwo');
  writeFileSync(join(folder, 'sub/twin.txt'), 'same text\n');
  writeFileSync(join(folder, 'sub/deep/twin2.txt'), 'same text\n');
  writeFileSync(join(folder, 'data'), Buffer.from([1, 0, 2, 0]));
  writeFileSync(join(folder, 'tool'), '#!/bin/sh\necho hi\n');
  writeFileSync(join(folder, 'empty.json'), '');
  symlinkSync(join(folder, 'sub'), join(folder, 'loop'));
  symlinkSync('/nowhere', join(folder, 'broken'));
  writeFileSync(join(folder, 'locked.txt'), 'secret');
  chmodSync(join(folder, 'locked.txt'), 0);

  const { indexFolder } = await import('../../examples/index-folder.ts');
  const tutti = await Tutti.open({ store: ':memory:', templates: [indexFolder], logger: () => {} });
  t.after(() => tutti.close());
  // Reports go below the working directory, wherever the tests run; the names keep them apart.
  const name = `test-${process.pid}.md`;
  const run = async (): Promise<{ text: string; result: Awaited<ReturnType<typeof submit>> }> => {
    const result = await submit();
    return { text: readFileSync(result.report, 'utf8'), result };
  };
  const submit = async () => (await (await tutti.submit(indexFolder, { folder, report: name })).result()).report;
  const { rmSync } = await import('node:fs');
  t.after(() => rmSync(join('.tutti', name), { force: true }));
  const one = await run();
  assert.equal((await run()).text, one.text);
  const asRoot = process.getuid?.() === 0;
  assert.equal(one.result.files, asRoot ? 7 : 6);
  assert.equal(one.result.links, 2);
  assert.equal(one.result.unreadable, asRoot ? 0 : 1);
  assert.match(one.text, /\| a\\\|b\.md \| Markdown \| 2 \| 7 \|/);
  assert.match(one.text, /\| data \| Binary \| 0 \| 4 \|/);
  assert.match(one.text, /\| tool \| Script \| 2 \| 18 \|/);
  assert.match(one.text, /## Same content[\s\S]*sub\/deep\/twin2\.txt, sub\/twin\.txt/);
  assert.match(one.text, /## Links, not followed\n\n- broken\n- loop\n/);
  assert.ok(!one.text.includes('no.ts'));

  const gone = await tutti.submit(indexFolder, { folder: join(folder, 'none') });
  assert.match((await gone.done()).failedSteps[0].error?.message ?? '', /cannot be read as a folder: ENOENT/);
  await assert.rejects(tutti.submit(indexFolder, { report: '../escape.md' }), (e: { code?: string }) => e.code === 'INVALID_INPUT');
});

test('orders: an empty context is the demo, and a task cannot name a file elsewhere', async (t) => {
  const { orderFulfillment } = await import('../../examples/orders.ts');
  const tutti = await Tutti.open({ store: ':memory:', templates: [orderFulfillment], logger: () => {} });
  t.after(() => tutti.close());
  const task = await tutti.submit('orders/order_fulfillment@1.0.0', {});
  assert.equal((await task.done()).state, 'complete');
  const byStep = new Map((await task.steps()).map((s) => [s.name, s.result as Record<string, unknown[]>]));
  assert.deepEqual(byStep.get('validate')?.rejected, [
    { id: 'A-1005', reason: 'priya.example.org is no mail address' },
    { id: 'A-1007', reason: 'the card number is mistyped' },
  ]);
  assert.deepEqual(byStep.get('reserve_inventory')?.backordered, [{ id: 'A-1004', sku: 'TEA-SENCHA-100', missing: 1 }]);
  const outside = await tutti.submit(orderFulfillment, { orders_file: '../../package.json', pace_ms: 0 });
  const end = await outside.done();
  assert.equal(end.state, 'error');
  assert.match(end.failedSteps[0].error?.message ?? '', /must be the name of a file in examples\/data/);
});
