/**
 * Runs one task through the pure core alone, turn by turn in the engine's order (results, verbs, timers, starts), every turn written
 * to the mirror. What the engine adds, slots and stores and promises, is absent: thousands of tasks take a second.
 */
import assert from 'node:assert/strict';
import { endStopping, finishAttempt, loseAttempt, startStep, timeoutAttempt, wakeStep } from '../../src/core/decide-attempt.ts';
import { arrive, cancelTask, createTask, evaluateTask, expireTask } from '../../src/core/decide-task.ts';
import { Decisions } from '../../src/core/decisions.ts';
import type { TemplateDefinition } from '../../src/core/definition.ts';
import { payDebts } from '../../src/core/failure.ts';
import type { TaskGraph } from '../../src/core/graph.ts';
import { type StepRecord, loadGraph, recount, recountOpen } from '../../src/core/load-graph.ts';
import { type Shape, compileShape } from '../../src/core/shape.ts';
import { AttemptJournal } from '../support/attempt-journal.ts';
import { CommittedMirror, isTaskOver } from '../support/committed-mirror.ts';
import type { ModelOutcome } from './naive-model.ts';

const STEP = [
  'pending',
  'enqueued',
  'in_progress',
  'enqueued_for_orchestration',
  'waiting_for_retry',
  'waiting_for_children',
  'complete',
  'error',
  'cancelled',
  'resolved_manually',
];
const REASON = ['dependency_failed', 'parent_failed', 'sibling_failed', 'task_ended', 'by_request', 'expired', 'not_respawned'];
const TASK_ID = 4096 * 77;

export class CoreDriver {
  now = 1_800_000_000_000;
  readonly journal = new AttemptJournal();
  readonly mirror = new CommittedMirror(this.journal, () => this.now);
  readonly shape: Shape;
  readonly definition: TemplateDefinition;
  graph: TaskGraph;
  #boot = 1;
  #decisions: Decisions | null = null;

  constructor(definition: TemplateDefinition) {
    this.definition = definition;
    this.shape = compileShape(definition);
    this.mirror.definitions.set(1, definition);
    this.graph = createTask(this.#out, { id: TASK_ID, template: 1, shape: this.shape, priority: undefined, input: '{}', tags: null, meta: null });
    this.commit();
  }

  get task(): NonNullable<ReturnType<CommittedMirror['tasks']['get']>> {
    return this.mirror.tasks.get(TASK_ID)!;
  }

  get over(): boolean {
    return isTaskOver(this.task.state);
  }

  /** Ends the turn. */
  commit(): void {
    if (this.graph.writes !== null) evaluateTask(this.#out, this.graph);
    this.mirror.apply(this.#out.seal());
    this.#decisions = null;
    if (this.task.arrived) this.checkCounters();
  }

  /** The turn in hand, begun with the first decision after the last commit. */
  get #out(): Decisions {
    this.#decisions ??= new Decisions(this.now, this.#boot);
    return this.#decisions;
  }

  start(no: number): void {
    startStep(this.#out, this.graph, no);
    const { token } = this.graph.live.get(no)!;
    this.journal.begin({
      task: TASK_ID,
      no,
      token,
      attempt: this.graph.attempts[no],
      boot: this.mirror.life,
      assignment: null as never,
      assignedAt: this.now,
      answer: null,
      answeredAt: null,
      stoppedAt: null,
      stopReason: null,
      over: false,
    });
  }

  /** Hands in the answer of an attempt, whatever its token; true if it was the live one's. */
  answer(no: number, token: number, what: ModelOutcome): boolean {
    const record = this.journal.get(TASK_ID, no, token);
    const outcome =
      what === 'ok'
        ? { ok: true as const, body: `"${no}/${token}"` }
        : {
            ok: false as const,
            error: { code: what === 'permanent' ? 'permanent_error' : 'handler_error', message: 'scripted', retryable: what === 'retryable' },
          };
    const live = this.graph.live.get(no)?.token === token;
    if (record !== undefined && live) {
      record.answer ??= outcome;
      record.over = true;
    }
    const counted = finishAttempt(this.#out, this.graph, no, token, outcome);
    assert.equal(counted, live, `step ${no} token ${token}: counted (I4)`);
    return counted;
  }

  timeout(no: number): void {
    const live = this.graph.live.get(no)!;
    timeoutAttempt(this.#out, this.graph, no, live.token, { code: 'step_timeout', message: 'too long', retryable: true });
  }

  abandon(no: number): void {
    this.journal.get(TASK_ID, no, this.graph.live.get(no)!.token)!.over = true;
    endStopping(this.#out, this.graph, no, 'abandoned');
  }

  wake(): void {
    for (const [no, due] of [...this.graph.retryAt]) if (due <= this.now) wakeStep(this.#out, this.graph, no);
  }

  cancel(): void {
    if (this.over) return;
    this.task.cancelRequested = true;
    cancelTask(this.#out, this.graph, 'by the test');
  }

  expire(): void {
    expireTask(this.#out, this.graph);
  }

  /** Writes some of the rows that a decision left for later. */
  payDebts(limit: number): void {
    payDebts(this.#out, this.graph, limit);
    this.commit();
  }

  /** The rest of a large submission, a chunk a turn. */
  arriveAll(): void {
    while (this.graph.arriving >= 0) {
      arrive(this.#out, this.graph);
      this.commit();
    }
  }

  /** What the store holds, as a graph: the way back after a lost commit or a kill. */
  load(): TaskGraph {
    const t = this.task;
    const steps: StepRecord[] = t.steps.map((s) => ({
      no: s.no,
      state: STEP.indexOf(s.state),
      token: s.token,
      attempts: s.attempts,
      phase: 0,
      phaseAttempts: 0,
      resultToken: s.state === 'complete' ? s.token : 0,
      owner: s.owner,
      rank: null,
      wakeAt: s.wakeAt,
      startedAt: s.token > 0 ? this.now : null,
      firstStartedAt: null,
      finishedAt: this.now,
      reason: s.reason === null ? null : REASON.indexOf(s.reason),
      error: s.error,
    }));
    const state = [
      'pending',
      'initializing',
      'enqueuing_steps',
      'steps_in_process',
      'evaluating_results',
      'waiting_for_dependencies',
      'waiting_for_retry',
      'blocked_by_failures',
      'complete',
      'error',
      'cancelled',
    ].indexOf(t.state);
    const { deadlineMs } = this.definition;
    return loadGraph(
      {
        id: TASK_ID,
        template: 1,
        state,
        priority: 2,
        policy: this.definition.policy,
        createdAt: t.createdAt,
        completedAt: t.completedAt,
        wakeAt: deadlineMs === undefined ? null : t.createdAt + deadlineMs,
        error: null,
        meta: null,
        nextSeq: t.nextSeq,
      },
      steps,
      this.shape,
    );
  }

  /** A refused commit: what was decided is forgotten, and the rows are the truth. */
  forget(): void {
    this.#decisions = null;
    this.graph = this.load();
  }

  /** A kill: every attempt of the old process is lost. */
  crash(): void {
    this.mirror.nextLife();
    this.#boot++;
    this.forget();
    for (const no of [...this.graph.live.keys()]) loseAttempt(this.#out, this.graph, no);
    this.commit();
  }

  /** Counters are cache: they must be what the rows say (design.md §3). */
  checkCounters(): void {
    const fresh = this.load();
    const g = this.graph;
    const figures = (x: TaskGraph): Record<string, unknown> => ({
      state: [...x.state],
      attempts: [...x.attempts],
      token: [...x.token],
      remaining: x.remaining,
      running: x.running,
      complete: x.complete,
      errors: x.errors,
      unhandled: x.unhandled,
      cancelled: x.cancelled,
      live: [...x.live.keys()].sort((a, b) => a - b),
      stopping: x.stopping,
      ready: [...x.ready.keys()].sort((a, b) => a - b),
      retryAt: [...x.retryAt].sort((a, b) => a[0] - b[0]),
      nextSeq: x.nextSeq,
      open: [...x.open].map((n, no) => (x.state[no] === 0 ? n : 0)),
    });
    assert.deepEqual(figures(g), figures(fresh), 'the cached graph is not what its rows say');
    const counted = figures(g);
    for (let no = 0; no < fresh.size; no++) recountOpen(fresh, no);
    recount(fresh);
    assert.deepEqual(figures(fresh), counted);
  }
}
