/** A batch as the task it is. */
import type { Submission } from '../../core/decide-task.ts';
import type { NewNode } from '../../core/grow.ts';
import { type Plan, batchName } from '../../core/plan.ts';
import { emptyShape } from '../../core/shape.ts';
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
