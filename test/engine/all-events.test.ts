import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_RETRY } from '../../src/core/definition.ts';
import type { EventFilter, GlobalEvent } from '../../src/engine/views.ts';
import { graph, oneStep, type Opened, openEngine, step } from './engine-setup.ts';

const chain = graph('chain', [step('one'), step('two', ['one'])]);
const other = { definition: { ...oneStep('other').definition, namespace: 'u' } };

const opened = async (o: Parameters<typeof openEngine>[0] = {}): Promise<Opened> => {
  const e = await openEngine(o);
  for (const r of [chain, other]) await e.engine.register(r);
  for (const name of ['one', 'two', 'other']) e.worker.handle(name, async () => '1');
  return e;
};
const run = async (e: Opened, name: 'chain' | 'other' = 'chain'): Promise<string> => {
  const { id } = await e.engine.submit({ namespace: name === 'chain' ? 't' : 'u', name, input: {} });
  await e.engine.done(id);
  return id;
};
/** The whole log, page by page. */
const whole = async (e: Opened, o: EventFilter & { after?: string } = {}, limit = 7): Promise<GlobalEvent[]> => {
  const all: GlobalEvent[] = [];
  let { after } = o;
  for (;;) {
    const page = await e.engine.eventPage({ ...o, after, limit });
    assert.ok(page.events.length <= limit);
    all.push(...page.events);
    after = page.nextCursor;
    if (!page.hasMore) return all;
  }
};
const take = async (events: AsyncIterable<GlobalEvent>, n: number): Promise<GlobalEvent[]> => {
  const all: GlobalEvent[] = [];
  if (n === 0) return all;
  for await (const e of events) {
    all.push(e);
    if (all.length === n) break;
  }
  return all;
};
const keys = (all: GlobalEvent[]): string[] => all.map((x) => `${x.taskId} ${x.seq}`);
const word = (e: GlobalEvent): string => `${(e.data.step as string | undefined) ?? e.name} ${e.data.state as string}`;

test('the log of all tasks says of each what its own stream says, in the order of commits', async () => {
  const e = await opened();
  const ids = [await run(e), await run(e, 'other'), await run(e)];
  const all = await whole(e);
  for (const id of ids) {
    const own = (await Array.fromAsync(e.engine.events(id))).filter((x) => x.seq !== undefined).map(({ last: _, ...x }) => x);
    const here = all.filter((x) => x.taskId === id).map(({ cursor: _, namespace: _n, name: _m, ...x }) => x);
    assert.deepEqual(here, own);
  }
  assert.deepEqual([...new Set(all.map((x) => x.taskId))], ids);
  assert.deepEqual(all.slice(0, 6).map(word), [
    'one in_progress',
    'chain steps_in_process',
    'one complete',
    'two in_progress',
    'two complete',
    'chain complete',
  ]);
  assert.equal(new Set(all.map((x) => x.cursor)).size, all.length);
  assert.ok(all.every((x) => x.namespace === (x.name === 'chain' ? 't' : 'u') && !('last' in x)));
  await e.close();
});

test('every cursor leads on to exactly what follows it, also from inside a row, as a stream and as pages', async () => {
  const e = await opened();
  await run(e);
  await run(e, 'other');
  const all = await whole(e);
  assert.ok(e.store.log({ task: e.worker.assigned[0].task, after: 0, limit: 1 })[0].count > 1, 'rows hold several events');
  for (const [i, at] of all.entries()) {
    const rest = all.slice(i + 1);
    assert.deepEqual(await whole(e, { after: at.cursor }), rest);
    assert.deepEqual(await take(e.engine.allEvents({ after: at.cursor }), rest.length), rest);
  }
  await e.close();
});

test('a page of exactly what there is has no more, and its cursor goes on from the end', async () => {
  const e = await opened();
  await run(e);
  const { length } = await whole(e);
  const page = await e.engine.eventPage({ limit: length });
  assert.equal(page.hasMore, false);
  assert.deepEqual(await e.engine.eventPage({ after: page.nextCursor }), { events: [], nextCursor: page.nextCursor, hasMore: false });
  await run(e, 'other');
  assert.ok((await whole(e, { after: page.nextCursor })).every((x) => x.name === 'other'));
  await assert.rejects(e.engine.eventPage({ limit: 0 }), { code: 'INVALID_INPUT', field: 'limit' });
  await assert.rejects(e.engine.eventPage({ limit: 1001 }), { code: 'INVALID_INPUT', field: 'limit' });
  await e.close();
});

test('filters: type, task, namespace, name and state, alone and together', async () => {
  const e = await opened();
  const first = await run(e);
  await run(e, 'other');
  await run(e);
  const all = await whole(e);
  const cases: [EventFilter, (x: GlobalEvent) => boolean][] = [
    [{ types: ['task.state'] }, (x) => x.type === 'task.state'],
    [{ types: ['task.state', 'step.state'] }, (x) => x.type !== 'step.attempt'],
    [{ taskId: first }, (x) => x.taskId === first],
    [{ namespace: 'u' }, (x) => x.namespace === 'u'],
    [{ name: 'chain' }, (x) => x.name === 'chain'],
    [{ states: ['complete'] }, (x) => x.data.state === 'complete'],
    [{ states: ['complete'], types: ['task.state'], namespace: 't', taskId: first }, (x) => x.taskId === first && x.seq === 6],
    [{ types: ['step.attempt'] }, () => false],
    [{ types: [] }, () => false],
  ];
  for (const [filter, wanted] of cases) {
    const expected = all.filter(wanted);
    assert.deepEqual(await whole(e, filter), expected, JSON.stringify(filter));
    assert.deepEqual(await take(e.engine.allEvents(filter), expected.length), expected, JSON.stringify(filter));
  }
  for (const [bad, field] of [
    [{ types: ['task.stat'] }, 'types'],
    [{ states: ['done'] }, 'states'],
  ] as const) {
    await assert.rejects(e.engine.eventPage(bad as unknown as EventFilter), { code: 'INVALID_INPUT', field });
    await assert.rejects(take(e.engine.allEvents(bad as unknown as EventFilter), 1), { code: 'INVALID_INPUT', field });
    assert.throws(() => e.engine.onEvent(bad as unknown as EventFilter, () => {}), { code: 'INVALID_INPUT', field });
  }
  await assert.rejects(e.engine.eventPage({ taskId: 'x' }), { code: 'INVALID_ID' });
  await assert.rejects(e.engine.eventPage({ taskId: '01900000-0000-7000-8000-000000000001' }), { code: 'NOT_FOUND' });
  await e.close();
});

test('"now" is the moment of the call, whenever the first event is asked for', async () => {
  const e = await opened();
  await run(e);
  const before = e.engine.allEvents({ after: 'now' });
  const id = await run(e, 'other');
  assert.ok((await take(before, 4)).every((x) => x.taskId === id));
  await e.close();
});

test('a stream follows live, progress without a cursor and the newest only; abort and stop end it', async () => {
  const e = await opened();
  await e.engine.register(oneStep('slow'));
  let finish = (): void => {};
  e.worker.handle('slow', (a, w) => {
    for (const fraction of [0.1, 0.2, 0.7]) w.session.progress({ task: a.task, no: a.no, token: a.token, fraction, message: 'going' });
    return new Promise((resolve) => (finish = () => resolve('1')));
  });
  const abort = new AbortController();
  const seen: GlobalEvent[] = [];
  const toEnd = (async () => {
    for await (const x of e.engine.allEvents({ signal: abort.signal })) {
      seen.push(x);
      if (x.type === 'step.progress') finish();
      if (x.data.state === 'complete' && x.type === 'task.state') abort.abort();
    }
  })();
  const quiet = Array.fromAsync(e.engine.allEvents({ types: ['task.patched'] }));
  const stateless = take(e.engine.allEvents({ states: ['complete'] }), 1);
  const { id } = await e.engine.submit({ namespace: 't', name: 'slow', input: {} });
  await toEnd;
  const progress = seen.filter((x) => x.type === 'step.progress');
  assert.equal(progress.length, 1);
  assert.equal(progress[0].cursor, undefined);
  assert.deepEqual([progress[0].taskId, progress[0].data.step, progress[0].data.fraction, progress[0].name], [id, 'slow', 0.7, 'slow']);
  assert.deepEqual(
    seen.filter((x) => x.cursor !== undefined),
    await whole(e),
    'and pages have no progress',
  );
  assert.equal((await stateless)[0].type, 'step.state');
  await e.close();
  assert.deepEqual(await quiet, []);
  assert.deepEqual(await Array.fromAsync(e.engine.allEvents()), [], 'a stopped engine has no events');
});

test('cursors that are not of this log are refused', async () => {
  const e = await opened();
  await run(e);
  const cursor = (await whole(e)).at(-1)!.cursor!;
  const bad = [
    '',
    'x',
    '7',
    cursor.toUpperCase(),
    `${cursor}0`,
    cursor.replace('e', 'e0'),
    `e9.${cursor.slice(3)}`,
    'e1.0.0.0',
    `e${'z'.repeat(11)}.0.0.0`,
    'Now',
  ];
  for (const after of bad) {
    await assert.rejects(e.engine.eventPage({ after }), { code: 'INVALID_CURSOR', field: 'after' }, after);
    await assert.rejects(take(e.engine.allEvents({ after }), 1), { code: 'INVALID_CURSOR' }, after);
  }
  // Of a longer log of the same store, as after a restored backup.
  const short = await openEngine();
  await assert.rejects(short.engine.eventPage({ after: cursor }), { code: 'INVALID_CURSOR', message: /beyond the end/ });
  await short.close();
  await e.close();
});

test('GONE exactly when rows behind the cursor have been removed since it was given', async () => {
  const e = await opened();
  const ids = [await run(e), await run(e), await run(e), await run(e)];
  const all = await whole(e);
  const at = (task: number, seq: number): string => all.find((x) => x.taskId === ids[task] && x.seq === seq)!.cursor!;
  await e.engine.purge(ids[2]);
  // Behind the end of the removed task nothing is missing, before it is.
  for (const [cursor, gone] of [
    [at(0, 1), true],
    [at(1, 6), true],
    [at(2, 1), true],
    [at(2, 5), true],
    [at(2, 6), false],
    [at(3, 1), false],
    [at(3, 6), false],
  ] as const) {
    if (gone) await assert.rejects(e.engine.eventPage({ after: cursor }), { code: 'GONE', field: 'after' });
    else assert.deepEqual(keys(await whole(e, { after: cursor })), keys(all.slice(all.findIndex((x) => x.cursor === cursor) + 1)));
  }
  await assert.rejects(take(e.engine.allEvents({ after: at(0, 1) }), 1), { code: 'GONE' });
  assert.equal((await whole(e, { after: at(0, 1), taskId: ids[0] })).length, 5, 'a task that exists has all its events');
  // Who begins now, reads what is kept and meets the gap on the way.
  const kept = await whole(e, {}, 2);
  assert.deepEqual(keys(kept), keys(all.filter((x) => x.taskId !== ids[2])));
  // Further removals below the gap are part of the history with gaps; beyond it they are told.
  await e.engine.purge(ids[1]);
  assert.equal((await whole(e, { after: kept[0].cursor })).length, 11);
  await e.engine.purge(ids[3]);
  await assert.rejects(e.engine.eventPage({ after: kept[0].cursor }), { code: 'GONE' });
  assert.deepEqual(
    (await whole(e)).map((x) => x.taskId),
    Array(6).fill(ids[0]),
  );
  await e.close();
});

test('an open stream passes over what is removed before it gets there', async () => {
  const e = await opened();
  const [a, b, c] = [await run(e), await run(e), await run(e)];
  const events = e.engine.allEvents()[Symbol.asyncIterator]();
  const seen = [(await events.next()).value as GlobalEvent];
  await e.engine.purge(b);
  while (seen.at(-1)!.taskId !== c || seen.at(-1)!.seq !== 6) seen.push((await events.next()).value as GlobalEvent);
  const told = new Set(seen.map((x) => x.taskId));
  assert.ok(told.has(a) && told.has(c));
  await events.return?.();
  await e.close();
});

test('a stream that has nothing to say stays near the end all the same', async () => {
  const e = await opened();
  const id = await run(e);
  const positions: string[] = [];
  const abort = new AbortController();
  const onPosition = (p: string): void => void positions.push(p);
  const quiet = Array.fromAsync(e.engine.allEvents({ taskId: id, types: ['task.patched'], onPosition, signal: abort.signal }));
  const later = await run(e, 'other');
  const end = (await e.engine.eventPage({ after: 'now' })).nextCursor;
  while (positions.at(-1) !== end) await new Promise((next) => setImmediate(next));
  abort.abort();
  assert.deepEqual(await quiet, []);
  // Its place outlives what lies before it.
  await e.engine.purge(later);
  assert.deepEqual((await e.engine.eventPage({ after: end })).events, []);
  await e.close();
});

test('a filter that finds nothing looks through a bounded part of the log per page, and a stream says how far it is', async () => {
  const e = await opened({ slots: 50 });
  const many = Array.from({ length: 1200 }, () => ({ namespace: 't', name: 'chain', input: {} }));
  for (const id of await e.engine.submitMany(many)) await e.engine.done(id);
  const { highest } = e.store.logBounds();
  assert.ok(highest > 2000, `${highest} rows`);
  const first = await e.engine.eventPage({ namespace: 'u' });
  assert.deepEqual([first.events, first.hasMore], [[], true]);
  assert.deepEqual(await whole(e, { namespace: 'u' }), []);
  const id = await run(e, 'other');
  const positions: string[] = [];
  const found = await take(e.engine.allEvents({ namespace: 'u', onPosition: (p) => positions.push(p) }), 1);
  assert.equal(found[0].taskId, id);
  assert.ok(positions.length > 10, `${positions.length} positions`);
  for (const p of positions) assert.equal((await take(e.engine.allEvents({ namespace: 'u', after: p }), 1))[0].cursor, found[0].cursor);
  await e.close();
});

test('names of steps come with events of tasks that left the memory, and after a restart', async () => {
  const e = await opened();
  await run(e);
  const names = (all: GlobalEvent[]): unknown[] => all.filter((x) => x.type === 'step.state').map((x) => x.data.step);
  const before = names(await whole(e));
  assert.deepEqual(before, ['one', 'one', 'two', 'two']);
  const again = await e.reopen({});
  assert.deepEqual(names(await whole(again)), before);
  await again.close();
});

test('callbacks: in order, one at a time, from now on; what they throw is logged, counted and harmless', async () => {
  const e = await opened();
  await run(e);
  const seen: string[] = [];
  const later = Promise.withResolvers<void>();
  let inside = 0;
  const off = e.engine.onEvent({ types: ['task.state', 'step.state'] }, async (x) => {
    assert.equal(++inside, 1, 'one at a time');
    await new Promise((next) => setImmediate(next));
    inside--;
    seen.push(`${x.taskId} ${x.seq}`);
    if (seen.length === 12) later.resolve();
    if (seen.length % 2 === 0) throw new Error('not today');
  });
  const throws = e.engine.onEvent({}, () => {
    throw new Error('never');
  });
  const a = await run(e);
  const b = await run(e);
  await later.promise;
  assert.deepEqual(
    seen,
    [a, b].flatMap((id) => [1, 2, 3, 4, 5, 6].map((n) => `${id} ${n}`)),
  );
  off();
  throws();
  await run(e);
  assert.equal(seen.length, 12);
  assert.ok(e.engine.metrics().callbackErrors >= 6);
  assert.equal(e.logged.filter((l) => /callback of onEvent threw/.test(l)).length, 1, 'and not logged each time');
  await e.close();
});

test('a callback goes on behind a cursor; one that is refused is logged', async () => {
  const e = await opened();
  await run(e);
  const [first, ...rest] = await whole(e);
  const seen: GlobalEvent[] = [];
  await new Promise<void>((resolve) => {
    e.engine.onEvent({ after: first.cursor }, (x) => {
      seen.push(x);
      if (seen.length === rest.length) resolve();
    });
  });
  assert.deepEqual(seen, rest);
  e.engine.onEvent({ after: 'nonsense' }, () => assert.fail('no event'));
  await run(e);
  assert.match(e.logged.join('\n'), /gets no more events.*not issued by this log/);
  await e.close();
});

test('an attempt that failed for good is in the log with its readable error', async () => {
  const e = await opened();
  await e.engine.register(oneStep('bad', { retry: { ...DEFAULT_RETRY, maxAttempts: 1 } }));
  e.worker.handle('bad', async () => Promise.reject(new Error('no')));
  await run(e);
  const { id } = await e.engine.submit({ namespace: 't', name: 'bad', input: {} });
  await e.engine.done(id);
  const [failed] = await whole(e, { states: ['error'], types: ['step.state'] });
  assert.deepEqual([failed.taskId, failed.data.step, (failed.data.error as { message: string }).message], [id, 'bad', 'no']);
  await e.close();
});
