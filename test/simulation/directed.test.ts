/** Troubles that a seed meets now and then, each brought about on purpose. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CommitFate } from '../support/faulty-store.ts';
import { SimulatedWorld } from '../support/simulated-world.ts';
import { diamond, fanOut, graph } from '../support/template-fixtures.ts';

const once = (d: ReturnType<typeof diamond>): typeof d => ({ ...d, steps: d.steps.map((s) => ({ ...s, retry: { ...s.retry, maxAttempts: 1 } })) });
const ok = { what: 'ok', delayMs: 5, onStop: 'obey' } as const;

test('each commit of a diamond fails in each way: it completes, and no attempt is wasted', async () => {
  for (const fate of ['busy', 'full', 'refused', 'lost', 'applied'] as const satisfies readonly CommitFate[]) {
    for (let at = 1; at <= 8; at++) {
      const world = new SimulatedWorld({
        seed: at,
        slots: 2,
        templates: [once(diamond())],
        script: () => ok,
        faults: () => (n) => (n === at ? fate : 'ok'),
      });
      try {
        await world.boot();
        const view = await world.complete(world.submit('diamond_pattern'), `${fate} at ${at}: submit`);
        // A full store is told at once. Nobody else asks anything of it, and it is taken up again all the same.
        if (view === null) {
          assert.ok(fate === 'full' && at === 1, `${fate} at ${at}: refused`);
          assert.equal(world.engine.health().status, 'degraded');
          await world.machine.advanceBy(5_000);
          assert.equal(world.engine.health().status, 'ready', 'it can be written again');
          await world.complete(world.submit('diamond_pattern'), 'submit again');
        }
        world.watch(world.acknowledged[0].id);
        await world.finish();
        world.check();
        const [task] = world.mirror.tasks.values();
        assert.equal(world.mirror.tasks.size, 1, `${fate} at ${at}: one task`);
        assert.equal(task.state, 'complete', `${fate} at ${at}`);
        assert.deepEqual(
          task.steps.map((s) => s.attempts),
          [1, 1, 1, 1],
          `${fate} at ${at}`,
        );
      } finally {
        world.close();
      }
    }
  }
});

test('a cancel whose commit is doubtful ends the task once and stops its handlers', async () => {
  for (const fate of ['refused', 'lost', 'applied'] as const) {
    let fail = false;
    const world = new SimulatedWorld({
      seed: 1,
      slots: 5,
      templates: [diamond()],
      script: () => ({ what: 'ok', delayMs: 600_000, onStop: 'obey' }),
      faults: () => () => {
        if (!fail) return 'ok';
        fail = false;
        return fate;
      },
    });
    try {
      await world.boot();
      await world.complete(world.submit('diamond_pattern'), 'submit');
      await world.machine.settle();
      fail = true;
      await world.complete(world.cancel(world.acknowledged[0].id), 'cancel');
      await world.finish(60_000);
      world.check();
      const [record] = world.journal.order;
      assert.equal(record.stopReason, 'cancelled', fate);
      assert.equal(world.task(world.acknowledged[0].id).state, 'cancelled');
    } finally {
      world.close();
    }
  }
});

test('killed while the rows of a task that ended by implication still follow: they follow after the start', async () => {
  for (const what of ['failure', 'cancel'] as const) {
    for (let commitsAfter = 0; commitsAfter < 6; commitsAfter++) {
      const world = new SimulatedWorld({
        seed: 1,
        slots: 5,
        templates: [fanOut(2_000, { name: 'wide' })],
        script: () => ({ what: what === 'failure' ? 'permanent' : 'ok', delayMs: 1_000, onStop: 'obey' }),
      });
      try {
        await world.boot();
        const submitted = world.submit('wide');
        await world.complete(submitted, 'submit');
        await world.machine.settle();
        const { id } = world.acknowledged[0];
        if (what === 'cancel') void world.cancel(id);
        else world.machine.fireNext();
        let ended: number | null = null;
        for (let i = 0; i < 1_000 && (ended === null || world.mirror.commits < ended + commitsAfter); i++) {
          if (!(await world.machine.stepOnce())) world.machine.fireNext();
          ended = world.task(id).endedInCommit;
        }
        world.kill();
        const left = world.task(id).steps.filter((s) => s.state === 'pending').length;
        assert.ok(commitsAfter > 0 || left > 1_000, `${left} rows were left`);
        await world.boot();
        await world.finish();
        world.check();
      } finally {
        world.close();
      }
    }
  }
});

test('a handler that may not be told of a cancel gets its own time and no more', async () => {
  const stubborn = graph('stubborn', [{ name: 'a', cancelable: false, timeoutMs: 10_000 }]);
  const world = new SimulatedWorld({ seed: 1, slots: 1, templates: [stubborn], script: () => ({ what: 'silent', delayMs: 0, onStop: 'ignore' }) });
  try {
    await world.boot();
    await world.complete(world.submit('stubborn'), 'submit');
    await world.machine.settle();
    await world.complete(world.cancel(world.acknowledged[0].id), 'cancel');
    const [record] = world.journal.order;
    await world.machine.advanceBy(9_000);
    assert.equal(record.stopReason, null, 'it was left alone');
    assert.equal(world.engine.metrics().slots.used, 1);
    await world.machine.advanceBy(2_000);
    assert.equal(record.stopReason, 'timeout');
    await world.machine.advanceBy(31_000);
    assert.equal(world.engine.metrics().slots.used, 0, 'its grace is over');
    world.check();
  } finally {
    world.close();
  }
});
