/** One element of a tree as the tree layer shows it: before it is distributed a draft, afterwards a step of a task. */
import type { Json, JsonObject } from '../../core/definition.ts';
import type { StepError } from '../../core/errors.ts';
import type { SimpleStatus } from '../../core/simple-status.ts';
import type { TreeElement } from '../../core/tree-element.ts';
import type { StepView } from '../../engine/views.ts';

export interface TreeTask {
  /** Stays the same from `createTask` on. */
  readonly id: string;
  name: string;
  parentId: string | null;
  userId: string | null;
  priority: number;
  dependencies: NonNullable<TreeElement['dependencies']>;
  inputs: JsonObject;
  params: JsonObject | null;
  schemas: JsonObject | null;
  status: SimpleStatus;
  /** Null until it is completed. */
  result: Json;
  error: StepError | null;
  /** 0..1. */
  progress: number;
  createdAt: number;
  startedAt: number | null;
  completedAt: number | null;
  /** The task it became part of; null before it was distributed. */
  taskId: string | null;
}

export function treeTaskOfDraft(id: string, e: TreeElement, draft: { createdAt: number; status: SimpleStatus; error: StepError | null }): TreeTask {
  return {
    id,
    name: e.name,
    parentId: e.parent_id ?? null,
    userId: e.user_id ?? null,
    priority: e.priority ?? 2,
    dependencies: e.dependencies ?? [],
    inputs: (e.inputs ?? {}) as JsonObject,
    params: (e.params ?? null) as JsonObject | null,
    schemas: (e.schemas ?? null) as JsonObject | null,
    ...draft,
    result: null,
    progress: 0,
    startedAt: null,
    completedAt: null,
    taskId: null,
  };
}

/** `parentId`: what the parent goes by. */
export function treeTaskOfStep(s: StepView, parentId: string | null): TreeTask {
  return {
    id: s.elementId ?? s.id,
    name: s.name,
    parentId,
    userId: s.userId,
    priority: s.priority,
    dependencies: s.dependencies.map((d) => ({ ...d })),
    inputs: (s.inputs ?? {}) as JsonObject,
    params: s.params,
    schemas: s.schemas,
    status: s.simpleStatus,
    result: s.result ?? null,
    error: s.error,
    progress: s.simpleStatus === 'completed' ? 1 : (s.progress?.fraction ?? 0),
    createdAt: s.createdAt,
    startedAt: s.startedAt,
    completedAt: s.completedAt,
    taskId: s.taskId,
  };
}
