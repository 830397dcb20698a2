/** One seeded run: mixed tasks, few slots, commits that fail anywhere, kills anywhere. The seed decides everything. */
import assert from 'node:assert/strict';
import type { TemplateDefinition } from '../../src/core/definition.ts';
import type { Assignment } from '../../src/engine/worker-port.ts';
import type { Behaviour } from '../support/scripted-worker.ts';
import { SeededRandom, randomOf } from '../support/seeded-random.ts';
import { SimulatedWorld } from '../support/simulated-world.ts';
import { FIXTURES, POLICIES, fanOut, randomGraph } from '../support/template-fixtures.ts';
import { faultsOf, tightConfig } from './seeded-trouble.ts';

export interface RunFacts {
  seed: number;
  tasks: number;
  attempts: number;
  commits: number;
  faults: number;
  kills: number;
  ends: Record<string, number>;
}

/** Rules that fixtures leave at rest, sprinkled over their steps. */
function spice(d: TemplateDefinition, r: SeededRandom): TemplateDefinition {
  return {
    ...d,
    ...(r.chance(0.1) ? { deadlineMs: r.chance(0.5) ? r.int(500, 20_000) : r.int(60_000, 300_000) } : {}),
    steps: d.steps.map((s) => ({
      ...s,
      ...(r.chance(0.25) ? { timeoutMs: r.int(50, 2_000) } : {}),
      ...(r.chance(0.1) ? { heartbeatMs: r.int(100, 1_000) } : {}),
      ...(r.chance(0.15) ? { priority: r.int(0, 3) } : {}),
      ...(r.chance(0.05) ? { cancelable: false } : {}),
      retry: {
        ...s.retry,
        ...(r.chance(0.5) ? { backoff: r.pick(['linear', 'exponential', 'fibonacci'] as const), baseMs: r.int(1, 3_000), jitter: r.next() } : {}),
      },
    })),
  };
}

function templatesOf(r: SeededRandom): TemplateDefinition[] {
  const all: TemplateDefinition[] = [];
  for (let i = 0; i < 5; i++) {
    const o = { name: `t${i}`, policy: r.pick(POLICIES) };
    const base = r.chance(0.5)
      ? randomGraph(o.name, r.int(1, 12), () => r.next(), o)
      : r.chance(0.05)
        ? { ...fanOut(r.chance(0.5) ? 300 : 540, o), ...o }
        : r.chance(0.2)
          ? { ...fanOut(r.int(3, 40), o), ...o }
          : { ...r.pick(FIXTURES)(o), ...o };
    all.push(spice(base, r));
  }
  return all;
}

/** What an attempt does follows from its place alone, so that it is the same however often things are decided. */
function behaviourOf(seed: number, trouble: number, definitions: Map<string, TemplateDefinition>): (a: Assignment) => Behaviour {
  return (a) => {
    const r = randomOf(seed, a.task, a.no, a.token);
    const rules = definitions.get(a.template.name)!.steps[a.no];
    const mayHang = rules.timeoutMs !== undefined || rules.heartbeatMs !== undefined;
    const dice = r.next();
    const what = dice < trouble * 0.5 ? 'retryable' : dice < trouble * 0.7 ? 'permanent' : mayHang && dice < trouble ? 'silent' : 'ok';
    return {
      what,
      delayMs: r.chance(0.3) ? 0 : r.chance(0.1) ? r.int(1_000, 4_000) : r.int(1, 200),
      onStop: r.chance(0.7) ? 'obey' : 'ignore',
      ...(r.chance(0.1) ? { againMs: r.pick([0, 1, 50, 5_000]) } : {}),
      ...(r.chance(0.05) ? { stray: true } : {}),
      ...(r.chance(0.1) ? { checkpoint: true } : {}),
      // One that beats and never answers would run for ever, and rightly so.
      ...(r.chance(0.5) && (what !== 'silent' || rules.timeoutMs !== undefined) ? { beatMs: r.int(20, 300) } : {}),
      ...(r.chance(0.05) ? { retryAfterMs: r.chance(0.5) ? r.int(0, 10_000) : r.int(50_000, 200_000) } : {}),
    };
  };
}

export async function seededRun(seed: number): Promise<RunFacts> {
  const r = new SeededRandom(seed);
  const templates = templatesOf(r.fork());
  const definitions = new Map(templates.map((t) => [t.name, t]));
  const world = new SimulatedWorld({
    seed,
    slots: r.int(2, 8),
    script: behaviourOf(seed, r.pick([0, 0.1, 0.3, 0.6]), definitions),
    faults: faultsOf(seed, r.pick([0, 0.01, 0.05, 0.2])),
    templates,
    config: tightConfig(r.fork()),
  });
  const killRate = r.pick([0, 0.002, 0.01]);
  const cancelRate = r.pick([0, 0, 0.1]);
  let kills = 0;
  try {
    await world.boot();
    const total = templates.some((t) => t.steps.length > 100) ? r.int(2, 4) : r.int(5, 25);
    let asked = 0;
    for (let turn = 0; turn < 20_000 && (asked < total || !world.settled()); turn++) {
      if (asked < total && r.chance(0.2)) {
        for (let n = r.int(1, 6); n > 0 && asked < total; n--, asked++)
          void world.submit(r.pick(templates).name, { n: asked }, r.chance(0.2) ? { priority: r.int(0, 3) } : {});
      }
      if (world.acknowledged.length > 0 && r.chance(0.02)) world.watch(r.pick(world.acknowledged).id);
      if (world.acknowledged.length > 0 && r.chance(cancelRate * 0.1)) void world.cancel(r.pick(world.acknowledged).id);
      const moved = await world.machine.stepOnce();
      if (!moved && !world.machine.fireNext()) break;
      if (r.chance(killRate)) {
        kills++;
        world.kill();
        if (r.chance(0.5)) world.machine.skip(r.int(0, 60_000));
        await world.boot();
      }
    }
    await world.finish();
    world.check();
    const ends: Record<string, number> = {};
    for (const t of world.mirror.tasks.values()) ends[t.state] = (ends[t.state] ?? 0) + 1;
    assert.ok(world.mirror.tasks.size >= world.acknowledged.length);
    return { seed, tasks: world.mirror.tasks.size, attempts: world.journal.size, commits: world.mirror.commits, faults: world.faults, kills, ends };
  } finally {
    world.close();
  }
}
