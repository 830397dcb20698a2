/** One seeded run of tasks with tied children: parents that spawn, nested, finalizers, abort hooks, cancels, commits that fail anywhere, kills anywhere. */
import type { TemplateDefinition } from '../../src/core/definition.ts';
import type { TreeElement } from '../../src/core/tree-element.ts';
import type { Assignment, SpawnRequest } from '../../src/engine/worker-port.ts';
import type { MirroredTask } from '../support/family-mirror.ts';
import { type FamilyBehaviour, FamilyWorld } from '../support/family-world.ts';
import { SeededRandom, randomOf } from '../support/seeded-random.ts';
import { POLICIES, graph } from '../support/template-fixtures.ts';
import { faultsOf, tightConfig } from './seeded-trouble.ts';

const HANDLERS = ['plain', 'finalizing', 'aborting', 'both', 'stubborn'];
const TRAITS: Record<string, { finalize: boolean; abort: boolean; cancelable: boolean }> = {
  plain: { finalize: false, abort: false, cancelable: true },
  finalizing: { finalize: true, abort: false, cancelable: true },
  aborting: { finalize: false, abort: true, cancelable: true },
  both: { finalize: true, abort: true, cancelable: true },
  stubborn: { finalize: true, abort: true, cancelable: false },
};
export const traitsOf = (handler: string): { finalize: boolean; abort: boolean; cancelable: boolean } => TRAITS[handler] ?? TRAITS.plain;
const BEARS = ['fail_fast', 'fail_fast', 'wait_all', 1, 2] as const;

export interface FamilyFacts {
  seed: number;
  tasks: number;
  attempts: number;
  spawned: number;
  finalized: number;
  aborted: number;
  faults: number;
  kills: number;
  ends: Record<string, number>;
}

function templatesOf(r: SeededRandom): TemplateDefinition[] {
  return Array.from({ length: 3 }, (_, t) =>
    graph(
      `t${t}`,
      Array.from({ length: r.int(1, 4) }, (_, i) => ({
        name: `s${i}`,
        handler: r.pick(HANDLERS),
        ...(i > 0 && r.chance(0.6) ? { after: [`s${r.int(0, i - 1)}${r.chance(0.3) ? '?' : ''}`] } : {}),
        ...(r.chance(0.5) ? { onChildFailure: r.pick(BEARS) } : {}),
        ...(r.chance(0.3) ? { maxChildren: r.int(1, 3) } : {}),
        ...(r.chance(0.3) ? { timeoutMs: r.int(100, 3_000) } : {}),
        retry: { maxAttempts: r.int(1, 4), ...(r.chance(0.5) ? { backoff: 'linear' as const, baseMs: r.int(1, 2_000), jitter: 0.5 } : {}) },
      })),
      { policy: r.pick(POLICIES), ...(r.chance(0.1) ? { deadlineMs: r.int(500, 60_000) } : {}) },
    ),
  );
}

const JOINED = 'root';

/** An ad hoc tree: inline children, folders, dependencies between siblings. */
function treeOf(r: SeededRandom, n: number): TreeElement[] {
  const elements: TreeElement[] = [{ name: JOINED, ...(r.chance(0.5) ? { handler: r.pick(HANDLERS) } : {}), ...elementRules(r) }];
  for (let i = 1; i < n; i++) {
    const parent = r.pick(elements);
    const siblings = elements.filter((e) => e.parent_id === parent.name);
    elements.push({
      name: `e${i}`,
      parent_id: parent.name,
      tied: r.chance(0.8),
      ...(r.chance(0.7) ? { handler: r.pick(HANDLERS) } : {}),
      ...(siblings.length > 0 && r.chance(0.3) ? { dependencies: [{ name: r.pick(siblings).name, required: r.chance(0.7) }] } : {}),
      ...elementRules(r),
    });
  }
  // What runs nothing must have something filed under it.
  const folders = new Set(elements.map((e) => e.parent_id));
  for (const e of elements) if (!folders.has(e.name)) e.handler ??= 'plain';
  return elements;
}

const elementRules = (r: SeededRandom): Partial<TreeElement> => ({
  ...(r.chance(0.4) ? { on_child_failure: r.pick(['fail_fast', 'wait_all', { tolerate: 1 }] as const) } : {}),
  ...(r.chance(0.3) ? { max_concurrent_children: r.int(1, 3) } : {}),
  ...(r.chance(0.1) ? { allow_failure: true } : {}),
  ...(r.chance(0.2) ? { timeout_seconds: r.int(1, 3) } : {}),
  retry: { max_attempts: r.int(1, 3), backoff: 'linear', backoff_base_ms: r.int(0, 1_000), max_backoff_ms: 5_000 },
});

/** A child's request follows from its parent and its place. Some keep their key and change what they ask for. */
function childOf(seed: number, task: number, parent: number, i: number, r: SeededRandom): SpawnRequest {
  const c = randomOf(seed, task, parent, i, 77);
  return {
    handler: c.pick(HANDLERS),
    inputs: JSON.stringify({ i, ...(r.chance(0.02) ? { other: true } : {}) }),
    ...(c.chance(0.7) ? { key: `k${i}` } : { position: i }),
    ...(c.chance(0.3) ? { priority: c.int(0, 3) } : {}),
    ...(c.chance(0.4) ? { onChildFailure: c.pick(BEARS) } : {}),
    ...(c.chance(0.3) ? { maxChildren: c.int(1, 2) } : {}),
    ...(c.chance(0.1) ? { allowFailure: true } : {}),
    ...(c.chance(0.2) ? { timeoutMs: c.int(50, 3_000) } : {}),
    retry: { retryable: true, maxAttempts: c.int(1, 3), backoff: 'linear', baseMs: c.int(0, 1_000), maxMs: 5_000, jitter: 0 },
  };
}

function depthOf(t: MirroredTask, no: number): number {
  let depth = 0;
  for (let at = t.facts[no].parent; at >= 0; at = t.facts[at].parent) depth++;
  return depth;
}

/** What an attempt does follows from its place alone, so that it is the same however often things are decided. */
function behaviourOf(seed: number, trouble: number, wide: number): (a: Assignment, t: MirroredTask) => FamilyBehaviour {
  return (a, t) => {
    const r = randomOf(seed, a.task, a.no, a.token);
    const dice = r.next();
    const what =
      dice < trouble * 0.5
        ? 'retryable'
        : dice < trouble * 0.7
          ? 'permanent'
          : a.deadlineAt !== null && dice < trouble
            ? 'silent'
            : r.chance(0.2)
              ? 'nothing'
              : 'ok';
    const depth = depthOf(t, a.no);
    const shape = randomOf(seed, a.task, a.no, 5);
    const wants = a.phase === 'run' && depth < 3 && t.facts.length < 60 + wide && shape.chance(depth === 0 ? 0.8 : 0.3);
    const spawns: SpawnRequest[][] = [];
    if (wants) {
      let i = 0;
      const lists = shape.int(1, 3);
      for (let l = 0; l < lists; l++) {
        const n = depth === 0 && wide > 0 && l === 0 ? wide : shape.int(1, 5);
        const list: SpawnRequest[] = [];
        for (let k = 0; k < n; k++, i++) if (!r.chance(a.attempt > 1 ? 0.15 : 0)) list.push(childOf(seed, a.task, a.no, i, r));
        if (list.length > 0) spawns.push(list);
      }
    }
    return {
      what,
      delayMs: r.chance(0.3) ? 0 : r.chance(0.1) ? r.int(1_000, 4_000) : r.int(1, 200),
      onStop: r.chance(0.7) ? 'obey' : 'ignore',
      ...(spawns.length === 0 ? {} : { spawns }),
      ...(r.chance(0.1) ? { hasty: true } : {}),
    };
  };
}

export async function familyRun(seed: number): Promise<FamilyFacts> {
  const r = new SeededRandom(seed);
  const templates = templatesOf(r.fork());
  const wide = r.chance(0.05) ? r.pick([280, 480]) : 0;
  const world = new FamilyWorld({
    seed,
    slots: r.int(1, 8),
    templates,
    traits: traitsOf,
    script: behaviourOf(seed, r.pick([0, 0.1, 0.3, 0.6]), wide),
    faults: faultsOf(seed, r.pick([0, 0.01, 0.05, 0.2])),
    config: tightConfig(r.fork()),
    lacks: (handler) => !HANDLERS.includes(handler),
  });
  const killRate = r.pick([0, 0.002, 0.01]);
  const cancelRate = r.pick([0, 0.002, 0.01]);
  let kills = 0;
  try {
    await world.boot();
    const total = wide > 0 ? 2 : r.int(2, 8);
    let asked = 0;
    for (let turn = 0; turn < 20_000 && (asked < total || !world.settled()); turn++) {
      if (asked < total && r.chance(0.1)) {
        asked++;
        if (r.chance(0.3)) void world.submitTree(treeOf(r, wide > 0 && r.chance(0.5) ? r.pick([300, 540]) : r.int(1, 12)), r.pick(POLICIES));
        else void world.submit(r.pick(templates).name, { n: asked });
      }
      if (world.acknowledged.length > 0 && r.chance(cancelRate)) {
        const { id } = r.pick(world.acknowledged);
        if (r.chance(0.1)) void world.cancel(id);
        else void world.cancelStep(id, r.pick(world.task(id).facts).name);
      }
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
    const { spawned, finalized, aborted, faults } = world;
    return { seed, tasks: world.mirror.tasks.size, attempts: world.order.length, spawned, finalized, aborted, faults, kills, ends };
  } finally {
    world.close();
  }
}
