/** A task type: the generator of a plan's batches and the code of their subtasks, as a user writes it. */
import type { ResourceItem } from '../../engine/resource-port.ts';
import type { Duration } from '../duration.ts';
import type { RetryOptions } from '../step-options.ts';
import type { UntypedStepContext } from '../step-types.ts';
import type { Wire } from '../wire.ts';

/** What every call is given. State and answers are JSON: what cannot be stored is refused. */
export interface PlanContext<State = unknown> {
  readonly planId: string;
  readonly resource: string;
  readonly taskType: string;
  readonly source: 'ADHOC_CONFIG' | 'TABLE_CONFIG';
  readonly triggeredBy: string | null;
  /** Settings as they were when the plan was made, plus what startPlan added. All texts. */
  readonly properties: Readonly<Record<string, string>>;
  /** What the last answer gave, as it was stored; null before one gave any. Frozen. */
  readonly state: Wire<State>;
  /** Batches submitted so far. */
  readonly batches: number;
  readonly inputs: { readonly total: number; readonly inFlight: number; readonly processed: number };
  readonly customStats: Readonly<Record<string, string>>;
  /** When the plan was made, milliseconds since 1970: fix cutoffs by it. */
  readonly createdAt: number;
  /** Most subtasks one batch may have. */
  readonly maxSubtasks: number;
  /** 1 for the first try of this call. */
  readonly attempt: number;
  /** Aborted when the call takes too long, the plan is aborted, or the process stops. */
  readonly signal: AbortSignal;
  /** Items of the resource, as they are now. */
  items(q?: { prefix?: string; after?: string; limit?: number }): Promise<ResourceItem[]>;
  item(key: string): Promise<ResourceItem | null>;
  /** The resource's own record (a table's config); null where nothing is stored for it. */
  resourceBody(): Promise<unknown>;
  /** Settings of this type that are kept with the resource now. */
  settings(): Promise<Readonly<Record<string, string>> | null>;
}

export interface Subtask<Input> {
  /** Unique in its batch. Default `subtask-<n>`. */
  name?: string;
  input: Input;
  /** Input units it stands for. Default 1. */
  units?: number;
  /** 0 (urgent) to 3. */
  priority?: number;
}

export interface StartAnswer<State> {
  state: State;
  /** How many input units there are; 0 where that is not known. */
  inputsToProcess: number;
  /** Default: the type's. */
  inputUnit?: string;
  /** Added to the plan's properties. */
  properties?: Record<string, string>;
  customStats?: Record<string, string>;
}

export type NextAnswer<State, Input> =
  | {
      kind: 'batch';
      /** 1 to maxSubtasks. */
      subtasks: readonly Subtask<Input>[];
      /** What the next call is given. Absent: as it was. */
      state?: State | NoInfer<Wire<State>>;
      /** A better count of all input units. */
      inputsToProcess?: number;
      customStats?: Record<string, string>;
      message?: string;
      /** False: failures of this batch abort nothing (the same inputs tried again, say). Default true. */
      countFailures?: boolean;
    }
  | { kind: 'done'; message?: string; state?: State | NoInfer<Wire<State>>; customStats?: Record<string, string> }
  /** Nothing at the moment: asked again after this time. Default: at the next poll. */
  | { kind: 'wait'; after?: Duration; message?: string }
  /** The plan ends FAILED with this reason. */
  | { kind: 'abort'; reason: string };

export type SubtaskOutcome<Input, Result> = { readonly name: string; readonly input: Wire<Input>; readonly units: number } & (
  | { readonly state: 'complete'; readonly result: Wire<Result> }
  | { readonly state: 'error' | 'cancelled'; readonly error: { readonly code: string; readonly message: string } }
);

export interface BatchOutcome<Input, Result> {
  readonly sequence: number;
  readonly taskName: string;
  /** COMPLETED, FAILED, ABORTED or TIMED_OUT: judge by the counts. */
  readonly taskState: string;
  readonly counts: { readonly total: number; readonly complete: number; readonly failed: number };
  /** In the order they were submitted; read from the store as they are asked for. */
  readonly subtasks: AsyncIterable<SubtaskOutcome<Input, Result>>;
}

// Interfaces and fields that may be absent do not fit the type Json; whether a body can be kept is seen when the answer is read.
// oxlint-disable-next-line typescript/no-explicit-any
type Body = any;

/** All or nothing. `expect`: the version an item must have now, null where it must not exist; absent: whatever. Bodies are any JSON. */
export interface ItemChanges {
  put?: readonly { readonly key: string; readonly body: Body; readonly expect?: number | null }[];
  remove?: readonly { readonly key: string; readonly expect?: number }[];
}

export interface FinishAnswer<State> {
  state?: State | NoInfer<Wire<State>>;
  /** Input units that this batch did. Default: those of its complete subtasks. */
  processed?: number;
  inputsToProcess?: number;
  customStats?: Record<string, string>;
  /** Items of the resource to write in the same commit. */
  changes?: ItemChanges;
}

export interface EndAnswer {
  message?: string;
  customStats?: Record<string, string>;
  /** As in FinishAnswer, in the commit that ends the plan: a swap that happens exactly once. */
  changes?: ItemChanges;
}

export interface TaskTypeDefinition<State = unknown, Input = unknown, Result = unknown> {
  /** 1 to 100 letters, digits, `.` or `-`, first a letter. */
  name: string;
  /** Further names that a trigger or a table's config may use. */
  aliases?: readonly string[];
  description?: string;
  /** Default true. False: every trigger is one batch, and no plan. */
  supportsOrchestration?: boolean;
  /** A trigger that does not ask for a plan is refused. Default false. */
  orchestratedOnly?: boolean;
  /** What is counted. Default `inputs`. */
  inputUnit?: string;
  /** Problems of the settings, each naming its key; asked when a table's config is saved and at every trigger. */
  validate?(settings: Readonly<Record<string, string>>, resource: string): readonly string[] | Promise<readonly string[]>;
  /** Looks at what there is to do. May be called again with the same plan (a crash): changes nothing outside. */
  startPlan?(ctx: PlanContext<null>): StartAnswer<State> | Promise<StartAnswer<State>>;
  /** The next batch. May be called again with the same state, and must then give an equivalent answer. */
  nextBatch(ctx: PlanContext<State>): NextAnswer<State, Input> | Promise<NextAnswer<State, Input>>;
  /** The batch of a run that is no plan. Default: the first nextBatch. */
  generateOnce?(ctx: PlanContext<State>): NextAnswer<State, Input> | Promise<NextAnswer<State, Input>>;
  /** A batch has ended: what it did becomes true with this answer, in one commit. May be called again with the same batch. */
  onBatchFinished?(ctx: PlanContext<State>, batch: BatchOutcome<Input, Result>): FinishAnswer<State> | void | Promise<FinishAnswer<State> | void>;
  /** The plan is about to end so. */
  onPlanEnd?(ctx: PlanContext<State>, status: 'COMPLETED' | 'CANCELLED' | 'FAILED', message: string): EndAnswer | void | Promise<EndAnswer | void>;
  failurePolicy?: {
    /** Percent, 0 to 100. Default 100: never. A plan's property `taskPlanFailureThresholdPercent` goes before it. */
    maxFailedPercent?: number;
    /** Default 3; property `maxConsecutiveFailedBatches`. */
    maxFailedBatches?: number;
    /** Default 3. */
    maxBarrenBatches?: number;
  };
  /** Limit of one call of the functions above. Default 60 s. */
  callTimeout?: Duration;
  /** What runs for each subtask, as the handler `plan/<name>`. `ctx.input` is the subtask's input. */
  subtask: (ctx: SubtaskContext<Input>) => Result | Promise<Result>;
  /**
   * Default: what a subtask throws is final, since what failed comes again in a later batch; a try that was lost with its process is made
   * again, three in all. Where it is given, what it leaves out is as for any step.
   */
  retry?: RetryOptions;
  /** Limit of one attempt of a subtask. Default: none. */
  timeout?: Duration;
}

export type SubtaskContext<Input> = Omit<UntypedStepContext, 'input' | 'inputs'> & { readonly input: Wire<Input> };

/**
 * A task type with its types inferred from its functions, in the order in which they stand: `startPlan` gives the type of the state,
 * `nextBatch` that of the inputs, `subtask` that of the results. So `onBatchFinished` comes after `subtask`.
 */
export const defineTaskType = <State, Input, Result>(type: TaskTypeDefinition<State, Input, Result>): TaskTypeDefinition<State, Input, Result> => type;

// Which types of state and input it has is nobody's business but its own functions'.
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyTaskType = TaskTypeDefinition<any, any, any>;
