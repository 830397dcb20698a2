/**
 * A node: a step that no template defines. Elements of ad hoc trees and spawned children are nodes. This is what is kept of one
 * (as JSON, beside its inputs); every optional field is absent when it has its default.
 */
import type { JsonObject, RetryPolicy } from './definition.ts';

/** What a child's failure means for its parent: the parent fails at once, waits for the others, or bears this many failures. */
export type OnChildFailure = 'fail_fast' | 'wait_all' | number;

/** Where a node that was not written anew came from: the step `no` of `task`. */
export interface NodeOrigin {
  type: 'copy' | 'link' | 'archive';
  task: number;
  no: number;
  /** Of a link: under which the original's result is kept. 0: it has none. */
  token?: number;
}

/** What a handler brings along for steps that leave it out. */
export interface StepDefaults {
  retry?: RetryPolicy;
  timeoutMs?: number;
  onChildFailure?: OnChildFailure;
  maxChildren?: number;
}

export interface NodeDefinition {
  /** A label: 1 to 255 characters without control characters. */
  name: string;
  /** The id that was supplied with it, 1 to 255 characters. Absent: it goes by the id that is generated. */
  id?: string;
  /** The registered handler that runs it. Empty: a folder, which runs nothing and completes with null. */
  handler: string;
  /** Entry point of the handler; default `call`. */
  method?: string;
  /** How its handler is to work, as opposed to `inputs`, what it works on. */
  params?: JsonObject;
  /** As submitted: `method`, `type`, `model`. */
  schemas?: JsonObject;
  /** JSON Schema that the inputs are held against before the handler runs. */
  inputSchema?: JsonObject;
  /** 0 (urgent) to 3. Absent: the parent's, else the task's. */
  priority?: number;
  /** Absent: DEFAULT_RETRY. */
  retry?: RetryPolicy;
  /** Limit of one attempt, milliseconds. Absent: none. */
  timeoutMs?: number;
  /** Longest silence of a running handler, milliseconds. Absent: none. */
  heartbeatMs?: number;
  /** A failure of this step never fails the task. */
  allowFailure?: boolean;
  /** Default true. False: a running handler gets no signal on cancel. */
  cancelable?: boolean;
  /** Owner. */
  userId?: string;
  /** Number of the step it is filed under. Absent: none. */
  parent?: number;
  /** Shares its parent's fate. */
  tied?: boolean;
  /** What it waits for, in the order in which it was written: numbers of steps, each once. `type` is kept for the caller when it is not `result`. */
  deps?: [no: number, required: boolean, type?: string][];
  /** What identifies it among its parent's children, when given. */
  key?: string;
  /** Which of its parent's spawns it was, from 0. */
  position?: number;
  /** Hash of handler and inputs: what a repeated spawn at this position must match. */
  hash?: number;
  /** Expected size: its weight in progress. In `unit`. */
  expected?: number;
  unit?: 'bytes' | 'items';
  /** Default fail_fast. */
  onChildFailure?: OnChildFailure;
  /** How many of its children may run at once. Absent: no limit of its own. */
  maxChildren?: number;
  /** Number of the step whose template entry it follows. Absent: none. */
  of?: number;
  origin?: NodeOrigin;
}
