/** Rows on their way into a segment: what one turn of the event loop does of it, and what is left where a large request breaks off. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../src/core/definition.ts';
import { TuttiError } from '../../src/core/errors.ts';
import { ID, large, openRows, range } from './open-rows.ts';

test('a seal reads few items at one go, and lets others have the loop before it reads more', async (t) => {
  const f = await openRows(t);
  for (let i = 0; i < 30; i++) await f.rows.add(await f.data(), [{ id: i }]);
  await f.rows.add(await f.data(), large(30, 60));
  f.steps.length = 0;
  assert.equal((await f.rows.seal(await f.data())).rows, 60);
  assert.deepEqual(await f.sealed(), range(0, 60));
  const reads = f.steps.filter((s) => s.startsWith('read'));
  assert.ok(reads.length >= 12, f.steps.join());
  for (const read of reads) assert.ok(Number(read.slice(5)) <= 4, read);
  assert.ok(!/read 4,read/.test(f.steps.join()), `a page is read and the next one at once: ${f.steps.join()}`);
  assert.deepEqual(await f.keys(), []);
});

test('one segment for each schema that rows were checked against; what comes during a seal is for the next', async (t) => {
  const f = await openRows(t);
  await f.rows.add(await f.data(), [{ id: 1 }]);
  const { schema } = await f.data();
  const columns = [...schema.columns, { name: 'more', type: 'INTEGER' }];
  const changes = [{ version: 2, op: 'add', column: 'more', default: null }];
  await f.resources.change(ID, { put: [{ key: 'schema', body: { ...schema, version: 2, columns, changes } as unknown as Json }] });
  for (let i = 2; i < 8; i++) await f.rows.add(await f.data(), [{ id: i, more: i }]);
  const data = await f.data();
  const { items } = f.resources;
  let late: Promise<unknown> | undefined;
  f.resources.items = async (id, q) => {
    const found = await items(id, q);
    // It is there before the second page is read.
    if (q?.prefix === 'rows/') await (late ??= f.rows.add(data, [{ id: 8 }]));
    return found;
  };
  const sealed = await f.rows.seal(data);
  assert.deepEqual([sealed.rows, sealed.segments.length], [7, 2]);
  const versions = (await f.segments.all(ID)).map((s) => [s.segment.schemaVersion, s.segment.rows]);
  assert.deepEqual(
    versions.toSorted(([a], [b]) => a - b),
    [
      [1, 1],
      [2, 6],
    ],
  );
  assert.equal((await f.rows.state(data)).rows, 1);
  assert.equal((await f.rows.seal(data)).rows, 1);
  assert.deepEqual(await f.sealed(), range(1, 9));
});

test('a start counts the rows that wait page by page', async (t) => {
  const f = await openRows(t);
  for (let i = 0; i < 20; i++) await f.rows.add(await f.data(), [{ id: i }]);
  f.steps.length = 0;
  const next = f.again();
  assert.equal((await next.state(await f.data())).rows, 20);
  assert.deepEqual(f.steps.slice(0, 4), ['read 4', 'turn', 'read 4', 'turn']);
});

test('many rows are checked in slices', async (t) => {
  const f = await openRows(t);
  f.steps.length = 0;
  await f.rows.add(
    await f.data(),
    range(0, 20_000).map((id) => ({ id })),
  );
  assert.ok(f.steps.filter((s) => s === 'turn').length >= 10, f.steps.join());
});

test('a large request is kept in several commits, and becomes true with the last', async (t) => {
  const f = await openRows(t);
  const commits: number[] = [];
  f.resources.beforeChange = async (_, c) => {
    commits.push(JSON.stringify(c.put ?? []).length);
    assert.ok(!(await f.keys()).some((key) => key.startsWith('rows/')), 'nothing names the parts yet');
  };
  assert.deepEqual(await f.rows.add(await f.data(), large(0, 20)), { added: 20, unsealedRows: 20 });
  assert.equal(commits.length, 7, 'that there will be parts, ten of them, two in a commit, and what names them');
  for (const chars of commits) assert.ok(chars < 800_000, `${chars} characters in one commit`);
  f.resources.beforeChange = () => {};
  const next = f.again();
  assert.equal((await next.state(await f.data())).rows, 20);
  assert.equal((await next.seal(await f.data())).rows, 20);
  assert.deepEqual(await f.sealed(), range(0, 20));
  assert.deepEqual(await f.keys(), []);
});

test('a large request that breaks off leaves nothing; where the process ends meanwhile, the next one takes it away', async (t) => {
  const f = await openRows(t);
  let commits = 0;
  let dead = false;
  f.resources.beforeChange = () => {
    if (++commits === 3) dead = true;
    if (dead) throw new TuttiError('STORE_UNAVAILABLE', 'gone');
  };
  // The store takes the first two commits and nothing any more, not even the removal of what they put.
  await assert.rejects(f.rows.add(await f.data(), large(0, 20)), { code: 'STORE_UNAVAILABLE' });
  f.resources.beforeChange = () => {};
  assert.equal((await f.keys()).length, 3);
  assert.deepEqual(await f.rows.seal(await f.data()), { segments: [], rows: 0 });
  assert.equal((await f.keys()).length, 3, 'this process may have requests under way: it touches none of their parts');
  await f.rows.add(await f.data(), large(20, 40));
  const next = f.again();
  await next.resume(await f.data());
  assert.equal((await next.state(await f.data())).rows, 20);
  assert.equal((await f.keys()).length, 11, 'what an item names stays');
  await next.seal(await f.data());
  assert.deepEqual([await f.sealed(), await f.keys()], [range(20, 40), []]);
  // And where only one commit fails, it is taken away at once.
  commits = 0;
  f.resources.beforeChange = () => {
    if (++commits === 3) throw new TuttiError('STORE_UNAVAILABLE', 'gone');
  };
  await assert.rejects(next.add(await f.data(), large(40, 60)), { code: 'STORE_UNAVAILABLE' });
  assert.deepEqual(await f.keys(), []);
});

test('a large request to a table that is dropped meanwhile, and made again, leaves nothing in the new one', async (t) => {
  const f = await openRows(t);
  const { body } = (await f.resources.get(ID))!;
  let commits = 0;
  f.resources.beforeChange = async () => {
    if (++commits !== 4) return;
    await f.resources.remove(ID);
    await f.resources.create({ id: ID, kind: 'table', body });
  };
  await assert.rejects(f.rows.add(await f.data(), large(0, 20)), { code: 'NOT_FOUND' });
  assert.deepEqual(await f.keys(), []);
  const next = f.again();
  assert.deepEqual(await next.seal(await f.data()), { segments: [], rows: 0 });
  assert.deepEqual(await f.keys(), []);
});

test('whoever asks for a seal while others wait for one shares theirs', async (t) => {
  const f = await openRows(t);
  await f.rows.add(await f.data(), [{ id: 1 }]);
  const data = await f.data();
  const asked = [f.rows.seal(data)];
  const adding = f.rows.add(data, [{ id: 2 }]).then(() => asked.push(...range(0, 100).map(() => f.rows.seal(data))));
  await adding;
  const answers = new Set(await Promise.all(asked));
  assert.ok(answers.size <= 2, `${answers.size} seals`);
  assert.deepEqual([await f.sealed(), (await f.rows.state(data)).rows], [[1, 2], 0]);
});

test('rows that come one after the other are checked as they come, and no more are taken than are wanted', async (t) => {
  const f = await openRows(t);
  let given = 0;
  async function* rows(bad: number): AsyncGenerator<unknown> {
    for (; given < 1000; given++) yield { id: given >= bad ? 'x' : given };
  }
  assert.equal((await f.rows.add(await f.data(), rows(1000))).added, 1000);
  given = 0;
  await assert.rejects(f.rows.add(await f.data(), rows(5)), { code: 'INVALID_INPUT', field: 'rows[5].id' });
  assert.equal(given, 14, 'ten problems are enough');
  assert.equal((await f.rows.state(await f.data())).rows, 1000);
});

test('rows of many calls that are in work together are bounded', async (t) => {
  const f = await openRows(t);
  const rows = f.again({ mostInWork: 1000 });
  const data = await f.data();
  const [entered, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  f.resources.beforeChange = () => {
    entered.resolve();
    return held.promise;
  };
  const some = [{ id: 1, note: 'x'.repeat(600) }];
  const first = rows.add(data, some);
  await entered.promise;
  await assert.rejects(rows.add(data, some), { code: 'BACKPRESSURE', retryAfter: 1 });
  const small = rows.add(data, [{ id: 2 }]);
  held.resolve();
  assert.deepEqual([(await first).added, (await small).added], [1, 1]);
  assert.equal((await rows.add(data, some)).added, 1, 'what is kept is given back');
  assert.equal((await rows.state(data)).rows, 3);
});
