/** Random templates with decisions and batches, and what their handlers give: all of it follows from a seed. */
import { checkTemplate } from '../../src/core/template-rules.ts';
import type { FailurePolicy, Json, StepDefinition, StepType, TemplateDefinition } from '../../src/core/definition.ts';
import { SeededRandom, drawOf } from './seeded-random.ts';

const RETRY = { retryable: true, maxAttempts: 3, backoff: 'linear' as const, baseMs: 50, maxMs: 1_000, jitter: 0 };

export function branchingTemplate(name: string, r: SeededRandom, policy: FailurePolicy): TemplateDefinition {
  for (;;) {
    const d: TemplateDefinition = { namespace: 'fixtures', name, version: '1.0.0', policy, steps: drawSteps(r) };
    if (d.steps.some((s) => s.type !== 'standard') && checkTemplate(d).length === 0) return d;
  }
}

function drawSteps(r: SeededRandom): StepDefinition[] {
  const steps: StepDefinition[] = [];
  const size = r.int(3, 12);
  while (steps.length < size) {
    const dice = r.next();
    const type: StepType = dice < 0.45 ? 'standard' : dice < 0.65 ? 'decision' : dice < 0.75 ? 'batchable' : 'deferred_convergence';
    const name = `s${steps.length}`;
    const step: StepDefinition = { name, type, handler: name, dependencies: [], retry: { ...RETRY, maxAttempts: r.int(1, 3) } };
    const most = type === 'deferred_convergence' ? 4 : 2;
    const from = steps.filter((s) => s.type !== 'batch_worker' || type === 'deferred_convergence');
    for (let i = r.int(type === 'standard' ? 0 : 1, most); i > 0 && from.length > 0; i--) {
      const [dep] = from.splice(r.int(0, from.length - 1), 1);
      step.dependencies.push({ name: dep.name, required: r.chance(0.7) });
    }
    if (r.chance(0.05)) step.allowFailure = true;
    steps.push(step);
    if (type !== 'batchable') continue;
    const worker = `s${steps.length}`;
    step.batch = {
      workerTemplate: worker,
      batchSize: 10,
      parallelism: r.int(1, 3),
      failureStrategy: r.pick(['continue_on_failure', 'isolate', 'fail_fast'] as const),
      cursorField: 'id',
    };
    steps.push({
      name: worker,
      type: 'batch_worker',
      handler: worker,
      dependencies: [{ name, required: true }],
      retry: { ...RETRY, maxAttempts: r.int(1, 2) },
    });
  }
  for (const step of steps) {
    if (step.type !== 'decision' || !r.chance(0.3)) continue;
    const below = choosable(steps, step.name);
    if (below.length > 0) step.branches = { some: below.filter(() => r.chance(0.6)), rest: [r.pick(below)] };
  }
  return steps;
}

/** Names a decision may give. */
function choosable(steps: readonly StepDefinition[], decision: string): string[] {
  const below = new Set([decision]);
  for (const s of steps) if (s.dependencies.some((d) => below.has(d.name))) below.add(s.name);
  return steps.filter((s) => s.name !== decision && below.has(s.name) && s.type !== 'batch_worker').map((s) => s.name);
}

export type Answer = { ok: true; result: Json } | { ok: false; retryable: boolean };

/** What an attempt of a step gives; `trouble`: how often it fails. */
export function answerOf(d: TemplateDefinition, step: string, seed: readonly number[], trouble: number): Answer {
  const r = new SeededRandom(Math.floor(drawOf(...seed) * 2 ** 32));
  const dice = r.next();
  if (dice < trouble) return { ok: false, retryable: dice < trouble * 0.6 };
  const rules = d.steps.find((s) => s.name === step);
  if (rules?.type === 'decision') {
    if (r.chance(0.04)) return { ok: true, result: r.pick([{ type: 'create_steps', step_names: ['nowhere'] }, { type: 'create_steps', step_names: [] }, 7]) };
    const names = choosable(d.steps, step).filter(() => r.chance(0.4));
    for (const branch of Object.keys(rules.branches ?? {})) if (r.chance(0.4)) names.push(branch);
    const outcome: Json = names.length === 0 ? { type: 'no_branches' } : { type: 'create_steps', step_names: names };
    return { ok: true, result: r.chance(0.5) ? outcome : { more: 1, decision_point_outcome: outcome } };
  }
  if (rules?.type === 'batchable') {
    const n = r.int(0, 5);
    const cursors = Array.from({ length: n }, (_, i) => ({ batch_id: `b${i}`, start_cursor: i, end_cursor: i + 1, batch_size: 1 }));
    return { ok: true, result: n === 0 ? { type: 'no_batches' } : { type: 'create_batches', cursor_configs: cursors } };
  }
  return { ok: true, result: step };
}
