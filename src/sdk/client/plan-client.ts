import type {
  WireGeneratorRuns,
  WirePlan,
  WirePlanEnding,
  WireQueueChanged,
  WireQueueState,
  WireScheduledTasks,
  WireStartedTasks,
  WireTaskType,
} from '../../contract/plan-wire.ts';

interface CallOptions {
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  /** For this answer, where it takes longer than others. */
  timeoutMs?: number;
  onHeaders?: (headers: Headers) => void;
}
type Call = <T>(method: string, path: string, o?: CallOptions) => Promise<T>;

export interface PlanFilter {
  /** Id of a table or another resource. */
  resource?: string;
  taskType?: string;
}

export interface Begun {
  /** Resource → name of its first task. */
  tasks: WireStartedTasks;
  planIds: string[];
  /** Why nothing was begun, though nobody erred; null: there was nothing to do, or something was begun. */
  blocked: string | null;
  /** What the generator said where there was nothing to do; null: something was begun, or it is blocked. */
  nothing: string | null;
}

/** A trigger answers when the first batch is there: its generator may look through a whole folder first. */
const TRIGGER_TIMEOUT_MS = 300_000;

/** /tasks: task plans, their triggers and queues. */
export class PlanClient {
  readonly #call: Call;

  constructor(call: Call) {
    this.#call = call;
  }

  /** Runs a task type on a resource, by its id or its short name. Throws PLAN_ACTIVE while a plan of the pair is live. */
  async execute(r: { taskType: string; resource: string; settings?: Readonly<Record<string, string>> }): Promise<Begun> {
    const told = new Told();
    const body = { taskType: r.taskType, tableName: r.resource, taskConfigs: r.settings };
    const tasks = await this.#call<WireStartedTasks>('POST', '/tasks/execute', { body, timeoutMs: TRIGGER_TIMEOUT_MS, onHeaders: told.take });
    return { tasks, planIds: told.planIds, blocked: told.blocked, nothing: told.nothing };
  }

  /** Runs what the resources' own settings say, of one type or resource or of all. */
  async schedule(f: PlanFilter = {}): Promise<{ types: WireScheduledTasks; planIds: string[] }> {
    const told = new Told();
    const query = { taskType: f.taskType, tableName: f.resource };
    const types = await this.#call<WireScheduledTasks>('POST', '/tasks/schedule', { query, timeoutMs: TRIGGER_TIMEOUT_MS, onHeaders: told.take });
    return { types, planIds: told.planIds };
  }

  /** `batches`: only so many, the last ones. */
  get(planId: string, o: { batches?: number } = {}): Promise<WirePlan> {
    return this.#call('GET', of(planId), { query: { batches: o.batches } });
  }

  isActive(planId: string): Promise<boolean> {
    return this.#call('GET', `/tasks/taskPlans/isActive/${encodeURIComponent(planId)}`);
  }

  /** Of every status, newest last. */
  ids(resource: string, taskType: string): Promise<string[]> {
    return this.#call('GET', '/tasks/taskPlans', { query: { resource, taskType } });
  }

  active(f: PlanFilter = {}): Promise<WirePlan[]> {
    return this.#call('GET', '/tasks/taskPlans/active', { query: { ...f } });
  }

  /** Of every status, newest first. */
  recent(f: PlanFilter & { limit?: number; batches?: number } = {}): Promise<WirePlan[]> {
    return this.#call('GET', '/tasks/taskPlans/recent', { query: { ...f } });
  }

  abort(planId: string, reason?: string): Promise<WirePlanEnding> {
    return this.#call('DELETE', of(planId), { query: { reason } });
  }

  taskTypes(): Promise<WireTaskType[]> {
    return this.#call('GET', '/tasks/tasktypes');
  }

  stopQueue(taskType: string): Promise<WireQueueChanged> {
    return this.#call('PUT', `/tasks/${encodeURIComponent(taskType)}/stop`);
  }

  resumeQueue(taskType: string): Promise<WireQueueChanged> {
    return this.#call('PUT', `/tasks/${encodeURIComponent(taskType)}/resume`);
  }

  queueState(taskType: string): Promise<WireQueueState> {
    return this.#call('GET', `/tasks/${encodeURIComponent(taskType)}/state`);
  }

  /** The last good and bad calls of the generator for the pair. */
  generatorRuns(resource: string, taskType: string): Promise<WireGeneratorRuns[]> {
    return this.#call('GET', `/tasks/generator/${encodeURIComponent(resource)}/${encodeURIComponent(taskType)}/debug`);
  }
}

const of = (planId: string): string => `/tasks/taskPlans/${encodeURIComponent(planId)}`;

/** What a trigger says in headers, since the body is the map that other clients expect. */
class Told {
  planIds: string[] = [];
  blocked: string | null = null;
  nothing: string | null = null;
  readonly take = (headers: Headers): void => {
    this.planIds = headers.get('x-tutti-plan-id')?.split(',').map(decodeURIComponent) ?? [];
    this.blocked = headers.get('x-tutti-blocked');
    this.nothing = headers.get('x-tutti-nothing');
  };
}
