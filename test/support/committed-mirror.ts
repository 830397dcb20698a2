/**
 * What the store was told, kept a second time and checked at every commit: rows follow from rows (I3), terminal stays terminal
 * (I5), attempts are counted before they run and never too often (I6), nothing starts early (I7), results come from the attempt
 * that is live (I4), and every state is the one that the naive model derives from what the attempts did.
 */
import assert from 'node:assert/strict';
import type { ChangeSet, StepWrite } from '../../src/core/changes.ts';
import type { TemplateDefinition } from '../../src/core/definition.ts';
import { type ModelOutcome, NaiveTask } from '../properties/naive-model.ts';
import type { AttemptJournal } from './attempt-journal.ts';

/** Numbers of the stored states, written down here once more. */
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
const TASK = [
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
  'resolved_manually',
];
const REASON = ['dependency_failed', 'parent_failed', 'sibling_failed', 'task_ended', 'by_request', 'expired', 'not_respawned'];
/** A decision may leave rows of pending steps for later only when it ends more than this. */
const IMPLIED_ABOVE = 256;
/** After this the engine may have given up a handler that ignores its signal. */
export const GRACE_MS = 30_000;

export interface MirrorStep {
  no: number;
  state: string;
  token: number;
  attempts: number;
  owner: number | null;
  resultToken: number;
  reason: string | null;
  error: string | null;
  wakeAt: number | null;
}

export interface MirrorTask {
  id: number;
  state: string;
  definition: TemplateDefinition;
  model: NaiveTask;
  createdAt: number;
  completedAt: number | null;
  steps: MirrorStep[];
  arrived: boolean;
  nextSeq: number;
  /** Bodies by `no/token`; -1/0 is the input. */
  payloads: Map<string, string>;
  deadLetters: number;
  cancelRequested: boolean;
  /** The commit that ended it. */
  endedInCommit: number | null;
}

export const modelOf = (d: TemplateDefinition): NaiveTask => {
  const number = new Map(d.steps.map((s, no) => [s.name, no]));
  return new NaiveTask({
    policy: d.policy,
    steps: d.steps.map((s) => ({
      dependencies: s.dependencies.map((e) => ({ no: number.get(e.name)!, required: e.required })),
      allowFailure: s.allowFailure ?? false,
      retryable: s.retry.retryable,
      maxAttempts: s.retry.maxAttempts,
    })),
  });
};

export class CommittedMirror {
  readonly tasks = new Map<number, MirrorTask>();
  readonly definitions = new Map<number, TemplateDefinition>();
  readonly journal: AttemptJournal;
  readonly now: () => number;
  /** Number of the life in hand; attempts of earlier ones are lost. */
  life = 0;
  /** The owner that this life's engine writes on its attempts; learnt from the first. */
  #owner: number | null = null;
  commits = 0;

  constructor(journal: AttemptJournal, now: () => number) {
    this.journal = journal;
    this.now = now;
  }

  /** The machine was killed and starts again. */
  nextLife(): void {
    this.life++;
    this.#owner = null;
    // Attempts of an ended task that were still stopping died with their process; nothing about them needs to be written.
    for (const t of this.tasks.values()) if (isTaskOver(t.state)) for (const s of t.steps) s.owner = null;
  }

  apply(c: ChangeSet): void {
    this.commits++;
    const touched = new Set<MirrorTask>();
    for (const id of c.removals) this.tasks.delete(id);
    for (const t of c.tasks) {
      assert.ok(!this.tasks.has(t.id), `task ${t.id} is created twice`);
      const definition = this.definitions.get(t.template!);
      assert.ok(definition, `task ${t.id} names template row ${t.template}`);
      const task: MirrorTask = {
        id: t.id,
        state: TASK[t.state],
        definition,
        model: modelOf(definition),
        createdAt: t.createdAt,
        completedAt: t.completedAt,
        steps: [],
        arrived: false,
        nextSeq: 1,
        payloads: new Map(),
        deadLetters: 0,
        cancelRequested: false,
        endedInCommit: null,
      };
      assert.equal(t.totalSteps, definition.steps.length);
      this.tasks.set(t.id, task);
      touched.add(task);
    }
    const begun: { task: MirrorTask; no: number }[] = [];
    const ended: { task: MirrorTask; no: number; what: ModelOutcome; failure: boolean }[] = [];
    for (const p of c.payloads) {
      const key = `${p.no}/${p.token}`;
      const task = this.#task(p.task);
      assert.ok(!task.payloads.has(key), `payload ${p.task}/${key} is written twice (I4)`);
      task.payloads.set(key, p.body);
    }
    for (const w of c.steps) {
      const task = this.#task(w.task);
      touched.add(task);
      this.#step(task, w, begun, ended);
    }
    for (const r of c.releases) {
      const s = this.#task(r.task).steps[r.no];
      if (s?.token === r.token) s.owner = null;
    }
    for (const u of c.taskUpdates) {
      const task = this.#task(u.id);
      touched.add(task);
      assert.equal(task.state, TASK[u.fromState], `task ${u.id} is updated from a state it is not in (I3)`);
      assert.ok(u.fromState < 8 || u.state === u.fromState, `terminal task ${u.id} is changed (I5)`);
      task.state = TASK[u.state];
      task.completedAt = u.completedAt;
      if (u.state >= 8) assert.deepEqual(u.counts, countsOf(task), `task ${u.id}: final counts`);
    }
    for (const d of c.deadLetters) this.#task(d.task).deadLetters++;
    for (const l of c.log) {
      const task = this.#task(l.task);
      assert.equal(l.seq, task.nextSeq, `task ${l.task}: the log skips or repeats (I3)`);
      assert.equal(JSON.parse(l.body).length, l.count, `task ${l.task}: log row ${l.seq} miscounts`);
      task.nextSeq += l.count;
    }
    this.#think(touched, begun, ended);
    for (const t of touched) this.#compare(t);
  }

  #task(id: number): MirrorTask {
    const t = this.tasks.get(id);
    assert.ok(t, `a row of the unknown task ${id} is written`);
    return t;
  }

  #step(
    task: MirrorTask,
    w: StepWrite,
    begun: { task: MirrorTask; no: number }[],
    ended: { task: MirrorTask; no: number; what: ModelOutcome; failure: boolean }[],
  ): void {
    const at = `task ${task.id} step ${task.definition.steps[w.no]?.name}`;
    if (w.insert) {
      assert.equal(w.no, task.steps.length, `${at}: rows arrive in order`);
      task.steps.push({ no: w.no, state: 'pending', token: 0, attempts: 0, owner: null, resultToken: 0, reason: null, error: null, wakeAt: null });
      task.arrived = task.steps.length === task.definition.steps.length;
    }
    const old = task.steps[w.no];
    if (w.abortOnly === true && !w.insert) {
      // A hook was thought possible before a worker was there to say that there is none.
      assert.ok(isOver(old.state) && w.token === old.token && STEP[w.state] === old.state, `${at}: abortOnly of a live step`);
      Object.assign(old, { owner: w.owner, wakeAt: w.wakeAt });
      return;
    }
    if (!w.insert) {
      assert.equal(old.token, w.fromToken, `${at}: decided on token ${w.fromToken} (I3)`);
      assert.equal(old.state, STEP[w.fromState], `${at}: decided on ${STEP[w.fromState]} (I3)`);
    }
    assert.ok(w.token >= old.token && w.token <= old.token + 1, `${at}: token ${old.token} -> ${w.token}`);
    const state = STEP[w.state];
    if (isOver(old.state)) assert.equal(state, old.state, `${at} was terminal (I5)`);
    if (old.state === 'in_progress' && (state !== 'in_progress' || w.token !== old.token) && state !== 'cancelled') {
      ended.push({ task, no: w.no, ...this.#outcome(task, old, w, at) });
    }
    if (w.token > old.token) {
      assert.equal(state, 'in_progress', `${at}: a token was spent on ${state}`);
      assert.equal(w.attempts, old.attempts + 1, `${at}: an attempt is not counted (I6)`);
      const last = this.journal.get(task.id, w.no, old.token);
      const returned = last === undefined || last.over || last.boot !== this.life || (last.stoppedAt !== null && this.now() >= last.stoppedAt + GRACE_MS);
      assert.ok(old.owner === null || returned, `${at}: a new attempt begins beside the live one`);
      assert.ok(w.owner !== null, `${at}: an attempt without owner`);
      this.#owner ??= w.owner;
      assert.equal(w.owner, this.#owner, `${at}: owner`);
      begun.push({ task, no: w.no });
    } else {
      assert.equal(w.attempts, old.attempts, `${at}: attempts change without an attempt (I6)`);
    }
    if (state === 'complete' && old.state !== 'complete') {
      assert.equal(w.resultToken, w.token, `${at}: result of another attempt (I4)`);
      assert.ok(task.payloads.has(`${w.no}/${w.token}`), `${at}: complete without its result`);
    }
    if (state === 'waiting_for_retry') assert.ok(w.wakeAt !== null, `${at} waits for ever`);
    Object.assign(old, {
      state,
      token: w.token,
      attempts: w.attempts,
      owner: w.owner,
      resultToken: w.resultToken,
      reason: w.reason === null ? null : REASON[w.reason],
      error: w.error,
      wakeAt: w.wakeAt,
    });
  }

  /** The outcome that the engine counted must be one that this attempt had (I4). */
  #outcome(task: MirrorTask, old: MirrorStep, w: StepWrite, at: string): { what: ModelOutcome; failure: boolean } {
    const record = this.journal.get(task.id, old.no, old.token);
    if (STEP[w.state] === 'complete') {
      assert.ok(record?.answer?.ok, `${at}: completed by attempt ${old.token}, which did not answer so (I4)`);
      assert.equal(record.boot, this.life, `${at}: completed by an attempt of a dead process (I4)`);
      assert.equal(task.payloads.get(`${old.no}/${old.token}`), record.answer.body, `${at}: another result (I4)`);
      return { what: 'ok', failure: false };
    }
    const error = JSON.parse(w.error ?? 'null') as { code: string; retryable: boolean } | null;
    if (w.token > old.token && error === null) {
      // Failed and begun again in one commit: only something retryable can have happened.
      assert.ok(record === undefined || !record.answer?.ok, `${at}: begun again after it succeeded`);
      return { what: 'retryable', failure: true };
    }
    assert.ok(error !== null, `${at}: ${STEP[w.state]} without an error`);
    if (error.code === 'attempt_lost') {
      assert.notEqual(old.owner, this.#owner, `${at}: attempt ${old.token} is called lost while its process lives`);
      return { what: 'retryable', failure: true };
    }
    if (error.code === 'step_timeout') {
      const limit = task.definition.steps[old.no].timeoutMs!;
      assert.ok(record !== undefined && this.now() >= record.assignedAt + limit, `${at}: timed out early`);
      return { what: 'retryable', failure: true };
    }
    if (error.code === 'heartbeat_lost') {
      assert.ok(task.definition.steps[old.no].heartbeatMs !== undefined, `${at}: has no heartbeat`);
      return { what: 'retryable', failure: true };
    }
    const answer = record?.answer;
    assert.ok(answer && !answer.ok, `${at}: failed with ${error.code}, but attempt ${old.token} did not answer so (I4)`);
    assert.equal(error.code, answer.error.code, `${at}: another error (I4)`);
    return { what: answer.error.retryable ? 'retryable' : 'permanent', failure: true };
  }

  #think(
    touched: Set<MirrorTask>,
    begun: { task: MirrorTask; no: number }[],
    ended: { task: MirrorTask; no: number; what: ModelOutcome; failure: boolean }[],
  ): void {
    // Within one commit the order of results is free, but for `fail_fast`, where the failure that ends the task came last of those that count.
    const weight = (e: (typeof ended)[number]): number => {
      if (!e.failure) return 0;
      const { model } = e.task;
      const forGood = e.what === 'permanent' || !model.task.steps[e.no].retryable || model.attempts[e.no] >= model.allowed(e.no);
      return !forGood ? 1 : model.isHandled(e.no) ? 2 : 3;
    };
    for (const e of [...ended].sort((a, b) => weight(a) - weight(b))) e.task.model.end(e.no, e.what);
    for (const t of touched) {
      if (t.state === 'cancelled' && t.model.ended === null) {
        assert.ok(t.cancelRequested, `task ${t.id} is cancelled, and nobody asked`);
        t.model.cancel();
      } else if (t.state === 'error' && (t.model.outcome === 'live' || t.model.outcome === 'blocked') && t.definition.deadlineMs !== undefined) {
        assert.ok(this.now() >= t.createdAt + t.definition.deadlineMs, `task ${t.id} ends before its deadline`);
        t.model.passDeadline();
      }
    }
    for (const b of begun) b.task.model.begin(b.no);
  }

  #compare(t: MirrorTask): void {
    if (!t.arrived) {
      assert.equal(t.state, 'initializing', `task ${t.id} has ${t.steps.length} of its steps`);
      return;
    }
    const { model } = t;
    const outcome = model.outcome;
    const expected = { live: null, blocked: 'blocked_by_failures', complete: 'complete', error: 'error', cancelled: 'cancelled' }[outcome];
    if (expected !== null) assert.equal(t.state, expected, `task ${t.id} (${t.definition.policy}): ${this.show(t)}`);
    else assert.ok(TASK.indexOf(t.state) >= 2 && TASK.indexOf(t.state) <= 7, `task ${t.id} is ${t.state} while something is left: ${this.show(t)}`);
    let runs = 0;
    let waits = 0;
    let ready = 0;
    for (const s of t.steps) {
      const said = model.state[s.no];
      const at = `task ${t.id} (${t.definition.policy}) step ${t.definition.steps[s.no].name}`;
      if (said === 'cancelled' && s.state === 'pending' && t.steps.length > IMPLIED_ABOVE) continue;
      const same =
        said === 'idle'
          ? s.state === 'pending' || s.state === 'enqueued'
          : said === 'waiting'
            ? s.state === 'waiting_for_retry' || ((s.state === 'pending' || s.state === 'enqueued') && s.attempts > 0)
            : said === 'running'
              ? s.state === 'in_progress' || s.state === 'enqueued_for_orchestration'
              : s.state === said;
      if (!same) assert.fail(`${at}: stored ${s.state}, the model says ${said} | ${this.show(t)}`);
      assert.equal(s.attempts, model.attempts[s.no], `${at}: attempts`);
      assert.ok(s.attempts <= model.allowed(s.no), `${at}: ${s.attempts} attempts (I6)`);
      if (said === 'cancelled' && s.reason !== model.reason[s.no]) assert.fail(`${at}: cancelled for ${s.reason}, not ${model.reason[s.no]} | ${this.show(t)}`);
      if (s.state === 'in_progress') runs++;
      else if (s.state === 'waiting_for_retry') waits++;
      else if (model.mayBegin(s.no)) ready++;
    }
    if (isTaskOver(t.state)) {
      t.endedInCommit ??= this.commits;
      assert.ok(t.completedAt !== null, `task ${t.id}: completed_at`);
      assert.equal(t.deadLetters, t.state === 'error' && t.definition.policy !== 'record' ? 1 : 0, `task ${t.id}: dead letters`);
    } else if (runs > 0) {
      assert.equal(t.state, 'steps_in_process', `task ${t.id}: ${this.show(t)}`);
    } else if (ready === 0 && waits > 0) {
      assert.equal(t.state, 'waiting_for_retry', `task ${t.id}: ${this.show(t)}`);
    }
  }

  /** At the end of a run: everything is where it stays. */
  assertSettled(): void {
    for (const t of this.tasks.values()) {
      assert.notEqual(t.model.outcome, 'live', `task ${t.id} never ended: ${t.state} | ${this.show(t)}`);
      for (const s of t.steps) {
        assert.equal(s.owner, null, `task ${t.id} step ${s.no}: an attempt was never ended`);
        if (t.model.outcome !== 'blocked') assert.ok(isOver(s.state), `task ${t.id} is ${t.state}, step ${s.no} ${s.state}`);
      }
    }
  }

  show(t: MirrorTask): string {
    return t.steps
      .slice(0, 20)
      .map(
        (s) =>
          `${s.no}[${t.definition.steps[s.no].dependencies.map((d) => `${d.name}${d.required ? '' : '?'}`).join(',')}]:${s.state}/${t.model.state[s.no]} a${s.attempts} t${s.token}`,
      )
      .join('  ');
  }
}

export const isOver = (state: string): boolean => STEP.indexOf(state) >= 6;
export const isTaskOver = (state: string): boolean => TASK.indexOf(state) >= 8;

function countsOf(t: MirrorTask): { complete: number; error: number; cancelled: number; resolved: number } {
  const n = (state: string): number => t.steps.filter((s) => s.state === state).length;
  const counts = { complete: n('complete'), error: n('error'), cancelled: n('cancelled'), resolved: n('resolved_manually') };
  // What ends by implication is counted before its rows say so.
  if (t.steps.length > IMPLIED_ABOVE) counts.cancelled += n('pending');
  return counts;
}
