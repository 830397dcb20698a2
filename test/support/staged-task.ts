/** A task brought to a place worth looking at: what each step's attempts do is a table, and steps can be kept ready without running. */
import type { Json, TemplateDefinition } from '../../src/core/definition.ts';
import type { StepView, TaskView } from '../../src/engine/views.ts';
import type { Assignment } from '../../src/engine/worker-port.ts';
import { SimulatedWorld } from './simulated-world.ts';

type Attempt = 'ok' | 'retryable' | 'permanent' | 'silent';

export interface Staging {
  /** By step: what its attempts do; the last entry holds for all further ones. Default: ok. */
  attempts?: Record<string, readonly Attempt[]>;
  /** Result of a step from what it was given. */
  compute?: (name: string, input: Json, results: Record<string, Json>) => Json;
  /** Steps whose handler nobody has: they stay ready for as long as one looks. */
  hold?: readonly string[];
  input?: Json;
  slots?: number;
  delayMs?: number;
  retryAfterMs?: number;
  /** How long to watch before looking, simulated. Default 1 s. */
  watchMs?: number;
  onStop?: 'obey' | 'ignore';
}

export interface Staged {
  world: SimulatedWorld;
  id: string;
  task: TaskView;
  steps: Record<string, StepView>;
  /** Looks again. */
  look(): Promise<void>;
  close(): void;
}

export const resultsOf = (a: Assignment): Record<string, Json> =>
  Object.fromEntries((a.results ?? []).flatMap(([name, , r]) => (r.state === 'complete' ? [[name, JSON.parse(r.body) as Json]] : [])));

export async function staged(definition: TemplateDefinition, o: Staging = {}): Promise<Staged> {
  const { attempts = {}, compute, hold = [], delayMs = 5, onStop = 'obey' } = o;
  const world = new SimulatedWorld({
    seed: 1,
    slots: o.slots ?? 10,
    templates: [definition],
    lacks: new Set(hold),
    config: { openToWorkers: true },
    script: (a) => {
      const list = attempts[a.stepName] ?? ['ok'];
      const what = list[Math.min(a.attempt, list.length) - 1];
      return {
        what,
        delayMs,
        onStop,
        ...(o.retryAfterMs === undefined ? {} : { retryAfterMs: o.retryAfterMs }),
        ...(compute === undefined ? {} : { body: JSON.stringify(compute(a.stepName, JSON.parse(a.input) as Json, resultsOf(a))) }),
      };
    },
  });
  await world.boot();
  const view = await world.complete(
    world.engine.submit({ namespace: definition.namespace, name: definition.name, version: definition.version, input: o.input ?? {} }),
    'submit',
  );
  const s: Staged = {
    world,
    id: view.id,
    task: view,
    steps: {},
    async look() {
      s.task = await world.complete(world.engine.task(view.id), 'reading the task');
      const all = await world.complete(world.engine.steps(view.id, { results: true }), 'reading the steps');
      s.steps = Object.fromEntries(all.map((x) => [x.name, x]));
    },
    close: () => world.close(),
  };
  await world.machine.advanceBy(o.watchMs ?? 1_000);
  await s.look();
  return s;
}
