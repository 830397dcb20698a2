/** Rows of the behaviour list about tied children: spec/taskmill.md §1 (S1–S12), §12 (defects 1–12), §14 and §15. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FamilyStaging, ONCE, StagedFamily, TWICE, family } from '../support/staged-family.ts';

const FINALIZING = { p: { finalize: true } };
const ABORTING = { p: { abort: true }, child: { abort: true } };

const keys = (n: number): string[] => Array.from({ length: n }, (_, i) => `c${i}`);

test('S2, S4, S11, rows 1, 2, 17: a running step spawns; it waits when it has returned, holding no slot, and ends by itself after its children', async () => {
  await family({ doing: { p: { spawn: keys(10), delayMs: 20 }, '*': { delayMs: 100 } }, slots: 11 }, async (f) => {
    await f.until(() => f.state('p') === 'waiting_for_children', 'the parent waits');
    const t = f.world.task(f.id);
    assert.equal(t.rows.length, 11);
    for (const no of keys(10).keys()) assert.equal(t.facts[no + 1].parent, 0);
    assert.deepEqual(f.states('p.c0', 'p.c9'), ['in_progress', 'in_progress']);
    assert.equal(f.world.engine.metrics().slots.used, 10);
    // Ten children came in one commit.
    const events = await f.world.complete(f.world.engine.audit(f.id), 'audit');
    assert.ok(JSON.stringify(events).includes('waiting_for_children'));
    await f.end();
    assert.equal(f.state('p'), 'complete');
    assert.equal(f.taskState, 'complete');
  });
});

test('row 4: a step that spawns nothing completes and never waits', async () => {
  await family({}, async (f) => {
    await f.end();
    const states = (await f.world.complete(f.world.engine.audit(f.id, 'p'), 'audit')).map((a) => JSON.stringify(a));
    assert.ok(!states.some((s) => s.includes('waiting_for_children')));
    assert.equal(f.times('p'), 1);
  });
});

test('S5, rows 7 and §15: fail_fast: one child fails for good, the others end as cancelled with their hooks run, and the parent fails', async () => {
  await family(
    { traits: ABORTING, doing: { p: { spawn: ['bad', ...keys(3)] }, 'p.bad': { what: 'permanent', delayMs: 50 }, '*': { delayMs: 10_000 } } },
    async (f) => {
      await f.end();
      assert.deepEqual(f.states('p', 'p.bad', 'p.c0', 'p.c1', 'p.c2'), ['error', 'error', ...keys(3).map(() => 'cancelled: sibling_failed')]);
      for (const c of ['p', 'p.c0', 'p.c1', 'p.c2']) assert.equal(f.aborts(c).at(-1), 'aborted', c);
      assert.equal(f.taskState, 'error');
      const view = await f.world.complete(f.world.engine.step(f.id, 'p'), 'step');
      assert.match(JSON.stringify(view), /p\.bad failed: scripted/);
    },
  );
});

test('S5: a child that fails and is tried again fails nobody', async () => {
  await family({ doing: { p: { spawn: [{ key: 'a', retry: TWICE }] }, 'p.a': [{ what: 'retryable' }, {}] } }, async (f) => {
    await f.end();
    assert.deepEqual([f.state('p'), f.times('p.a')], ['complete', 2]);
  });
});

test('S6, defect 8, §15: a child cancelled alone is neither success nor failure; the siblings go on; the last one resolves the parent', async () => {
  await family({ traits: FINALIZING, doing: { p: { spawn: keys(3) }, '*': { delayMs: 100 }, 'p.c2': { delayMs: 50_000 } } }, async (f) => {
    await f.until(() => f.state('p.c0') === 'in_progress', 'children run');
    assert.ok(await f.cancelStep('p.c0'));
    await f.until(() => f.state('p.c1') === 'complete', 'a sibling ends');
    assert.deepEqual(f.states('p', 'p.c0', 'p.c2'), ['waiting_for_children', 'cancelled: by_request', 'in_progress']);
    assert.ok(await f.cancelStep('p.c2'));
    await f.end();
    assert.deepEqual([f.state('p'), f.times('p finalize'), f.taskState], ['complete', 1, 'complete']);
  });
});

test('S6: all children cancelled, each alone: the parent completes', async () => {
  await family({ traits: FINALIZING, doing: { p: { spawn: keys(2) }, '*': { delayMs: 50_000 } } }, async (f) => {
    await f.until(() => f.state('p') === 'waiting_for_children', 'the parent waits');
    for (const c of ['p.c0', 'p.c1']) assert.ok(await f.cancelStep(c));
    await f.end();
    assert.deepEqual([f.state('p'), f.times('p finalize')], ['complete', 1]);
  });
});

test('S7, S12, defects 2 and 12, row 13, §15: after a restart children belong to their parent, which still waits; ids are never used again', async () => {
  await family({ traits: FINALIZING, doing: { p: { spawn: keys(2).map((key) => ({ key, retry: TWICE })) }, '*': { delayMs: 60_000 } } }, async (f) => {
    await f.until(() => f.state('p') === 'waiting_for_children', 'the parent waits');
    const before = (await f.world.complete(f.world.engine.steps(f.id), 'steps')).map((s) => [s.id, s.parentId, s.state === 'waiting_for_children']);
    await f.crash();
    const after = (await f.world.complete(f.world.engine.steps(f.id), 'steps')).map((s) => [s.id, s.parentId, s.state === 'waiting_for_children']);
    assert.deepEqual(after, before);
    assert.equal(after[1][1], after[0][0]);
    assert.equal(f.state('p'), 'waiting_for_children');
  });
});

test("S3, §15: a child has its parent's priority unless it is given one; a changed priority of the task reaches both", async () => {
  await family(
    { steps: [{ name: 'p', priority: 1 }], slots: 2, doing: { p: { spawn: ['heir', { key: 'own', priority: 3 }] }, '*': { delayMs: 100 } } },
    async (f) => {
      await f.until(() => f.state('p.own') !== 'none', 'spawned');
      const [heir, own] = await f.world.complete(Promise.all(['p.heir', 'p.own'].map((n) => f.world.engine.step(f.id, n))), 'steps');
      assert.deepEqual([heir.priority, own.priority], [1, 3]);
    },
  );
});

test('S9, rows 28, §15: never more children of a parent run than it allows, and others are not held back by it', async () => {
  let most = 0;
  await family(
    {
      steps: [{ name: 'p', maxChildren: 2 }, { name: 'other' }],
      slots: 6,
      doing: { p: { spawn: keys(12) }, '*': { delayMs: 100 }, other: { delayMs: 20, spawn: keys(6) } },
    },
    async (f) => {
      const running = (of: number): number => f.world.task(f.id).rows.filter((r) => f.world.task(f.id).facts[r.no].parent === of && r.owner !== null).length;
      let both = false;
      for (let i = 0; i < 2_000 && !f.world.settled(); i++) {
        if (!(await f.world.machine.stepOnce())) f.world.machine.fireNext();
        most = Math.max(most, running(0));
        both ||= running(0) === 2 && running(1) > 2;
      }
      assert.equal(most, 2);
      assert.ok(both, 'the other parent ran more at the same time');
    },
  );
});

test('S10, rows 5, 6, 11, 70, defects 6 and 7: cancel of a parent reaches pending and running children and theirs, whose hooks run', async () => {
  const deep: FamilyStaging = {
    traits: ABORTING,
    slots: 5,
    doing: { p: { spawn: ['mid', 'other', 'late'] }, 'p.mid': { spawn: keys(3) }, '*': { delayMs: 60_000 } },
  };
  await family(deep, async (f) => {
    await f.until(() => f.state('p.mid.c1') === 'in_progress', 'grandchildren run');
    assert.equal(f.state('p'), 'waiting_for_children');
    assert.ok(await f.cancelStep('p'));
    const below = ['p.mid', 'p.other', 'p.late', 'p.mid.c0', 'p.mid.c1', 'p.mid.c2'];
    assert.deepEqual(f.states('p', ...below), ['cancelled: by_request', ...below.map(() => 'cancelled: parent_cancelled')]);
    await f.end();
    // Each tied child, begun or not, and the parent, which had begun.
    for (const c of ['p', ...below]) assert.equal(f.aborts(c).at(-1), 'aborted', c);
    assert.equal(f.taskState, 'cancelled');
  });
});

test('S10: cancel of the task runs the hooks of all of them, too', async () => {
  await family({ traits: ABORTING, doing: { p: { spawn: keys(2) }, '*': { delayMs: 60_000 } } }, async (f) => {
    await f.until(() => f.state('p.c1') === 'in_progress', 'children run');
    await f.world.complete(f.world.cancel(f.id), 'cancel');
    assert.equal(f.taskState, 'cancelled');
    await f.end();
    for (const c of ['p', 'p.c0', 'p.c1']) assert.equal(f.aborts(c).at(-1), 'aborted', c);
  });
});

test('row 71: a hook that never returns is told to stop after 30 s, tried again, and held against nobody', async () => {
  await family(
    { traits: ABORTING, doing: { p: { spawn: [{ key: 'a', retry: TWICE }] }, '*': { delayMs: 60_000 }, 'p.a abort': { what: 'silent', onStop: 'ignore' } } },
    async (f) => {
      await f.until(() => f.state('p.a') === 'in_progress', 'the child runs');
      const begun = f.world.machine.now();
      assert.ok(await f.cancelStep('p'));
      assert.equal(f.world.machine.now(), begun, 'the cancel is answered at once');
      await f.until(() => f.aborts('p.a').includes('abort_timeout'), 'the hook is out of time');
      assert.equal(f.world.machine.now() - begun, 30_000);
      await f.end();
      assert.deepEqual(f.aborts('p.a'), ['aborting', 'abort_timeout', 'abort_retry', 'aborting', 'abort_timeout', 'abort_failed']);
      assert.equal(f.state('p.a'), 'cancelled: parent_cancelled');
    },
  );
});

test('row 8, defect 3, §15: wait_all: the others run to their end, and then the parent fails', async () => {
  await family(
    {
      steps: [{ name: 'p', onChildFailure: 'wait_all' }],
      traits: FINALIZING,
      doing: { p: { spawn: keys(3) }, 'p.c0': { what: 'permanent' }, '*': { delayMs: 500 } },
    },
    async (f) => {
      await f.until(() => f.state('p.c0') === 'error', 'a child fails');
      assert.deepEqual(f.states('p', 'p.c1'), ['waiting_for_children', 'in_progress']);
      await f.end();
      assert.deepEqual(f.states('p', 'p.c1', 'p.c2'), ['error', 'complete', 'complete']);
      assert.equal(f.times('p finalize'), 0);
    },
  );
});

test('defect 3: tolerate n: n failures are borne, and one more is not', async () => {
  for (const failing of [2, 3]) {
    const doing = Object.fromEntries(keys(failing).map((c) => [`p.${c}`, { what: 'permanent' as const, delayMs: 50 }]));
    await family({ steps: [{ name: 'p', onChildFailure: 2 }], doing: { p: { spawn: keys(5) }, ...doing, '*': { delayMs: 500 } } }, async (f) => {
      await f.end();
      assert.deepEqual(f.states('p', 'p.c4'), failing === 2 ? ['complete', 'complete'] : ['error', 'cancelled: sibling_failed']);
    });
  }
});

test('row 10, defect 4, §15: children that end before the parent returns: finalize runs all the same, and failures count', async () => {
  for (const what of ['ok', 'permanent'] as const) {
    await family(
      {
        steps: [{ name: 'p', onChildFailure: 'wait_all', retry: ONCE }],
        traits: FINALIZING,
        doing: { p: { spawn: ['a'], delayMs: 1_000 }, 'p.a': { what, delayMs: 5 } },
      },
      async (f) => {
        await f.until(() => f.state('p.a') === (what === 'ok' ? 'complete' : 'error'), 'the child ends first');
        assert.equal(f.state('p'), 'in_progress');
        await f.end();
        assert.deepEqual([f.state('p'), f.times('p finalize')], what === 'ok' ? ['complete', 1] : ['error', 0]);
      },
    );
  }
});

test('defect 5: under fail_fast running siblings keep their rows and their hooks run, also those that ignore the signal', async () => {
  await family(
    { traits: ABORTING, doing: { p: { spawn: ['bad', 'deaf'] }, 'p.bad': { what: 'permanent', delayMs: 50 }, 'p.deaf': { delayMs: 5_000, onStop: 'ignore' } } },
    async (f) => {
      await f.until(() => f.state('p') === 'error', 'the parent fails');
      assert.equal(f.state('p.deaf'), 'cancelled: sibling_failed');
      assert.equal(f.times('p.deaf abort'), 0, 'no attempt begins beside a live one');
      await f.end();
      assert.deepEqual(f.aborts('p.deaf'), ['aborting', 'aborted']);
      assert.equal(f.state('p.deaf'), 'cancelled: sibling_failed', 'what it returned late is kept on the attempt');
    },
  );
});

test('defect 9, §15: killed between the last child and finalize, and inside finalize: finalize goes on, run is not run again', async () => {
  for (const when of ['before', 'inside'] as const) {
    await family({ traits: FINALIZING, doing: { p: { spawn: keys(3) }, 'p finalize': { delayMs: 1_000 } } }, async (f) => {
      const { mirror } = f.world;
      const last = mirror.apply.bind(mirror);
      let killed = false;
      mirror.apply = (c) => {
        last(c);
        const t = f.world.task(f.id);
        const over = t.rows.length === 4 && t.rows.slice(1).every((r) => r.state === 6);
        if (killed || !over || (when === 'inside' && t.rows[0].phaseAttempts === 0)) return;
        killed = true;
        f.world.kill();
      };
      for (let i = 0; i < 10_000 && !killed; i++) if (!(await f.world.machine.stepOnce())) f.world.machine.fireNext();
      assert.ok(killed);
      await f.world.boot();
      await f.end();
      assert.deepEqual([f.state('p'), f.times('p')], ['complete', 1]);
      for (const c of keys(3)) assert.equal(f.times(`p.${c}`), 1);
    });
  }
});

test('defect 9: a finalizer that fails is tried again alone, and by its own count', async () => {
  await family({ traits: FINALIZING, doing: { p: { spawn: ['a'] }, 'p finalize': [{ what: 'retryable' }, {}] } }, async (f) => {
    await f.end();
    assert.deepEqual([f.state('p'), f.times('p'), f.times('p finalize'), f.times('p.a')], ['complete', 1, 2, 1]);
  });
  await family({ traits: { p: { finalize: true, abort: true } }, doing: { p: { spawn: ['a'] }, 'p finalize': { what: 'retryable' } } }, async (f) => {
    await f.end();
    assert.deepEqual([f.state('p'), f.times('p'), f.times('p finalize'), f.aborts('p')], ['error', 1, 2, ['aborting', 'aborted']]);
  });
});

test('defect 10: fail_fast ends a parent that still runs at once; what it returns afterwards changes nothing, and it spawns no more', async () => {
  await family({ doing: { p: { spawn: ['bad'], delayMs: 5_000, onStop: 'ignore' }, 'p.bad': { what: 'permanent' } } }, async (f) => {
    await f.until(() => f.state('p.bad') === 'error', 'the child fails');
    assert.equal(f.state('p'), 'error');
    assert.equal(f.world.engine.metrics().slots.stopping, 1);
    await f.end();
    assert.deepEqual([f.state('p'), f.times('p')], ['error', 1]);
  });
});

test('defect 11, §15: a parent that fails for good takes its children with it; one that is tried again does not', async () => {
  await family(
    {
      steps: [{ name: 'p', retry: { ...TWICE, backoff: 'linear', baseMs: 1_000, maxMs: 5_000 } }],
      doing: {
        p: [
          { spawn: ['a', 'b'], what: 'retryable' },
          { spawn: ['a', 'b'], what: 'permanent' },
        ],
        'p.a': { delayMs: 500 },
        'p.b': { delayMs: 60_000 },
      },
    },
    async (f) => {
      await f.until(() => f.state('p') === 'waiting_for_retry', 'the parent waits to be tried again');
      await f.until(() => f.state('p.a') === 'complete', 'a child goes on meanwhile');
      assert.equal(f.state('p'), 'waiting_for_retry');
      await f.end();
      assert.deepEqual(f.states('p', 'p.a', 'p.b'), ['error', 'complete', 'cancelled: parent_failed']);
      assert.equal(f.times('p.a'), 1, 'the retry adopted it');
    },
  );
});

test('a retry that does not ask for a child again: it is cancelled when run returns, and finalize does not see it', async () => {
  await family(
    {
      traits: { p: { finalize: true }, child: { abort: true } },
      doing: { p: [{ spawn: ['a', 'b'], what: 'retryable' }, { spawn: ['b'] }], '*': { delayMs: 60_000 }, 'p.b': { delayMs: 100 } },
    },
    async (f) => {
      await f.end();
      assert.deepEqual(f.states('p', 'p.a', 'p.b'), ['complete', 'cancelled: not_respawned', 'complete']);
      assert.deepEqual(f.aborts('p.a'), ['aborting', 'aborted']);
      assert.deepEqual([f.times('p'), f.times('p.b'), f.times('p finalize')], [2, 1, 1]);
    },
  );
});

test('identity without a key is the position with handler and inputs: the same is adopted, another fails the parent for good', async () => {
  for (const same of [true, false]) {
    await family({ doing: { p: [{ spawn: [{}], what: 'retryable' }, { spawn: [same ? {} : { inputs: '{"of":"other"}' }] }] } }, async (f) => {
      await f.end();
      assert.deepEqual([f.state('p'), f.times('p.1')], [same ? 'complete' : 'error', 1]);
      if (!same) assert.match(f.world.task(f.id).rows[0].error!, /spawn_mismatch/);
    });
  }
});

test('rows 20 and 22: finalize has what run returned, also after a restart; without a value of its own that is the result', async () => {
  for (const what of ['ok', 'nothing'] as const) {
    await family(
      { traits: FINALIZING, doing: { p: { spawn: [{ key: 'a', retry: TWICE }] }, 'p.a': { delayMs: 1_000 }, 'p finalize': { what } } },
      async (f) => {
        await f.until(() => f.state('p') === 'waiting_for_children', 'the parent waits');
        await f.crash();
        // That `own` is what run returned is checked with every dispatch of the world.
        await f.end();
        const result = (await f.world.complete(f.world.engine.result(f.id), 'result')) as { p: { by: string } };
        const t = f.world.task(f.id);
        assert.equal(result.p.by, `${t.id}/0/${what === 'ok' ? t.rows[0].token : 1}`);
      },
    );
  }
});

test("rows 14 and 19 (more in rows-kinship): children are steps of their parent's task, and end with its deadline", async () => {
  await family({ template: { deadlineMs: 10_000 }, traits: ABORTING, doing: { p: { spawn: ['a'] }, '*': { delayMs: 60_000 } } }, async (f) => {
    await f.end();
    assert.deepEqual([f.state('p'), f.state('p.a'), f.taskState], ['cancelled: expired', 'cancelled: expired', 'error']);
    assert.equal(new Set(f.world.order.map((r) => r.assignment.taskId)).size, 1);
    assert.deepEqual(f.aborts('p.a'), ['aborting', 'aborted']);
  });
});

test('row 73 (I6): an attempt that a crash takes is counted, of children as of parents', async () => {
  await family(
    {
      doing: {
        p: {
          spawn: [
            { key: 'a', retry: ONCE },
            { key: 'b', retry: TWICE },
          ],
        },
        '*': { delayMs: 60_000 },
      },
    },
    async (f) => {
      await f.until(() => f.state('p') === 'waiting_for_children', 'the parent waits');
      await f.crash();
      await f.end();
      assert.deepEqual(f.states('p', 'p.a'), ['error', 'error']);
      assert.match(f.world.task(f.id).rows[1].error!, /attempt_lost/);
    },
  );
});

test('row 77: a child of a handler that nobody has is refused, and fails the parent for good', async () => {
  await family({ lacks: (h) => h === 'nobody', doing: { p: { spawn: [{ key: 'a', handler: 'nobody' }] } } }, async (f) => {
    await f.end();
    assert.equal(f.world.task(f.id).rows.length, 1);
    assert.match(f.world.task(f.id).rows[0].error!, /unknown_handler/);
  });
});

test('§15: three levels: a failure at the bottom climbs, and takes the branches beside it', async () => {
  await family(
    {
      traits: ABORTING,
      doing: { p: { spawn: ['mid', 'side'] }, 'p.mid': { spawn: ['low', 'calm'] }, 'p.mid.low': { what: 'permanent', delayMs: 50 }, '*': { delayMs: 60_000 } },
    },
    async (f) => {
      await f.end();
      assert.deepEqual(f.states('p', 'p.mid', 'p.mid.low', 'p.mid.calm', 'p.side'), [
        'error',
        'error',
        'error',
        'cancelled: sibling_failed',
        'cancelled: sibling_failed',
      ]);
      assert.equal(f.taskState, 'error');
    },
  );
});

test('a cancel while the parent runs, before and after each of its commits, leaves nothing running and nothing unsaid', async () => {
  for (let after = 1; after < 14; after++) {
    const f = await StagedFamily.open({
      traits: { p: { finalize: true, abort: true }, child: { abort: true } },
      slots: 2,
      doing: { p: { spawn: keys(3), delayMs: 10 }, '*': { delayMs: 20 } },
    });
    try {
      for (let i = 0; i < 10_000 && f.world.mirror.commits < after && !f.world.settled(); i++)
        if (!(await f.world.machine.stepOnce())) f.world.machine.fireNext();
      await f.world.complete(f.world.cancelStep(f.id, 'p'), 'cancel');
      await f.end();
    } finally {
      f.world.close();
    }
  }
});
