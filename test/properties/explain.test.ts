/**
 * What `explain` says is held against what then happens: at rest, with a slot free, nothing is said to be able to run; when a slot
 * comes free, the next to run are those that explain put first; and what was said to wait for something does not run before that
 * has happened. The function that decides is never asked.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExplainView } from '../../src/engine/views.ts';
import type { Assignment } from '../../src/engine/worker-port.ts';
import { SeededRandom, drawOf } from '../support/seeded-random.ts';
import { keyOf } from '../support/mirrored-world.ts';
import { SimulatedWorld } from '../support/simulated-world.ts';
import { FIXTURES, POLICIES, randomGraph } from '../support/template-fixtures.ts';
import { isOver } from '../support/committed-mirror.ts';

interface Facts {
  dispatches: number;
  waitedForSlots: number;
  gated: number;
}

async function explainedRun(seed: number): Promise<Facts> {
  const r = new SeededRandom(seed);
  const templates = Array.from({ length: 3 }, (_, i) => {
    const o = { name: `t${i}`, policy: r.pick(POLICIES) };
    const base = r.chance(0.5) ? randomGraph(o.name, r.int(2, 10), () => r.next(), o) : { ...r.pick(FIXTURES)(o), ...o };
    return {
      ...base,
      steps: base.steps.map((s) => ({
        ...s,
        ...(r.chance(0.2) ? { timeoutMs: r.int(40, 120) } : {}),
        retry: { ...s.retry, backoff: 'linear' as const, baseMs: r.int(0, 400) },
      })),
    };
  });
  const world = new SimulatedWorld({
    seed,
    slots: r.int(1, 4),
    templates,
    script: (a) => {
      const d = new SeededRandom(Math.floor(drawOf(seed, a.task, a.no, a.token) * 2 ** 32));
      const dice = d.next();
      return { what: dice < 0.15 ? 'retryable' : dice < 0.22 ? 'permanent' : 'ok', delayMs: d.int(1, 150), onStop: d.chance(0.5) ? 'obey' : 'ignore' };
    },
  });
  const facts: Facts = { dispatches: 0, waitedForSlots: 0, gated: 0 };
  try {
    await world.boot();
    for (let i = r.int(3, 8); i > 0; i--) await world.complete(world.submit(r.pick(templates).name), 'submit');
    await world.machine.settle();
    let dispatchedUpTo = world.dispatches.length;
    for (let round = 0; round < 300 && !world.settled(); round++) {
      const said = new Map<string, ExplainView>();
      for (const { id } of world.acknowledged) {
        for (const e of await world.complete(world.engine.explain(id), 'explain')) said.set(`${keyOf(id)}/${e.name}`, e);
      }
      const free = world.o.slots - world.worker.used;
      for (const [key, e] of said) {
        if (free > 0) assert.ok(!e.runnable, `${key} is said to run (${e.gates.map((g) => g.kind).join(',')}) with ${free} slots free, and rests`);
        assert.ok(e.gates.length > 0, `${key}: nothing is said`);
      }
      assert.equal(world.dispatches.length, dispatchedUpTo, 'asking starts nothing');
      // One thing happens.
      if (!world.machine.fireNext()) break;
      await world.machine.settle();
      world.machine.throwReported();
      const now = world.dispatches.slice(dispatchedUpTo);
      dispatchedUpTo = world.dispatches.length;
      facts.dispatches += now.length;
      for (const a of now) judge(world, a, said, facts);
      checkOrder(world, now, said);
    }
    await world.finish();
    world.check();
    return facts;
  } finally {
    world.close();
  }
}

/** A step has begun: what was said to hold it back must be over. */
function judge(world: SimulatedWorld, a: Assignment, said: Map<string, ExplainView>, facts: Facts): void {
  const at = `task ${a.task} step ${a.stepName}`;
  const e = said.get(`${a.task}/${a.stepName}`);
  assert.ok(e, `${at} began and was never explained`);
  const task = world.mirror.tasks.get(a.task)!;
  for (const g of e.gates) {
    switch (g.kind) {
      case 'slots':
        facts.waitedForSlots++;
        assert.equal(g.details.used, g.details.slots);
        break;
      case 'dependency': {
        facts.gated++;
        const name = g.details.name as string;
        const dep = task.steps[task.definition.steps.findIndex((s) => s.name === name)];
        assert.ok(isOver(dep.state), `${at} began while ${name} is ${dep.state}`);
        if (g.details.required) assert.equal(dep.state, 'complete', `${at} began after ${name} failed`);
        break;
      }
      case 'retry_wait':
        facts.gated++;
        assert.ok(Number(g.details.due_at) <= world.machine.now(), `${at} began before its retry was due`);
        break;
      case 'running':
        // It failed and began again at once, or in the same instant.
        facts.gated++;
        assert.ok(a.attempt > Number(g.details.attempt), `${at} began twice`);
        break;
      case 'stopping':
        facts.gated++;
        assert.ok(a.attempt > 1);
        break;
      default:
        assert.fail(`${at} began although explain said: ${g.message}`);
    }
  }
}

/** Among steps that waited for a slot only, those that were put first began first. */
function checkOrder(world: SimulatedWorld, now: readonly Assignment[], said: Map<string, ExplainView>): void {
  const waited = [...said].filter(([, e]) => e.runnable).map(([key, e]) => ({ key, ahead: Number(e.gates[0].details.ahead) }));
  const begun = new Set(now.map((a) => `${a.task}/${a.stepName}`));
  const last = Math.max(-1, ...waited.filter((w) => begun.has(w.key)).map((w) => w.ahead));
  for (const w of waited) {
    if (w.ahead >= last || begun.has(w.key)) continue;
    const [task, name] = w.key.split('/');
    const t = world.mirror.tasks.get(Number(task))!;
    const s = t.steps[t.definition.steps.findIndex((x) => x.name === name)];
    // It may have been cancelled meanwhile; it may not have been passed over.
    assert.ok(isOver(s.state), `${w.key} was ahead (${w.ahead}) and was passed over by one at ${last}`);
  }
}

test('what explain says is what the dispatches show', async (t) => {
  const sums: Facts = { dispatches: 0, waitedForSlots: 0, gated: 0 };
  for (let seed = 1; seed <= 60; seed++) {
    try {
      const f = await explainedRun(seed);
      sums.dispatches += f.dispatches;
      sums.waitedForSlots += f.waitedForSlots;
      sums.gated += f.gated;
    } catch (e) {
      throw new Error(`seed ${seed}`, { cause: e });
    }
  }
  t.diagnostic(JSON.stringify(sums));
  assert.ok(sums.waitedForSlots > 100 && sums.gated > 100);
});
