/** Views of tasks and steps. A graph in memory is asked first; what is not there is read and derived by the same core functions. */
import { type Counters, completionPercentage, countersOf, executionStatus, healthStatus, recommendedAction } from '../core/progress.ts';
import type { Json } from '../core/definition.ts';
import type { StepError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import { readLog } from '../core/log.ts';
import type { SimpleStatus } from '../core/simple-status.ts';
import { Step, isAbsent } from '../core/step-states.ts';
import { TASK } from '../core/progress-rollup.ts';
import { Task, TASK_STATES, isTaskTerminal } from '../core/task-states.ts';
import { LARGE_TASK, type Store, type StoredStep, type StoredTask } from '../store/store.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { GraphCache } from './graph-cache.ts';
import { type StepViewOptions, StepViews } from './step-views.ts';
import type { TaskProgress } from './task-progress.ts';
import type { RegisteredTemplate, TemplateRegistry } from './template-registry.ts';
import { type TreeViewRequest, treeView } from './tree-view.ts';
import type { AuditView, StepView, TaskView, TreeView } from './views.ts';

const PAGE = 1000;
/** Rows of the log; each has the events of a turn, which may be a thousand. */
const LOG_PAGE = 32;

export interface QueryParts {
  store: Store;
  graphs: GraphCache;
  templates: TemplateRegistry;
  dispatcher: Dispatcher;
  taskUuid: (task: number) => string;
  stepUuid: (task: number, no: number) => string;
  pause: () => Promise<void>;
  progress?: TaskProgress;
}

export class Queries {
  readonly #p: QueryParts;
  readonly stepViews: StepViews;

  constructor(parts: QueryParts) {
    this.#p = parts;
    this.stepViews = new StepViews(parts);
  }

  /** From a graph that was just submitted or changed: no read. */
  viewOf(g: TaskGraph, row?: Partial<StoredTask>): TaskView {
    const t = this.#template({ template: g.template, meta: row?.meta ?? null });
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
        totalSteps: g.total,
        counts: null,
        error: isTaskTerminal(g.taskState) && g.taskState !== Task.complete ? g.failure : null,
        tags: row?.tags ?? null,
        meta: row?.meta ?? null,
        nextSeq: g.nextSeq,
        key: row?.key ?? null,
        reopening: null,
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
    const view = this.#view(fresh, this.#template(row), countersOf(g), this.#stopping(g), Math.max(g.updatedAt, fresh.completedAt ?? 0));
    view.input = JSON.parse((await this.#p.store.payloads([{ task: row.id, no: -1, token: 0 }]))[0] ?? 'null') as Json;
    view.progress = this.#p.progress?.of(g, TASK)?.fraction ?? view.progress;
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
      if (g !== undefined && !isTaskTerminal(r.state)) return this.#view(r, this.#template(r), countersOf(g), this.#stopping(g), g.updatedAt);
      return this.#view(r, this.#template(r), fromRow(r, counted.get(r.id)), 0, r.completedAt ?? r.createdAt);
    });
  }

  /** Reads the graph of a task that is not cached, for looking at only. */
  async readGraph(row: StoredTask, rows?: StoredStep[]): Promise<TaskGraph> {
    const large = row.totalSteps > LARGE_TASK;
    const nodes = large ? [] : await this.#p.store.loadNodes({ task: row.id, after: -1, limit: LARGE_TASK * 2 });
    const steps = large ? [] : (rows ?? (await this.stepRows(row.id)));
    const g = await this.#p.graphs.build({ task: row, steps, nodes }, this.#p.pause);
    if (g === undefined) throw new Error(`task ${row.id} has no template`);
    return g;
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

  /** Views of the given steps, or of all that there are; `absent`: also of those of the template that were not chosen, or not yet. */
  async steps(row: StoredTask, o: { nos?: readonly number[]; absent?: boolean } & StepViewOptions): Promise<StepView[]> {
    const g = await this.graphOf(row);
    const nos = o.nos ?? [...Array(g.size).keys()].filter((no) => o.absent === true || !isAbsent(g.state[no]));
    return await this.stepViews.of(g, nos, o);
  }

  async tree(row: StoredTask, ask: TreeViewRequest): Promise<TreeView> {
    const g = await this.graphOf(row);
    return await treeView({ g, views: this.stepViews, dispatcher: this.#p.dispatcher, taskUuid: this.#p.taskUuid(row.id), ask, pause: this.#p.pause });
  }

  /** The graph in memory, else one that was read for looking at only. */
  async graphOf(row: StoredTask): Promise<TaskGraph> {
    return this.#p.graphs.get(row.id) ?? (await this.readGraph(row));
  }

  /** One row per attempt that has ended or was overtaken, newest first (spec/tasker.md §6.1). */
  async audit(row: StoredTask, only: number | undefined): Promise<AuditView[]> {
    const { names } = (this.#p.graphs.get(row.id) ?? (await this.readGraph(row))).shape;
    const begun = new Map<string, { at: number; attempt: number; phase: AuditView['phase'] }>();
    const told = new Set<string>();
    /** What came back from attempts whose step had been decided before: kept here, and nowhere else. */
    const kept: { at: number; no: number; token: number }[] = [];
    const rows: AuditView[] = [];
    const add = (no: number, token: number, at: number, outcome: string, toState: string, error: StepError | null): void => {
      const key = `${no}/${token}`;
      const b = begun.get(key);
      // A folder ends without an attempt; a parent's run is told of when it returns, and ends with its children.
      if (b === undefined && outcome === 'completed') return;
      if (told.has(key) && outcome === 'completed') return;
      told.add(key);
      if (outcome === 'returned') kept.push({ at: rows.length, no, token });
      this.#auditRow(rows, row, names, { no, token, at, outcome, toState, error, begun: b ?? { at: row.createdAt, attempt: 0, phase: 'run' } });
    };
    let events = 0;
    for (let after = 0; ; ) {
      const page = await this.#p.store.log({ task: row.id, after, limit: LOG_PAGE });
      for (const r of page) {
        if ((events += r.count) > PAGE) {
          events = r.count;
          await this.#p.pause();
        }
        for (const e of readLog(r)) {
          if (e.kind === 'attempt' && (only === undefined || e.no === only)) {
            const error = (e.extra.error as unknown as StepError | undefined) ?? null;
            if (e.outcome === 'aborting') begun.set(`${e.no}/${e.token}`, { at: e.at, attempt: Number(e.extra.attempt ?? 1), phase: 'abort' });
            else add(e.no, e.token, e.at, e.outcome, 'cancelled', error);
          }
          if (e.kind !== 'step' || (only !== undefined && e.no !== only)) continue;
          const error = (e.extra.error as unknown as StepError | undefined) ?? null;
          if (e.state === Step.inProgress)
            begun.set(`${e.no}/${e.token}`, { at: e.at, attempt: e.attempts, phase: e.extra.phase === 'finalize' ? 'finalize' : 'run' });
          else if (e.state === Step.waitingForChildren) add(e.no, e.token, e.at, 'completed', 'waiting_for_children', null);
          else if (e.state === Step.complete) add(e.no, e.token, e.at, 'completed', 'enqueued_for_orchestration', null);
          else if (e.state === Step.error || e.state === Step.waitingForRetry) add(e.no, e.token, e.at, outcomeOf(error), 'enqueued_for_orchestration', error);
          else if (e.state === Step.cancelled && begun.has(`${e.no}/${e.token}`) && !told.has(`${e.no}/${e.token}`))
            add(e.no, e.token, e.at, 'cancelled', 'cancelled', null);
        }
      }
      if (page.length < LOG_PAGE) break;
      const last = page[page.length - 1];
      after = last.seq + last.count - 1;
    }
    await this.#withResults(row, rows, kept);
    return rows.reverse();
  }

  async #withResults(row: StoredTask, rows: AuditView[], kept: readonly { at: number; no: number; token: number }[]): Promise<void> {
    for (let from = 0; from < kept.length; from += PAGE) {
      if (from > 0) await this.#p.pause();
      const some = kept.slice(from, from + PAGE);
      const bodies = await this.#p.store.payloads(some.map(({ no, token }) => ({ task: row.id, no, token })));
      for (const [i, { at }] of some.entries()) {
        const body = bodies[i];
        if (body !== null) rows[at].result = JSON.parse(body) as Json;
      }
    }
  }

  #auditRow(
    rows: AuditView[],
    row: StoredTask,
    names: readonly string[],
    a: {
      no: number;
      token: number;
      at: number;
      outcome: string;
      toState: string;
      error: StepError | null;
      begun: { at: number; attempt: number; phase: AuditView['phase'] };
    },
  ): void {
    rows.push({
      stepId: this.#p.stepUuid(row.id, a.no),
      taskId: this.#p.taskUuid(row.id),
      stepName: names[a.no] ?? String(a.no),
      token: a.token,
      attempt: a.begun.attempt,
      phase: a.begun.phase,
      recordedAt: a.at,
      startedAt: a.begun.at,
      outcome: a.outcome,
      success: a.outcome === 'completed' || a.outcome === 'aborted',
      executionTimeMs: a.at - a.begun.at,
      fromState: 'in_progress',
      toState: a.toState,
      error: a.error,
    });
  }

  #stopping(g: TaskGraph): number {
    let n = 0;
    for (const [no, a] of g.live) if (a.stopping && this.#p.dispatcher.active(g.id, no)?.token === a.token) n++;
    return n;
  }

  /** Of a copy: the one that its original was of. */
  #template({ template, meta }: Pick<StoredTask, 'template' | 'meta'>): RegisteredTemplate | undefined {
    const id = template ?? meta?.origin?.template;
    return id === undefined ? undefined : this.#p.templates.row(id);
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
      key: r.key,
      userId: r.meta?.userId ?? null,
      origin: r.meta?.origin === undefined ? null : { type: r.meta.origin.type, taskId: this.#p.taskUuid(r.meta.origin.task) },
      simpleStatus: simpleTaskStatus(r.state),
      progress: completionPercentage(c) / 100,
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

/** A task that waits for a person has failed, as far as anybody else is concerned. */
function simpleTaskStatus(state: number): SimpleStatus {
  switch (state) {
    case Task.pending:
    case Task.initializing:
    case Task.enqueuingSteps:
      return 'pending';
    case Task.complete:
    case Task.resolvedManually:
      return 'completed';
    case Task.error:
    case Task.blockedByFailures:
      return 'failed';
    case Task.cancelled:
      return 'cancelled';
    default:
      return 'in_progress';
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
