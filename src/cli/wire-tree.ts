/** Wire objects as the step tree wants them. */
import type { WireStep, WireTask } from '../contract/wire.ts';
import type { TreeStep, TreeTask } from './step-tree.ts';

/**
 * What a task is a run of: `namespace/name@version`, or without a version where that is not known. An ad hoc task has no template: it is
 * a batch of a plan, what it was made of another task as, or a tree.
 */
export const templateOf = (t: {
  namespace: string;
  name: string;
  version?: string;
  origin?: { type: string } | null;
  initiator?: string;
  key?: string | null;
}): string => {
  if (t.name !== '') return `${t.namespace}/${t.name}${t.version === undefined ? '' : `@${t.version}`}`;
  const batch = t.initiator === 'plan' ? /^Task_(.+)_[\da-f-]{36}_(\d+)$/.exec(t.key ?? '') : null;
  return batch === null ? (t.origin?.type ?? 'tree') : `${batch[1]} batch ${batch[2]}`;
};

/** Why a step has ended as it has. Of one that a person cancelled alone also what that person said. */
export const noteOf = (s: { reason: string | null; error: { message: string } | null }): string | null =>
  s.reason === 'by_request' && s.error !== null ? `${s.reason}: ${s.error.message}` : (s.reason ?? s.error?.message ?? null);

const time = (text: string | null): number | null => (text === null ? null : Date.parse(text));

export const treeTask = (
  t: Pick<
    WireTask,
    | 'task_uuid'
    | 'namespace'
    | 'name'
    | 'version'
    | 'origin'
    | 'initiator'
    | 'key'
    | 'status'
    | 'created_at'
    | 'completed_at'
    | 'completion_percentage'
    | 'progress'
  >,
): TreeTask => ({
  id: t.task_uuid,
  template: templateOf(t),
  state: t.status,
  createdAt: Date.parse(t.created_at),
  completedAt: time(t.completed_at),
  completionPercentage: t.completion_percentage,
  progress: t.progress,
});

export const treeStep = (s: WireStep): TreeStep => ({
  id: s.step_uuid,
  parentId: s.parent_id,
  name: s.name,
  state: s.current_state,
  attempts: s.attempts,
  maxAttempts: s.max_attempts,
  startedAt: time(s.started_at),
  completedAt: time(s.completed_at),
  nextRetryAt: time(s.next_retry_at),
  dependencies: s.dependencies,
  note: noteOf(s),
  progress: s.progress === null ? null : { ...s.progress, etaMs: s.progress.eta_ms },
});
