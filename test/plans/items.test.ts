/** Changes of a resource's items beside one another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PlanWorld } from '../support/plan-world.ts';

test('a large change is not held up for ever by small ones to other items', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  await w.boot([]);
  const { resources } = w.engine;
  let over = false;
  const small = async (name: string): Promise<number> => {
    for (let n = 0; ; n++) {
      if (over) return n;
      await resources.change('t_OFFLINE', { put: [{ key: `small/${name}/${n}`, body: n, expect: null }] });
    }
  };
  const loops = ['a', 'b', 'c'].map(small);
  const put = Array.from({ length: 2000 }, (_, i) => ({ key: `large/${i}`, body: i, expect: null }));
  const large = resources.change('t_OFFLINE', { put }).then(() => (over = true));
  for (let rounds = 0; !over; rounds++) {
    assert.ok(rounds < 1000, 'it never came to its commit');
    await w.machine.stepOnce();
  }
  await large;
  assert.ok((await Promise.all(loops.map((l) => w.wait(l)))).some((n) => n > 0));
  assert.equal((await resources.items('t_OFFLINE', { prefix: 'large/', limit: 10_000 })).length, 2000);
});

test('two changes of one item: the second is told, whichever it is', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  await w.boot([]);
  const { resources } = w.engine;
  await w.wait(resources.change('t_OFFLINE', { put: [{ key: 'k', body: 0 }] }));
  const both = await w.wait(Promise.allSettled([1, 2].map((body) => resources.change('t_OFFLINE', { put: [{ key: 'k', body, expect: 1 }] }))));
  assert.deepEqual(both.map((r) => (r.status === 'rejected' ? (r.reason as { code: string }).code : 'done')).sort(), ['CONFLICT', 'done']);
});

test('a change that is meant for a resource goes into no other of its id', async (t) => {
  const w = new PlanWorld();
  t.after(() => w.close());
  await w.boot([]);
  const { resources } = w.engine;
  const { incarnation, kind } = (await w.wait(resources.get('t_OFFLINE')))!;
  const put = (key: string): Promise<void> => w.wait(resources.change('t_OFFLINE', { incarnation, put: [{ key, body: 1, expect: null }] }));
  await put('a');
  await w.wait(resources.remove('t_OFFLINE'));
  await w.wait(resources.create({ id: 't_OFFLINE', kind, body: {} }));
  await assert.rejects(put('b'), { code: 'NOT_FOUND' });
  assert.deepEqual(await resources.items('t_OFFLINE'), []);
});
