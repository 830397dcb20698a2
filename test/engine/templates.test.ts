import assert from 'node:assert/strict';
import { test } from 'node:test';
import { graph, oneStep, openEngine, step } from './engine-setup.ts';

test('versions are immutable: the same graph again is welcome, another is refused with the difference, dev makes a revision', async () => {
  const e = await openEngine();
  const first = await e.engine.register(oneStep('one'));
  assert.equal((await e.engine.register(oneStep('one'))).revision, first.revision);
  const other = graph('one', [step('one', [], { timeoutMs: 5 }), step('two', ['one'])]);
  await assert.rejects(
    e.engine.register(other),
    (err: Error & { code: string }) => err.code === 'TEMPLATE_CONFLICT' && /step two added/.test(err.message) && /timeoutMs/.test(err.message),
  );
  assert.equal((await e.engine.register(other, { dev: true })).revision, 2);
  assert.equal(e.engine.template({ namespace: 't', name: 'one', version: '1.0.0' })?.definition.steps.length, 2);
  await e.close();
});

test('of different graphs under one version that come together one is kept, the others are a conflict; in dev all are revisions', async () => {
  const e = await openEngine();
  const five = ['a', 'b', 'c', 'd', 'e'].map((name) => graph('race', [step(name)]));
  const settled = await Promise.allSettled(five.map((g) => e.engine.register(g)));
  assert.deepEqual(
    settled.map((s) => (s.status === 'fulfilled' ? 'kept' : (s.reason as { code: string }).code)),
    ['kept', ...Array<string>(4).fill('TEMPLATE_CONFLICT')],
  );
  const revisions = await Promise.all(five.map((g) => e.engine.register(g, { dev: true })));
  assert.deepEqual(
    revisions.map((r) => r.revision),
    [1, 2, 3, 4, 5],
  );
  assert.equal(e.engine.template({ namespace: 't', name: 'race', version: '1.0.0' })?.definition.steps[0].name, 'e');
  assert.deepEqual(e.logged, []);
  await e.close();
});

test('a running task keeps the graph it was submitted with and gets the newest code', async () => {
  const e = await openEngine({ slots: 1 });
  await e.engine.register(graph('flow', [step('a'), step('b', ['a'])]));
  let open: (v: string) => void = () => {};
  e.worker.handle('a', () => new Promise((resolve) => (open = resolve)));
  e.worker.handle('b', async () => '"old code"');
  const t = await e.engine.submit({ namespace: 't', name: 'flow', input: {} });
  await e.worker.arrived(1);
  await e.engine.register(graph('flow', [step('a'), step('b', ['a']), step('c', ['b'])]), { dev: true });
  e.worker.handle('b', async () => '"new code"');
  open('1');
  assert.equal((await e.engine.done(t.id)).state, 'complete');
  assert.deepEqual(
    (await e.engine.steps(t.id)).map((s) => [s.name, s.result]),
    [
      ['a', 1],
      ['b', 'new code'],
    ],
  );
  await e.close();
});

test('the highest version is taken when none is named; a pre-release goes before its release', async () => {
  const e = await openEngine();
  e.worker.handle('one', async () => '1');
  for (const version of ['1.9.0', '1.10.0', '1.10.0-rc.1']) await e.engine.register(graph('one', [step('one')], { version }));
  assert.equal((await e.engine.submit({ namespace: 't', name: 'one', input: {} })).version, '1.10.0');
  await assert.rejects(e.engine.submit({ namespace: 't', name: 'one', version: '2.0.0', input: {} }), { code: 'TEMPLATE_NOT_FOUND' });
  await e.close();
});

test('a pre-release is taken only where there is no release, however high it is', async () => {
  const e = await openEngine();
  e.worker.handle('one', async () => '1');
  const version = async (): Promise<string> => (await e.engine.submit({ namespace: 't', name: 'one', input: {} })).version;
  const register = async (v: string): Promise<unknown> => await e.engine.register(graph('one', [step('one')], { version: v }));
  await register('2.0.0-rc.1');
  assert.equal(await version(), '2.0.0-rc.1');
  await register('1.10.0');
  assert.equal(await version(), '1.10.0');
  await register('3.0.0-alpha');
  await register('1.9.0');
  assert.equal(await version(), '1.10.0');
  await register('2.0.0+build-7');
  assert.equal(await version(), '2.0.0+build-7', 'a hyphen in build metadata makes no pre-release');
  await e.close();
});

test('an unknown handler is refused at submit in a closed engine, and waits with its reason in an open one', async () => {
  const e = await openEngine();
  await e.engine.register(oneStep('one'));
  await assert.rejects(e.engine.submit({ namespace: 't', name: 'one', input: {} }), { code: 'UNKNOWN_HANDLER' });
  assert.equal((await e.engine.list({})).tasks.length, 0);
  await e.close();
  const open = await openEngine({ config: { openToWorkers: true } });
  await open.engine.register(oneStep('one'));
  const t = await open.engine.submit({ namespace: 't', name: 'one', input: {} });
  assert.equal((await open.engine.explain(t.id))[0].gates[0].kind, 'no_handler');
  open.worker.handle('one', async () => '1');
  assert.equal((await open.engine.done(t.id)).state, 'complete');
  await open.close();
});

test('a template that breaks a rule changes nothing', async () => {
  const e = await openEngine();
  await assert.rejects(
    e.engine.register(graph('bad', [step('a', ['b']), step('b', ['a'])])),
    (err: Error & { code: string }) => err.code === 'INVALID_TEMPLATE' && /a.*b.*a/.test(err.message),
  );
  await assert.rejects(e.engine.register(graph('bad', [step('a'), step('a')])), { code: 'INVALID_TEMPLATE' });
  assert.deepEqual(e.engine.templates(), []);
  await e.close();
});
