/** How generators of task types are called, wherever they run: the engine pushes a call, the generator's answer enters an inbox. */
import type { Json, RetryPolicy } from '../core/definition.ts';
import type { ResourceChanges, Resources } from './resource-port.ts';

/** What the engine knows of a task type. */
export interface TaskTypeTraits {
  /** Letters, digits, `.` and `-`: no `_`, so that a plan's id can be read. */
  name: string;
  aliases: readonly string[];
  description: string | null;
  supportsOrchestration: boolean;
  orchestratedOnly: boolean;
  /** What is counted, such as `segments`. */
  inputUnit: string;
  hasStart: boolean;
  hasFinish: boolean;
  hasEnd: boolean;
  failurePolicy: PlanFailurePolicy;
  /** Milliseconds one call may take. */
  callTimeoutMs: number;
  /** Of every subtask. Absent: one attempt. */
  retry?: RetryPolicy;
  /** Limit of one attempt of a subtask, milliseconds. Absent: none. */
  timeoutMs?: number;
}

export interface PlanFailurePolicy {
  /** A batch of which more than this share (percent of its subtasks) failed aborts the plan. Default 100: never. */
  thresholdPercent: number;
  /** So many batches in a row without one complete subtask abort the plan. Default 3. */
  maxFailedBatches: number;
  /** So many batches in a row with the same subtasks and none complete abort the plan. Default 3. */
  maxBarrenBatches: number;
}

export type PlanCallKind = 'start' | 'next' | 'once' | 'finish' | 'end';

export interface PlanCall {
  kind: PlanCallKind;
  /** Opaque keys, named in the answer. */
  plan: number;
  token: number;
  attempt: number;
  planId: string;
  resource: string;
  taskType: string;
  source: PlanSource;
  triggeredBy: string | null;
  properties: Readonly<Record<string, string>>;
  /** JSON text of the generator's state; null before it gave one. */
  state: string | null;
  createdAt: number;
  /** Batches submitted so far. */
  batches: number;
  inputs: { total: number; inFlight: number; processed: number };
  customStats: Readonly<Record<string, string>> | null;
  timeoutMs: number;
  /** finish: the batch that ended. */
  batch: { sequence: number; taskName: string; task: number; taskState: string; counts: BatchCounts } | null;
  /** end: what the plan becomes, and why. */
  outcome: { status: 'COMPLETED' | 'CANCELLED' | 'FAILED'; message: string } | null;
}

export interface BatchCounts {
  total: number;
  complete: number;
  failed: number;
}

export interface PlanSubtask {
  name: string;
  /** JSON text. */
  input: string;
  /** Input units it stands for. */
  units: number;
  priority?: number;
}

/** What a call gave. `customStats` and `state` absent: as they were. */
export type PlanAnswer =
  | { kind: 'started'; state?: string; properties?: Record<string, string>; total: number; unit?: string; customStats?: Record<string, string> }
  | { kind: 'batch'; subtasks: PlanSubtask[]; state?: string; total?: number; customStats?: Record<string, string>; message?: string; countFailures: boolean }
  | { kind: 'done'; message?: string; state?: string; customStats?: Record<string, string> }
  | { kind: 'wait'; ms: number | null; message?: string }
  | { kind: 'abort'; reason: string }
  | { kind: 'finished'; processed?: number; total?: number; state?: string; customStats?: Record<string, string>; changes?: ResourceChanges }
  | { kind: 'ended'; message?: string; customStats?: Record<string, string>; changes?: ResourceChanges }
  /** It threw, took too long, or answered what cannot be used. `refused`: trying again is no use. */
  | { kind: 'failed'; message: string; refused?: boolean };

export type PlanSource = 'ADHOC_CONFIG' | 'TABLE_CONFIG';

/** A process that has task types. */
export interface GeneratorHost {
  /** Null: there is no such type here. Aliases are known too. */
  taskType(name: string): TaskTypeTraits | null;
  taskTypes(): TaskTypeTraits[];
  /** Problems of settings, each naming its key; none: they are fine. May read the resource. */
  checkSettings(type: string, settings: Readonly<Record<string, string>>, resource: string): string[] | Promise<string[]>;
  /** Never throws; answers once. */
  call(call: PlanCall, signal: AbortSignal): Promise<PlanAnswer>;
}

/** One subtask of a batch, as its task has it now. */
export interface SubtaskRow {
  no: number;
  name: string;
  /** JSON text. */
  input: string;
  units: number;
  state: 'complete' | 'error' | 'cancelled' | 'running';
  /** JSON text; null: it did not complete. */
  result: string | null;
  error: { code: string; message: string } | null;
}

/** The engine's side, given to a process that has task types. */
export interface PlanWorkerPort {
  /** Returns its end. The host is asked again for every call, so types may be added later: say so with `typesChanged`. */
  connect(host: GeneratorHost): { typesChanged(): void; close(): void };
  /** Subtasks of a batch by number, from `from` on, at most `limit` (1,000). */
  subtasks(q: { task: number; from: number; limit: number }): Promise<SubtaskRow[]>;
  readonly resources: Resources;
  /** Settings of a task type that are kept with the resource. */
  settings(resource: string, taskType: string): Promise<Readonly<Record<string, string>> | null>;
  /** The resource's own record; null: none is stored. */
  body(resource: string): Promise<Json>;
}

/** Name of the handler that runs the subtasks of a type. */
export const subtaskHandler = (taskType: string): string => `plan/${taskType}`;

export interface PlanConfig {
  /** The kill switch: false freezes plans, and makes every trigger a one-shot run. */
  enabled: boolean;
  pollMs: number;
  /** How often plans are looked for whose resource is gone. */
  orphanMs: number;
  /** Ended plans are removed when they are older, or beyond so many. */
  retentionMs: number;
  retentionCount: number;
  /** Above one of these no batch begins. */
  maxDiskPercent: number;
  maxMemoryPercent: number;
  /** 0..1, of the fullest inbox. */
  maxInboxSaturation: number;
}
