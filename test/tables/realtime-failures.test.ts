/** Rows that callers were told of have a timer whatever fails, and go into no other table than theirs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../src/core/definition.ts';
import { TuttiError } from '../../src/core/errors.ts';
import { readSchema } from '../../src/tables/table-schema.ts';
import { ID, large, openRows, range, type RowsFixture } from './open-rows.ts';

const gone = new TuttiError('STORE_UNAVAILABLE', 'gone');

test('an add that fails leaves the timer of rows that were acknowledged', async (t) => {
  const f = await openRows(t);
  await f.rows.add(await f.data(), [{ id: 1 }]);
  f.resources.beforeChange = () => {
    throw gone;
  };
  await assert.rejects(f.rows.add(await f.data(), [{ id: 2 }]), { code: 'STORE_UNAVAILABLE' });
  f.resources.beforeChange = () => {};
  // Whatever was disarmed would be by now.
  assert.equal((await f.rows.state(await f.data())).rows, 1);
  assert.deepEqual(
    f.timers.map((x) => x.ms),
    [60_000],
  );
  assert.equal((await f.rows.seal(await f.data())).rows, 1);
  assert.deepEqual([await f.sealed(), f.timers.length], [[1], 0]);
});

test('rows of a request that failed in doubt are counted, and sealed in their time', async (t) => {
  const f = await openRows(t);
  const change = f.resources.change.bind(f.resources);
  f.resources.change = async (...args) => {
    await change(...args);
    throw gone;
  };
  await assert.rejects(f.rows.add(await f.data(), [{ id: 1 }]), { code: 'STORE_UNAVAILABLE' });
  // Of a large one, what names the parts came to pass: they stay.
  f.resources.change = async (id, c) => {
    await change(id, c);
    if (c.put?.some((p) => p.key.startsWith('rows/'))) throw gone;
  };
  await assert.rejects(f.rows.add(await f.data(), large(2, 12)), { code: 'STORE_UNAVAILABLE' });
  f.resources.change = change;
  assert.equal(f.timers.length, 1);
  assert.equal((await f.rows.state(await f.data())).rows, 11);
  assert.equal((await f.rows.seal(await f.data())).rows, 11);
  assert.deepEqual([await f.sealed(), await f.keys()], [range(1, 12), []]);
});

test('a seal that could not begin is tried again, whatever made it begin', async (t) => {
  const f = await openRows(t);
  await f.rows.add(await f.data(), [{ id: 1 }]);
  const { get } = f.resources;
  f.resources.get = async () => {
    throw gone;
  };
  let armed = f.armed();
  f.timers.shift()!.fn();
  await armed;
  f.resources.get = get;
  assert.deepEqual(
    f.timers.map((x) => x.ms),
    [30_000],
  );
  // So many that they are to be sealed at once.
  const data = await f.data();
  f.resources.get = async () => {
    throw gone;
  };
  armed = f.armed();
  await f.rows.add(
    data,
    range(2, 10_002).map((id) => ({ id })),
  );
  await armed;
  f.resources.get = get;
  assert.deepEqual(
    f.timers.map((x) => x.ms),
    [30_000],
  );
  const done = Promise.withResolvers<void>();
  const change = f.resources.change.bind(f.resources);
  f.resources.change = async (...args) => {
    await change(...args);
    if (args[1].put?.some((p) => p.key.startsWith('segment/'))) done.resolve();
  };
  await f.rows.add(data, [{ id: 10_002 }]);
  await done.promise;
  await f.rows.close();
  assert.deepEqual(await f.sealed(), range(1, 10_003));
});

test('a small request that fails while a large one is on its way keeps the large one neither uncounted nor unsealed', async (t) => {
  const f = await openRows(t);
  const [reached, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let puts = 0;
  let failing = false;
  f.resources.beforeChange = async (_, c) => {
    if (failing) throw gone;
    if (c.put?.[0]?.key.startsWith('rows-part/') !== true || ++puts !== 3) return;
    reached.resolve();
    await held.promise;
  };
  const adding = f.rows.add(await f.data(), large(0, 12));
  await reached.promise;
  failing = true;
  await assert.rejects(f.rows.add(await f.data(), [{ id: 100 }]), { code: 'STORE_UNAVAILABLE' });
  failing = false;
  assert.equal((await f.rows.state(await f.data())).rows, 0);
  f.clock.now += 1000;
  held.resolve();
  assert.deepEqual(await adding, { added: 12, unsealedRows: 12 });
  assert.deepEqual([(await f.rows.state(await f.data())).rows, f.timers.length], [12, 1]);
  assert.equal((await f.rows.seal(await f.data())).rows, 12);
  assert.deepEqual(await f.keys(), []);
});

test('a large request whose last commit fails leaves no parts', async (t) => {
  const f = await openRows(t);
  f.resources.beforeChange = (_, c) => {
    if (c.put?.[0]?.key.startsWith('rows/')) throw gone;
  };
  await assert.rejects(f.rows.add(await f.data(), large(0, 12)), { code: 'STORE_UNAVAILABLE' });
  assert.deepEqual(await f.keys(), []);
});

/** Drops the table and makes it again, with these columns. */
async function remake(f: RowsFixture, columns: { name: string; type: string }[]): Promise<void> {
  await f.resources.remove(ID);
  await f.resources.create({ id: ID, kind: 'table', body: { type: 'REALTIME', schema: readSchema({ columns }), config: {} } as unknown as Json });
}

test('a table that was made again before its drop was told keeps its timer', async (t) => {
  const f = await openRows(t);
  await f.rows.add(await f.data(), [{ id: 1 }]);
  await remake(f, [{ name: 'id', type: 'BIGINT' }]);
  await f.rows.add(await f.data(), [{ id: 7 }]);
  assert.equal(f.timers.length, 1, 'of the old one there is none');
  await f.rows.forget(ID);
  assert.deepEqual([f.timers.length, (await f.rows.state(await f.data())).rows], [1, 1]);
  await f.resources.remove(ID);
  await f.rows.forget(ID);
  assert.equal(f.timers.length, 0);
});

test('rows that were on their way to a table go into no other of its name', async (t) => {
  const f = await openRows(t);
  const [begun, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  async function* rows(): AsyncGenerator<unknown> {
    yield { id: 1, note: 'old' };
    begun.resolve();
    await go.promise;
    yield { id: 2, note: 'old' };
  }
  const old = await f.data();
  const adding = f.rows.add(old, rows());
  await begun.promise;
  await remake(f, [{ name: 'id', type: 'DATE' }]);
  await f.rows.add(await f.data(), [{ id: '2026-01-01' }]);
  go.resolve();
  await assert.rejects(adding, { code: 'NOT_FOUND' });
  assert.equal(f.timers.length, 1, 'the new table keeps its own');
  // Of a process that knows only the old one.
  await assert.rejects(f.again().add(old, [{ id: 3 }]), { code: 'NOT_FOUND' });
  await assert.rejects(f.again().add(old, large(0, 12)), { code: 'NOT_FOUND' });
  await assert.rejects(f.again().seal(old), { code: 'NOT_FOUND' });
  assert.equal((await f.keys()).length, 1);
  assert.equal((await f.rows.seal(await f.data())).rows, 1);
});

test('one request has at most 64 Mi characters of rows', async (t) => {
  const f = await openRows(t);
  let given = 0;
  async function* rows(): AsyncGenerator<unknown> {
    for (; given < 1000; given++) yield { id: given, note: 'x'.repeat(290_000) };
  }
  await assert.rejects(f.rows.add(await f.data(), rows()), { code: 'VALUE_TOO_LARGE', field: 'rows', details: { limit: 64 * 2 ** 20 } });
  assert.equal(given, Math.floor((64 * 2 ** 20) / 290_020));
  assert.deepEqual(await f.keys(), []);
});
