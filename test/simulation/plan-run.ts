/**
 * One seed of plans under everything that may go wrong: commits that fail, or land and say they failed; kills; generators that throw, wait or
 * abort; subtasks that fail; queues that stop; aborts; tables that are dropped and made again; triggers at any time. What holds at the end:
 * every input counted once, batches without gap or repeat, one live plan per pair at most at any time, nothing stuck, and whoever waited was
 * told what is so.
 */
import assert from 'node:assert/strict';
import type { ChangeSet } from '../../src/core/changes.ts';
import { isTuttiError } from '../../src/core/errors.ts';
import { PLAN_STATUSES, Status, isPlanLive } from '../../src/core/plan.ts';
import type { TaskTypeDefinition } from '../../src/sdk/plans/task-type.ts';
import type { CommitFate } from '../support/faulty-store.ts';
import { failure, OK, PlanWorld } from '../support/plan-world.ts';
import { SeededRandom, drawOf } from '../support/seeded-random.ts';

const FATES: readonly CommitFate[] = ['busy', 'refused', 'lost', 'applied', 'applied'];
/** What a caller may be told without anything being wrong. */
const REFUSALS: readonly string[] = ['PLAN_ACTIVE', 'STORE_UNAVAILABLE', 'BACKPRESSURE', 'SHUTTING_DOWN', 'GENERATION_FAILED', 'NOT_FOUND'];
const RESOURCES = ['t_OFFLINE', 't_REALTIME', 'u_OFFLINE'];

export interface PlanRunFacts {
  plans: number;
  batches: number;
  faults: number;
  kills: number;
  aborts: number;
  drops: number;
  counted: number;
  ends: Record<string, number>;
}

interface Cursor {
  next: number;
  again: [n: number, tries: number][];
}

interface Input {
  n: number;
  tries: number;
  from: string;
}

export async function planRun(seed: number): Promise<PlanRunFacts> {
  const rnd = new SeededRandom(seed);
  const facts: PlanRunFacts = { plans: 0, batches: 0, faults: 0, kills: 0, aborts: 0, drops: 0, counted: 0, ends: {} };
  const w = new PlanWorld(seed);
  const inputs = rnd.int(3, 40);
  const limit = rnd.int(1, 9);
  const failing = rnd.chance(0.7) ? rnd.next() * 0.4 : 0;
  const throwing = rnd.chance(0.5) ? rnd.next() * 0.4 : 0;
  const withFinish = rnd.chance(0.8);
  let calls = 0;
  const maybeThrow = (): void => {
    if (drawOf(seed, 5, calls++) < throwing) throw new Error('scripted');
  };
  const type: TaskTypeDefinition<Cursor, Input, null> = {
    name: 'Sum',
    startPlan: () => {
      maybeThrow();
      return { state: { next: 0, again: [] } as Cursor, inputsToProcess: inputs };
    },
    nextBatch: (ctx) => {
      maybeThrow();
      const { next, again } = ctx.state;
      const old = again.slice(0, limit);
      const fresh = Array.from({ length: Math.max(0, Math.min(limit - old.length, inputs - next)) }, (_, i): [number, number] => [next + i, 0]);
      const take = [...old, ...fresh];
      if (take.length === 0) return { kind: 'done' };
      const mood = drawOf(seed, 77, calls++);
      if (mood < 0.01) return { kind: 'abort', reason: 'scripted' };
      if (mood < 0.04) return { kind: 'wait', after: 1500 };
      return {
        kind: 'batch',
        subtasks: take.map(([n, tries]) => ({ input: { n, tries, from: ctx.planId } })),
        state: { next: next + fresh.length, again: again.slice(limit) },
        countFailures: old.length === 0,
      };
    },
    ...(withFinish
      ? {
          onBatchFinished: async (ctx, batch) => {
            maybeThrow();
            const again = [...ctx.state.again];
            const put = [];
            for await (const s of batch.subtasks) {
              if (s.state === 'complete') put.push({ key: `done/${ctx.planId}/${s.input.n}`, body: { batch: batch.sequence }, expect: null });
              else if (s.input.tries < 5) again.push([s.input.n, s.input.tries + 1] as [number, number]);
              else put.push({ key: `given-up/${ctx.planId}/${s.input.n}`, body: {}, expect: null });
            }
            // Read and written again: a lost update would show.
            const sum = await ctx.item(`sum/${ctx.planId}`);
            const before = (sum?.body as { n: number } | undefined)?.n ?? 0;
            put.push({ key: `sum/${ctx.planId}`, body: { n: before + put.length }, expect: sum?.version ?? null });
            // Written by the plans of all types and by others: whoever read an old one has to read again.
            const shared = await ctx.item('shared');
            put.push({ key: 'shared', body: { n: ((shared?.body as { n: number } | undefined)?.n ?? 0) + 1 }, expect: shared?.version ?? null });
            return { state: { ...ctx.state, again }, changes: { put } };
          },
          onPlanEnd: async (ctx) => {
            maybeThrow();
            return { changes: { put: [{ key: `end/${ctx.planId}`, body: {}, expect: null }] } };
          },
        }
      : {}),
    failurePolicy: { maxFailedBatches: 1000, maxBarrenBatches: 1000 },
    subtask: () => null,
  };
  const other = { ...type, name: 'Other' };
  const types = [type, other];
  w.ends = (input, a) => {
    const { n, tries } = input as { n: number; tries: number };
    if (drawOf(seed, n, tries, a.token) < 0.1) return null;
    return drawOf(seed, n, tries) < failing ? failure() : OK;
  };
  const faulty = rnd.chance(0.7) ? 0.02 + rnd.next() * 0.1 : 0;
  let calm = false;
  w.fate = (changes) => {
    check(changes);
    if (calm || rnd.next() >= faulty) return 'ok';
    facts.faults++;
    return rnd.pick(FATES);
  };
  await w.boot(types, { plans: { pollMs: 1000 } });
  /** Nobody waits: a kill leaves it unanswered. */
  /** What those who waited for an end in the last life were told. */
  let ends = new Map<string, string | null>();
  const awaitEnd = (planId: string): void => {
    const mine = ends;
    mine.set(planId, null);
    w.engine.plans.ended(planId).then(
      (p) => mine.set(planId, p.status),
      (e: unknown) => mine.set(planId, isTuttiError(e) ? e.code : String(e)),
    );
  };
  const trigger = (resource: string, taskType: string): void => {
    const { life } = w;
    const on = enabled;
    const via = rnd.chance(0.7) ? 'execute' : 'cron';
    w.settings = { [resource]: { [taskType]: { enableTaskOrchestration: 'true' } } };
    const begun = async (): Promise<void> => {
      const { runs } = await w.engine.plans.trigger({ resource, taskType, settings: { enableTaskOrchestration: 'true' }, via });
      for (const { planId } of life.alive ? runs : []) {
        if (planId !== null) awaitEnd(planId);
        else if (on)
          assert.ok(
            !w.inner.livePlans().some((p) => p.resource === resource && p.taskType === taskType && !p.once),
            'told that there is nothing, where a plan is',
          );
      }
    };
    begun().catch((e: unknown) => {
      if (!isTuttiError(e) || !REFUSALS.includes(e.code)) w.machine.report(e);
    });
  };
  /** Drops a table and makes it again, while whatever happens to it happens. */
  const recreate = (resource: string): void => {
    const { life } = w;
    const { resources } = w.engine;
    const work = async (): Promise<void> => {
      await resources.remove(resource);
      if (life.alive) await resources.create({ id: resource, kind: 'table', body: {} });
    };
    work().catch((e: unknown) => {
      if (life.alive && (!isTuttiError(e) || ![...REFUSALS, 'ALREADY_EXISTS'].includes(e.code))) w.machine.report(e);
    });
  };
  const touch = (resource: string): void => {
    const write = async (): Promise<void> => {
      const item = await w.engine.resources.item(resource, 'shared');
      await w.engine.resources.change(resource, {
        put: [{ key: 'shared', body: { n: ((item?.body as { n: number } | undefined)?.n ?? 0) + 1 }, expect: item?.version ?? null }],
      });
    };
    write().catch((e: unknown) => {
      if (!isTuttiError(e) || !['CONFLICT', 'STORE_UNAVAILABLE', 'SHUTTING_DOWN', 'NOT_FOUND'].includes(e.code)) w.machine.report(e);
    });
  };
  let enabled = true;
  try {
    const rounds = rnd.int(5, 25);
    for (let i = 0; i < rounds; i++) {
      const what = rnd.next();
      if (what < 0.25) trigger(rnd.pick(RESOURCES), rnd.pick(['Sum', 'Sum', 'Other']));
      else if (what < 0.3) touch(rnd.pick(RESOURCES));
      else if (what < 0.33) {
        facts.drops++;
        const resource = rnd.pick(RESOURCES);
        recreate(resource);
        if (rnd.chance(0.3)) trigger(resource, 'Sum');
        if (rnd.chance(0.3)) touch(resource);
      } else if (what < 0.4) {
        for (let k = rnd.int(0, 6); k > 0; k--) await w.machine.stepOnce();
        w.kill();
        ends = new Map();
        facts.kills++;
        enabled = rnd.chance(0.9);
        await w.boot(types, { plans: { pollMs: 1000, enabled } });
      } else if (what < 0.5) {
        const [p] = await w.engine.plans.active().catch(() => []);
        if (p !== undefined && rnd.chance(0.3)) {
          facts.aborts++;
          await w.wait(w.engine.plans.abort(p.planId)).catch(() => undefined);
        }
      } else if (what < 0.58) await w.wait(rnd.chance(0.5) ? w.engine.plans.stopQueue('Sum') : w.engine.plans.resumeQueue('Sum')).catch(() => undefined);
      else if (what < 0.8) await w.finish(rnd.chance(0.8) ? OK : failure(), rnd.int(1, 5));
      else await w.machine.advanceBy(rnd.int(1, 5_000));
      if (rnd.chance(0.5)) await w.machine.stepOnce();
    }
    calm = true;
    w.ends = (input) => (drawOf(seed, (input as { n: number }).n, 99) < failing ? failure() : OK);
    // Half of them go on in the process they have: what only a restart heals would be stuck.
    if (!enabled || rnd.chance(0.5)) {
      w.kill();
      ends = new Map();
      await w.boot(types, { plans: { pollMs: 1000 } });
    }
    await w.machine.advanceBy(2_000);
    await w.wait(w.engine.plans.resumeQueue('Sum'));
    await w.finish();
    for (let i = 0; i < 200 && w.inner.livePlans().length > 0; i++) {
      await w.machine.advanceBy(60_000);
      await w.finish();
    }
    assert.deepEqual(
      w.logged.filter((l) => l.includes('given up')),
      [],
      'a command was decided on what was not so',
    );
    await w.machine.settle();
    for (const [planId, told] of ends) {
      const p = w.inner.planById(planId);
      assert.ok(told !== null && (p === null || told === PLAN_STATUSES[p.status]), `${planId}: told ${told}`);
    }
    await verify(w, inputs, withFinish, facts);
  } finally {
    await w.close().catch(() => undefined);
  }
  return facts;

  /** I9, in what is about to be written. */
  function check(changes: ChangeSet): void {
    const opened = changes.planBatches.filter((b) => b.insert).map((b) => b.batch.plan);
    assert.equal(new Set(opened).size, opened.length, 'two batches of a plan in one commit (I9)');
    for (const { plan } of changes.plans)
      assert.ok(plan.processed + plan.inFlight <= plan.total, `processed ${plan.processed} + in flight ${plan.inFlight} > ${plan.total}`);
    for (const b of changes.planBatches)
      if (b.insert)
        assert.ok(
          changes.tasks.some((t) => t.id === b.batch.task),
          'a batch without its task in the same commit',
        );
  }
}

async function verify(w: PlanWorld, inputs: number, withFinish: boolean, facts: PlanRunFacts): Promise<void> {
  const store = w.inner;
  assert.deepEqual(
    store.livePlans().map((p) => `${p.planId} ${p.status} ${p.phase} ${p.message}`),
    [],
    'plans are stuck',
  );
  for (const p of store.plansOf({ newest: false, limit: 10_000 })) {
    assert.ok(!isPlanLive(p.status));
    facts.plans++;
    facts.batches += p.batches;
    facts.ends[String(p.status)] = (facts.ends[String(p.status)] ?? 0) + 1;
    const batches = store.planBatches({ plan: p.id, from: 0, limit: 100_000 });
    assert.deepEqual(
      batches.map((b) => b.seq),
      Array.from({ length: p.batches }, (_, i) => i),
      `${p.planId}: gaps`,
    );
    for (const b of batches) {
      assert.ok(b.finishedAt !== null, `${b.name} never ended`);
      assert.ok(b.state > 0, `${b.name}: lost`);
    }
    for (let i = 1; i < batches.length; i++)
      assert.ok(batches[i].submittedAt >= (batches[i - 1].finishedAt ?? 0), `${batches[i].name} overlaps the one before`);
    assert.equal(p.inFlight, 0);
    if (!withFinish) continue;
    const { incarnation } = store.resource(p.resource)!;
    const keys = store.items({ resource: incarnation, limit: 100_000 }).filter((i) => i.key.includes(p.planId));
    const done = keys.filter((i) => i.key.startsWith('done/'));
    const lost = keys.filter((i) => i.key.startsWith('given-up/'));
    facts.counted += done.length;
    assert.equal(p.processed, done.length, `${p.planId}: processed`);
    if (p.batches > 0)
      assert.equal((JSON.parse(keys.find((i) => i.key.startsWith('sum/'))!.body) as { n: number }).n, done.length + lost.length, `${p.planId}: sum`);
    if (p.status === Status.completed) assert.equal(done.length + lost.length, inputs, `${p.planId}: every input once`);
    if (!p.message.includes('onPlanEnd failed')) assert.equal(keys.filter((i) => i.key.startsWith('end/')).length, 1, `${p.planId}: one end`);
  }
}
