/** Rows to fill a store with, as small as tests want them. */
import { ChangeSet, type StepWrite, type TaskRow } from '../../src/core/changes.ts';
import type { StoredStep } from '../../src/store/store.ts';

export const NOW = 1_763_700_000_000;
/** A real id's size: time-ordered and far above 2^32. */
export const BASE = 3_611_000_000_000_000;

export const taskRow = (id: number, over: Partial<TaskRow> = {}): TaskRow => ({
  id,
  template: 1,
  state: 3,
  priority: 2,
  policy: 'fail',
  createdAt: NOW,
  completedAt: null,
  wakeAt: null,
  totalSteps: 3,
  counts: null,
  error: null,
  tags: null,
  meta: null,
  key: null,
  ...over,
});

export const stepWrite = (task: number, no: number, over: Partial<StepWrite> = {}): StepWrite => ({
  insert: false,
  task,
  no,
  fromToken: 0,
  fromState: 0,
  state: 0,
  token: 0,
  attempts: 0,
  phase: 0,
  phaseAttempts: 0,
  owner: null,
  rank: null,
  wakeAt: null,
  startedAt: null,
  firstStartedAt: null,
  finishedAt: null,
  reason: null,
  error: null,
  resultToken: 0,
  ...over,
});

export const changes = (fill: (c: ChangeSet) => void): ChangeSet => {
  const c = new ChangeSet();
  fill(c);
  return c;
};

/** A task with pending steps, its input and its first log row. */
export const arrival = (id: number, steps = 3, over: Partial<TaskRow> = {}): ChangeSet =>
  changes((c) => {
    c.tasks.push(taskRow(id, { totalSteps: steps, ...over }));
    for (let no = 0; no < steps; no++) c.steps.push(stepWrite(id, no, { insert: true }));
    c.payloads.push({ task: id, no: -1, token: 0, body: `{"input":${id - BASE}}` });
    c.log.push({ task: id, seq: 1, count: 2, at: NOW, body: '["created"]' });
  });

/** A pending step after its start, and that attempt's good end. */
export const running = { state: 2, token: 1, attempts: 1, owner: 77, startedAt: NOW } as const;
export const finished = {
  fromToken: 1,
  fromState: 2,
  state: 6,
  token: 1,
  attempts: 1,
  startedAt: NOW,
  finishedAt: NOW + 5,
  resultToken: 1,
} as const;

/** What a store gives back for what was written. */
export const storedOf = (s: StepWrite): StoredStep => ({
  task: s.task,
  no: s.no,
  state: s.state,
  token: s.token,
  attempts: s.attempts,
  phase: s.phase,
  phaseAttempts: s.phaseAttempts,
  owner: s.owner,
  rank: s.rank,
  wakeAt: s.wakeAt,
  startedAt: s.startedAt,
  firstStartedAt: s.firstStartedAt,
  finishedAt: s.finishedAt,
  reason: s.reason,
  error: s.error,
  resultToken: s.resultToken,
});
