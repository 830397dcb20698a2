/** Views of an engine in this process as the step tree wants them. */
import type { StepView, TaskView } from '../engine/views.ts';
import type { TreeStep, TreeTask } from './step-tree.ts';
import { noteOf, templateOf } from './wire-tree.ts';

export const taskOfView = (t: TaskView): TreeTask => ({
  id: t.id,
  template: templateOf(t),
  state: t.state,
  createdAt: t.createdAt,
  completedAt: t.completedAt,
  completionPercentage: t.completionPercentage,
  progress: t.progress,
});

export const stepOfView = (s: StepView): TreeStep => ({
  id: s.id,
  parentId: s.parentId,
  name: s.name,
  state: s.state,
  attempts: s.attempts,
  maxAttempts: s.maxAttempts,
  startedAt: s.startedAt,
  completedAt: s.completedAt,
  nextRetryAt: s.nextRetryAt,
  dependencies: s.dependencies,
  note: noteOf(s),
  progress: s.progress,
});
