/**
 * A plan without an engine: calls a task type as the engine would, with everything that passes between calls as JSON, and writes its
 * changes with the rules of resources. `twice` makes every call and every subtask a second time, as after a crash that lost the first answer.
 */
import assert from 'node:assert/strict';
import type { Resources } from '../../../src/engine/resource-port.ts';
import type { AnyTaskType, NextAnswer, PlanContext, SubtaskContext } from '../../../src/sdk/plans/task-type.ts';

export interface DriverOptions {
  resources: Resources;
  type: AnyTaskType;
  resource: string;
  settings: Record<string, string>;
  uuid?: string;
  createdAt?: number;
  maxSubtasks?: number;
}

export interface RunOptions {
  twice?: boolean;
  /** Before the subtasks of a batch. */
  onBatch?: (no: number, inputs: unknown[]) => void | Promise<void>;
  /** After the subtasks, before the batch's end is written. */
  beforeFinish?: (no: number) => void | Promise<void>;
  beforeEnd?: () => void | Promise<void>;
  /** Throws: the subtask fails with it instead of running. */
  failing?: (input: never, batch: number) => void;
  /** The plan is aborted after so many batches. */
  abortAfter?: number;
  /** Runs as a one-shot run: one batch, then the end. */
  once?: boolean;
}

export interface DrivenPlan {
  status: 'COMPLETED' | 'CANCELLED' | 'FAILED';
  message: string;
  batches: { inputs: unknown[]; complete: number; failed: number; processed: number; countFailures: boolean; errors: string[] }[];
  total: number;
  processed: number;
  stats: Record<string, string>;
}

interface Outcome {
  name: string;
  input: unknown;
  units: number;
  state: 'complete' | 'error';
  result?: unknown;
  error?: { code: string; message: string };
}

const MAX_BATCHES = 1_000;
const MAX_CALLS = 20;
let plans = 0;

const wire = <T>(value: T): T => freeze(JSON.parse(JSON.stringify(value)) as T);

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const inner of Object.values(Object.freeze(value))) freeze(inner);
  return value;
}

export async function drivePlan(o: DriverOptions, run: RunOptions = {}): Promise<DrivenPlan> {
  const { type, resource, resources } = o;
  const problems = await type.validate?.(o.settings, resource);
  assert.deepEqual(problems ?? [], [], 'settings');
  const planId = `${resource}__${type.name}__${o.uuid ?? `0190-${String(++plans).padStart(4, '0')}`}`;
  const plan: DrivenPlan = { status: 'COMPLETED', message: '', batches: [], total: 0, processed: 0, stats: {} };
  let state: unknown = null;
  let properties = { ...o.settings };
  // oxlint-disable-next-line typescript/no-explicit-any -- whose state it is, the type alone knows
  const context = (): PlanContext<any> => ({
    planId,
    resource,
    taskType: type.name,
    source: 'ADHOC_CONFIG',
    triggeredBy: null,
    properties: wire(properties),
    state: wire(state),
    batches: plan.batches.length,
    inputs: { total: plan.total, inFlight: 0, processed: plan.processed },
    customStats: wire(plan.stats),
    createdAt: o.createdAt ?? Date.now(),
    maxSubtasks: o.maxSubtasks ?? 1_000,
    attempt: 1,
    signal: new AbortController().signal,
    items: (q) => resources.items(resource, q),
    item: (key) => resources.item(resource, key),
    resourceBody: async () => (await resources.get(resource))?.body ?? null,
    settings: async () => null,
  });
  const repeated = async <T>(call: () => Promise<T>): Promise<T> => {
    if (run.twice === true) await call();
    return wire((await call()) ?? null) as T;
  };

  const started = await repeated(async () => type.startPlan?.(context() as never));
  if (started !== undefined && started !== null) {
    state = started.state;
    properties = { ...properties, ...started.properties };
    plan.total = started.inputsToProcess;
    Object.assign(plan.stats, started.customStats);
  }
  for (;;) {
    assert.ok(plan.batches.length < MAX_BATCHES, 'the plan comes to an end');
    if (plan.batches.length === run.abortAfter) {
      Object.assign(plan, { status: 'CANCELLED', message: 'Aborted.' });
      break;
    }
    if (run.once === true && plan.batches.length === 1) break;
    const next = async (): Promise<NextAnswer<unknown, unknown>> => type.nextBatch(context());
    const first = run.twice === true ? wire(await next()) : null;
    const answer = wire(await next());
    if (first !== null) assert.deepEqual(answer, first, 'nextBatch with the same state gives the same answer');
    if (answer.kind === 'abort') {
      Object.assign(plan, { status: 'FAILED', message: answer.reason });
      break;
    }
    assert.notEqual(answer.kind, 'wait');
    if (answer.kind === 'wait') break;
    if (answer.state !== undefined) state = answer.state;
    Object.assign(plan.stats, answer.customStats);
    if (answer.kind === 'done') {
      plan.message = answer.message ?? '';
      break;
    }
    const no = plan.batches.length;
    const inputs = answer.subtasks.map((t) => t.input);
    assert.ok(inputs.length > 0 && inputs.length <= (o.maxSubtasks ?? 1_000));
    assert.equal(new Set(answer.subtasks.map((t, i) => t.name ?? `subtask-${i}`)).size, inputs.length, 'names are unique');
    const batch: DrivenPlan['batches'][number] = { inputs, complete: 0, failed: 0, processed: 0, countFailures: answer.countFailures ?? true, errors: [] };
    plan.batches.push(batch);
    await run.onBatch?.(no, inputs);
    const outcomes: Outcome[] = [];
    for (const [i, t] of answer.subtasks.entries()) {
      const about = { name: t.name ?? `subtask-${i}`, input: wire(t.input), units: t.units ?? 1 };
      try {
        run.failing?.(t.input as never, no);
        const ctx = { input: about.input, attempt: 1, signal: new AbortController().signal, progress: () => {} } as unknown as SubtaskContext<never>;
        outcomes.push({ ...about, state: 'complete', result: await repeated(async () => type.subtask(ctx) as unknown) });
      } catch (e) {
        outcomes.push({ ...about, state: 'error', error: { code: 'handler_error', message: (e as Error).message } });
      }
    }
    batch.complete = outcomes.filter((t) => t.state === 'complete').length;
    batch.failed = outcomes.length - batch.complete;
    batch.errors = outcomes.flatMap((t) => (t.error === undefined ? [] : [t.error.message]));
    await run.beforeFinish?.(no);
    const units = outcomes.reduce((sum, t) => sum + (t.state === 'complete' ? t.units : 0), 0);
    for (let tries = 1; ; tries++) {
      const finished = await repeated(async () =>
        type.onBatchFinished?.(context(), {
          sequence: no,
          taskName: `Task_${no}`,
          taskState: 'COMPLETED',
          counts: { total: outcomes.length, complete: batch.complete, failed: batch.failed },
          subtasks: (async function* () {
            yield* outcomes as never[];
          })(),
        }),
      );
      if (!(await changed(resources, resource, finished?.changes, tries))) continue;
      if (finished?.state !== undefined) state = finished.state;
      batch.processed = finished?.processed ?? units;
      plan.processed += batch.processed;
      plan.total = Math.max(finished?.inputsToProcess ?? plan.total, plan.processed);
      Object.assign(plan.stats, finished?.customStats);
      break;
    }
  }
  await run.beforeEnd?.();
  for (let tries = 1; ; tries++) {
    const ended = await repeated(async () => type.onPlanEnd?.(context(), plan.status, plan.message));
    if (!(await changed(resources, resource, ended?.changes, tries))) continue;
    plan.message = ended?.message ?? plan.message;
    Object.assign(plan.stats, ended?.customStats);
    return plan;
  }
}

/** False: something is not as it was expected, so the call is made again. */
async function changed(resources: Resources, resource: string, changes: Parameters<Resources['change']>[1] | undefined, tries: number): Promise<boolean> {
  if (changes === undefined) return true;
  try {
    await resources.change(resource, changes);
    return true;
  } catch (e) {
    if ((e as { code?: unknown }).code !== 'CONFLICT' || tries > MAX_CALLS) throw e;
    return false;
  }
}
