/**
 * What must become of a task with decisions and batches, told from the results its decisions and batchable steps gave: which steps exist,
 * and which of them cannot run. Slow, and written from the rules alone: it looks at everything again until nothing changes.
 */
import type { Json, StepDefinition, TemplateDefinition } from '../../src/core/definition.ts';

/** How a step ended, as the engine says; absent ones have none. */
export interface Ended {
  state: string;
  reason: string | null;
  result: Json;
}

export interface Expected {
  exist: Set<string>;
  /** Of those that exist: what they wait for, workers in the place of their pattern. */
  deps: Map<string, { name: string; required: boolean }[]>;
}

const outcomeOf = (result: Json): { step_names?: string[]; cursor_configs?: { batch_id: string }[] } => {
  const given = result as { decision_point_outcome?: object };
  return (given.decision_point_outcome ?? given) as { step_names?: string[] };
};

/** `also`: steps that exist since a decision that has decided anew chose them before. */
export function expectedOf(d: TemplateDefinition, ended: ReadonlyMap<string, Ended>, also: Iterable<string> = []): Expected {
  const byName = new Map(d.steps.map((s) => [s.name, s]));
  const isComplete = (name: string): boolean => ended.get(name)?.state === 'complete';
  const initial = new Set<string>();
  // Steps stand after those they depend on.
  for (const s of d.steps) {
    if (s.type === 'batch_worker' || s.type === 'deferred_convergence') continue;
    if (s.dependencies.every((dep) => initial.has(dep.name) && byName.get(dep.name)!.type !== 'decision')) initial.add(s.name);
  }
  const exist = new Set([...initial, ...[...also].filter((name) => byName.has(name))]);
  const workers = new Map<string, string[]>();
  for (let before = -1; before !== exist.size + workers.size; ) {
    before = exist.size + workers.size;
    for (const s of d.steps) {
      if (!exist.has(s.name) || !isComplete(s.name)) continue;
      const outcome = outcomeOf(ended.get(s.name)!.result);
      if (s.type === 'decision') for (const n of outcome.step_names ?? []) for (const name of s.branches?.[n] ?? [n]) exist.add(name);
      if (s.type === 'batchable') workers.set(s.batch!.workerTemplate, outcome.cursor_configs?.map((c) => c.batch_id) ?? ['000']);
    }
    for (const s of d.steps) if (!exist.has(s.name) && comes(s)) exist.add(s.name);
  }
  function comes(s: StepDefinition): boolean {
    if (s.type === 'batch_worker') return false;
    const there = (name: string): boolean => exist.has(name) || workers.has(name);
    const chosen = s.dependencies.some((dep) => there(dep.name) && !initial.has(dep.name));
    if (s.type === 'deferred_convergence') return chosen;
    return chosen && s.dependencies.every((dep) => byName.get(dep.name)!.type !== 'decision' && (!dep.required || exist.has(dep.name)));
  }
  const deps: Expected['deps'] = new Map();
  for (const s of d.steps) {
    if (!exist.has(s.name)) continue;
    deps.set(
      s.name,
      s.dependencies.flatMap((dep) => {
        if (!workers.has(dep.name)) return exist.has(dep.name) ? [dep] : [];
        const maker = d.steps.find((m) => m.batch?.workerTemplate === dep.name)!;
        const bears = maker.batch!.failureStrategy === 'continue_on_failure';
        return workers.get(dep.name)!.map((id) => ({ name: `${dep.name}_${id}`, required: dep.required && !bears }));
      }),
    );
  }
  for (const [pattern, ids] of workers) {
    const maker = d.steps.find((m) => m.batch?.workerTemplate === pattern)!;
    for (const id of ids) {
      exist.add(`${pattern}_${id}`);
      deps.set(`${pattern}_${id}`, [{ name: maker.name, required: true }]);
    }
  }
  return { exist, deps };
}

/** The entry of the template that a step follows, a worker its pattern's. */
export const entryOf = (d: TemplateDefinition, name: string): StepDefinition =>
  (d.steps.find((s) => s.name === name) ?? d.steps.find((s) => s.type === 'batch_worker' && name.startsWith(`${s.name}_`)))!;
