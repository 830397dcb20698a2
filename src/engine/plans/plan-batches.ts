/** A batch as the task it is, and the task's end as the batch sees it. */
import type { BatchEnd } from '../../core/decide-plan.ts';
import type { Submission } from '../../core/decide-task.ts';
import type { TaskGraph } from '../../core/graph.ts';
import type { NewNode } from '../../core/grow.ts';
import { type Plan, TIMED_OUT_BATCH, batchName } from '../../core/plan.ts';
import { emptyShape } from '../../core/shape.ts';
import { Step } from '../../core/step-states.ts';
import { Task } from '../../core/task-states.ts';
import { type PlanSubtask, type TaskTypeTraits, subtaskHandler } from '../plan-port.ts';

/** Property `taskBatchTimeoutSeconds`: after so long a batch ends, its open subtasks as failed. Default: none. */
function batchTimeoutMs(plan: Plan): number {
  const seconds = Number(plan.properties.taskBatchTimeoutSeconds ?? '0');
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds * 1000, 2 ** 40) : 0;
}

export function batchSubmission(id: number, plan: Plan, subtasks: readonly PlanSubtask[], traits: TaskTypeTraits | null): Submission {
  const shape = emptyShape('record', batchTimeoutMs(plan));
  const nodes: NewNode[] = [];
  for (const s of subtasks) {
    const definition: NewNode['definition'] = {
      name: s.name,
      handler: subtaskHandler(plan.taskType),
      ...(traits?.retry === undefined ? {} : { retry: traits.retry }),
    };
    if (traits?.timeoutMs !== undefined) definition.timeoutMs = traits.timeoutMs;
    if (s.priority !== undefined) definition.priority = s.priority;
    if (s.units !== 1) {
      definition.expected = s.units;
      definition.unit = 'items';
    }
    shape.add(definition, 0);
    nodes.push({ definition, inputs: s.input });
  }
  const name = batchName(plan, plan.batches);
  return {
    id,
    template: null,
    shape,
    nodes,
    key: name,
    priority: undefined,
    input: '{}',
    tags: ['plan'],
    meta: { initiator: plan.triggeredBy ?? 'plan', sourceSystem: 'plan', reason: name, correlationId: plan.planId },
  };
}

/** Steps that a person resolved count as done. */
export function batchEndOf(g: TaskGraph): BatchEnd {
  let complete = 0;
  let units = 0;
  for (let no = 0; no < g.size; no++) {
    const state = g.state[no];
    if (state !== Step.complete && state !== Step.resolvedManually) continue;
    complete++;
    units += g.shape.facts(no)?.expected ?? 1;
  }
  const timedOut = g.taskState === Task.error && g.failure !== null && g.failure.startsWith('{"code":"task_deadline"');
  return { task: g.id, state: timedOut ? TIMED_OUT_BATCH : g.taskState, total: g.size, complete, units };
}
