/** Views of tasks and steps. A graph in memory is asked first; what is not there is read and derived by the same core functions. */
import { type Counters, completionPercentage, countersOf, executionStatus, healthStatus, recommendedAction } from '../core/progress.ts';
import type { Json } from '../core/definition.ts';
import type { StepError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import { loadGraph } from '../core/load-graph.ts';
import { readLog } from '../core/log.ts';
import { completedParents, dependenciesSatisfied, isReady } from '../core/readiness.ts';
import { mayRetry } from '../core/retry.ts';
import { CANCEL_REASONS, Step, STEP_STATES, baseState, isStepTerminal } from '../core/step-states.ts';
import { Task, TASK_STATES, isTaskTerminal } from '../core/task-states.ts';
import type { Store, StoredStep, StoredTask } from '../store/store.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { GraphCache } from './graph-cache.ts';
import { dependenciesOf } from './local-assignment.ts';
import type { RegisteredTemplate, TemplateRegistry } from './template-registry.ts';
import type { AuditView, StepView, TaskView } from './views.ts';

const PAGE = 1000;

export interface QueryParts {
  store: Store;
  graphs: GraphCache;
  templates: TemplateRegistry;
  dispatcher: Dispatcher;
  taskUuid: (task: number) => string;
  stepUuid: (task: number, no: number) => string;
  pause: () => Promise<void>;
}

export class Queries {
  readonly #p: QueryParts;

  constructor(parts: QueryParts) {
    this.#p = parts;
  }

  /** From a graph that was just submitted or changed: no read. */
  viewOf(g: TaskGraph, row?: Partial<StoredTask>): TaskView {
    const t = this.#template(g.template);
    return this.#view(
      {
        id: g.id,
        template: g.template,
        state: g.taskState,
        priority: g.priority,
        policy: g.policy,
        createdAt: g.createdAt,
        completedAt: g.completedAt,
        wakeAt: g.deadlineAt,
        totalSteps: g.size,
        counts: null,
        error: isTaskTerminal(g.taskState) && g.taskState !== Task.complete ? g.failure : null,
        tags: row?.tags ?? null,
        meta: row?.meta ?? null,
        nextSeq: g.nextSeq,
      },
      t,
      countersOf(g),
      g.stopping,
      g.updatedAt,
    );
  }

  async task(row: StoredTask): Promise<TaskView> {
    const g = this.#p.graphs.get(row.id) ?? (await this.readGraph(row));
    const fresh = (await this.#p.store.loadTask(row.id)) ?? row;
    const view = this.#view(fresh, this.#template(row.template), countersOf(g), this.#stopping(g), Math.max(g.updatedAt, fresh.completedAt ?? 0));
    view.input = JSON.parse((await this.#p.store.payloads([{ task: row.id, no: -1, token: 0 }]))[0] ?? 'null') as Json;
    view.failedStepNames = [];
    for (let no = 0; no < g.size; no++) if (g.state[no] === Step.error) view.failedStepNames.push(g.shape.names[no]);
    return view;
  }

  /** Views for a page of a list. */
  async tasks(rows: StoredTask[]): Promise<TaskView[]> {
    const unknown = rows.filter((r) => r.counts === null && this.#p.graphs.get(r.id) === undefined).map((r) => r.id);
    const counted = unknown.length === 0 ? new Map<number, number[]>() : await this.#p.store.stepCounts(unknown);
    return rows.map((r) => {
      const g = this.#p.graphs.get(r.id);
      if (g !== undefined && !isTaskTerminal(r.state)) return this.#view(r, this.#template(r.template), countersOf(g), this.#stopping(g), g.updatedAt);
      return this.#view(r, this.#template(r.template), fromRow(r, counted.get(r.id)), 0, r.completedAt ?? r.createdAt);
    });
  }

  /** Reads the graph of a task that is not cached, for looking at only. */
  async readGraph(row: StoredTask, rows?: StoredStep[]): Promise<TaskGraph> {
    const t = this.#template(row.template);
    if (t === undefined) throw new Error(`task ${row.id} has no template`);
    return loadGraph(row, rows ?? (await this.stepRows(row.id)), t.shape);
  }

  async stepRows(task: number): Promise<StoredStep[]> {
    const all: StoredStep[] = [];
    for (let after = -1; ; ) {
      const page = await this.#p.store.loadSteps({ task, after, limit: PAGE });
      all.push(...page);
      if (page.length < PAGE) return all;
      after = page[page.length - 1].no;
      await this.#p.pause();
    }
  }

  /** Views of the given steps, or of all. */
  async steps(row: StoredTask, o: { nos?: readonly number[]; results: boolean; checkpoint?: boolean }): Promise<StepView[]> {
    const rows = o.nos?.length === 1 ? await this.#p.store.loadSteps({ task: row.id, after: o.nos[0] - 1, limit: 1 }) : await this.stepRows(row.id);
    const g = this.#p.graphs.get(row.id) ?? (await this.readGraph(row, o.nos?.length === 1 ? undefined : rows));
    const wanted = o.nos === undefined ? rows : rows.filter((r) => o.nos!.includes(r.no));
    const views = wanted.map((r) => this.#stepView(g, r));
    if (o.results) {
      const complete = wanted.map((r, i) => ({ r, v: views[i] })).filter(({ v }) => v.state === 'complete');
      for (let i = 0; i < complete.length; i += PAGE) {
        const page = complete.slice(i, i + PAGE);
        const bodies = await this.#p.store.payloads(page.map(({ r }) => ({ task: row.id, no: r.no, token: r.resultToken })));
        page.forEach(({ v }, k) => (v.result = JSON.parse(bodies[k] ?? 'null') as Json));
        await this.#p.pause();
      }
    }
    if (o.checkpoint) {
      for (const [i, r] of wanted.entries()) {
        const c = await this.#p.store.checkpoint({ task: row.id, no: r.no });
        if (c !== null) views[i].checkpoint = JSON.parse(c.body) as Json;
      }
    }
    return views;
  }

  /** One row per attempt that has ended or was overtaken, newest first (spec/tasker.md §6.1). */
  async audit(row: StoredTask, only: number | undefined): Promise<AuditView[]> {
    const t = this.#template(row.template);
    const names = t?.shape.names ?? [];
    const begun = new Map<string, { at: number; attempt: number }>();
    const rows: AuditView[] = [];
    const add = (no: number, token: number, at: number, outcome: string, toState: string, error: StepError | null): void => {
      const b = begun.get(`${no}/${token}`) ?? { at: row.createdAt, attempt: 0 };
      rows.push({
        stepId: this.#p.stepUuid(row.id, no),
        taskId: this.#p.taskUuid(row.id),
        stepName: names[no] ?? String(no),
        token,
        attempt: b.attempt,
        recordedAt: at,
        startedAt: b.at,
        outcome,
        success: outcome === 'completed',
        executionTimeMs: at - b.at,
        fromState: 'in_progress',
        toState,
        error,
      });
    };
    for (let after = 0; ; ) {
      const page = await this.#p.store.log({ task: row.id, after, limit: PAGE });
      for (const r of page) {
        for (const e of readLog(r)) {
          if (e.kind === 'attempt' && (only === undefined || e.no === only)) add(e.no, e.token, e.at, e.outcome, 'cancelled', null);
          if (e.kind !== 'step' || (only !== undefined && e.no !== only)) continue;
          const error = (e.extra.error as unknown as StepError | undefined) ?? null;
          if (e.state === Step.inProgress) begun.set(`${e.no}/${e.token}`, { at: e.at, attempt: e.attempts });
          else if (e.state === Step.complete) add(e.no, e.token, e.at, 'completed', 'enqueued_for_orchestration', null);
          else if (e.state === Step.error || e.state === Step.waitingForRetry) add(e.no, e.token, e.at, outcomeOf(error), 'enqueued_for_orchestration', error);
          else if (
            e.state === Step.cancelled &&
            begun.has(`${e.no}/${e.token}`) &&
            !rows.some((a) => a.token === e.token && a.stepId === this.#p.stepUuid(row.id, e.no))
          ) {
            add(e.no, e.token, e.at, 'cancelled', 'cancelled', null);
          }
        }
      }
      if (page.length < PAGE) break;
      const last = page[page.length - 1];
      after = last.seq + last.count - 1;
      await this.#p.pause();
    }
    return rows.reverse();
  }

  #stopping(g: TaskGraph): number {
    let n = 0;
    for (const [no, a] of g.live) if (a.stopping && this.#p.dispatcher.active(g.id, no)?.token === a.token) n++;
    return n;
  }

  #template(id: number | null): RegisteredTemplate | undefined {
    return id === null ? undefined : this.#p.templates.row(id);
  }

  #stepView(g: TaskGraph, r: StoredStep): StepView {
    const { no } = r;
    const { shape } = g;
    const rules = shape.rules[no];
    const state = g.state[no];
    const live = g.live.get(no);
    const active = this.#p.dispatcher.active(g.id, no);
    const terminal = isStepTerminal(state);
    const finishedAt = terminal ? (r.finishedAt ?? g.completedAt ?? g.updatedAt) : null;
    const failedAt = r.error !== null && (state === Step.error || state === Step.waitingForRetry) ? r.finishedAt : null;
    return {
      id: this.#p.stepUuid(g.id, no),
      taskId: this.#p.taskUuid(g.id),
      name: shape.names[no],
      state: STEP_STATES[state],
      baseState: baseState(state),
      reason: state === Step.cancelled ? (g.reasonOf(no) ?? (r.reason === null ? null : CANCEL_REASONS[r.reason])) : null,
      handler: rules.handler,
      createdAt: g.createdAt,
      updatedAt: Math.max(g.createdAt, r.startedAt ?? 0, r.finishedAt ?? 0, finishedAt ?? 0),
      startedAt: r.startedAt,
      completedAt: finishedAt,
      dependencies: dependenciesOf(g, no),
      dependenciesSatisfied: dependenciesSatisfied(g, no),
      retryEligible: !terminal ? g.attempts[no] === 0 || mayRetry(rules.retry, g.attempts[no], true) : false,
      readyForExecution: isReady(g, no),
      totalParents: shape.depStart[no + 1] - shape.depStart[no],
      completedParents: completedParents(g, no),
      attempts: g.attempts[no],
      maxAttempts: Math.max(1, rules.retry.maxAttempts),
      lastFailureAt: failedAt,
      nextRetryAt: g.retryAt.get(no) ?? null,
      lastAttemptedAt: r.startedAt,
      priority: g.priorityOf(no),
      error:
        r.error === null
          ? state === Step.cancelled && g.taskState === Task.cancelled && g.failure !== null
            ? (JSON.parse(g.failure) as StepError)
            : null
          : (JSON.parse(r.error) as StepError),
      stopping: live?.stopping === true && active?.token === live.token,
      progress: active?.progress ?? null,
    };
  }

  #view(r: StoredTask, t: RegisteredTemplate | undefined, c: Counters, stopping: number, updatedAt: number): TaskView {
    const status = executionStatus(c);
    const id = this.#p.taskUuid(r.id);
    return {
      id,
      namespace: t?.definition.namespace ?? '',
      name: t?.definition.name ?? '',
      version: t?.definition.version ?? '',
      state: TASK_STATES[r.state],
      priority: r.priority,
      policy: r.policy,
      createdAt: r.createdAt,
      updatedAt: Math.max(updatedAt, r.createdAt),
      completedAt: r.completedAt,
      deadlineAt: isTaskTerminal(r.state) ? null : r.wakeAt,
      initiator: r.meta?.initiator ?? 'system',
      sourceSystem: r.meta?.sourceSystem ?? 'tutti',
      reason: r.meta?.reason ?? '',
      tags: r.tags ?? [],
      correlationId: r.meta?.correlationId ?? id,
      parentCorrelationId: r.meta?.parentCorrelationId ?? null,
      error: r.error === null ? null : (JSON.parse(r.error) as StepError),
      totalSteps: c.total,
      pendingSteps: c.total - c.complete - c.resolved - c.cancelled - c.errors - c.running,
      inProgressSteps: c.running,
      completedSteps: c.complete + c.resolved,
      failedSteps: c.errors,
      cancelledSteps: c.cancelled,
      readySteps: c.ready,
      stopping,
      executionStatus: status,
      recommendedAction: recommendedAction(status),
      completionPercentage: completionPercentage(c),
      healthStatus: healthStatus(c),
    };
  }
}

function outcomeOf(e: StepError | null): string {
  if (e?.code === 'step_timeout' || e?.code === 'heartbeat_lost') return 'timeout';
  return e?.code === 'attempt_lost' ? 'lost' : 'failed';
}

/** Counters of a task whose graph is not in memory: stored with its end, or counted by state. */
function fromRow(r: StoredTask, byState: number[] | undefined): Counters {
  const n = (s: number): number => byState?.[s] ?? 0;
  const k = r.counts ?? { complete: n(Step.complete), error: n(Step.error), cancelled: n(Step.cancelled), resolved: n(Step.resolvedManually) };
  return {
    total: r.totalSteps,
    complete: k.complete,
    resolved: k.resolved,
    cancelled: k.cancelled,
    errors: k.error,
    unhandled: r.state === Task.blockedByFailures ? k.error : 0,
    ready: r.state === Task.enqueuingSteps ? 1 : 0,
    running: n(Step.inProgress),
    waitingForRetry: n(Step.waitingForRetry),
    taskState: r.state,
  };
}
