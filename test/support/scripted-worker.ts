/**
 * A worker whose handlers do what a script says: succeed, fail, fall silent, ignore the signal, answer twice or with a stranger's
 * token. It checks every dispatch against what is durable: nothing is let out before its commit (I1), no attempt beyond the slots
 * (I8) or beside another (design.md §2), inputs and results as they were stored.
 */
import assert from 'node:assert/strict';
import type { AttemptOutcome, Assignment, StopReason, WorkerPort, WorkerSession } from '../../src/engine/worker-port.ts';
import type { AttemptJournal, AttemptRecord } from './attempt-journal.ts';
import { attemptKey } from './attempt-journal.ts';
import { type CommittedMirror, GRACE_MS, isOver } from './committed-mirror.ts';
import type { Life, SimulatedMachine } from './simulated-host.ts';

export interface Behaviour {
  what: 'ok' | 'retryable' | 'permanent' | 'silent';
  delayMs: number;
  /** What it does when told to stop: answers at once, or goes on as if nothing had been said. */
  onStop: 'obey' | 'ignore';
  /** Answers a second time, with another content, this long after the first. */
  againMs?: number;
  /** First sends answers with tokens of other attempts. */
  stray?: boolean;
  /** Writes a checkpoint half way. */
  checkpoint?: boolean;
  /** Signs of life at this interval. */
  beatMs?: number;
  retryAfterMs?: number;
  /** The result; default: one that names the attempt. */
  body?: string;
}

export type Script = (a: Assignment) => Behaviour;

interface Running {
  record: AttemptRecord;
  behaviour: Behaviour;
  disarm: (() => void)[];
}

export interface WorkerOptions {
  machine: SimulatedMachine;
  life: Life;
  number: number;
  mirror: CommittedMirror;
  journal: AttemptJournal;
  script: Script;
  slots: number;
  has?: (handler: string) => boolean;
  onDispatch?: (a: Assignment) => void;
}

export class ScriptedWorker {
  readonly #o: WorkerOptions;
  readonly running = new Map<string, Running>();
  #session: WorkerSession | null = null;

  constructor(o: WorkerOptions) {
    this.#o = o;
  }

  connect(port: WorkerPort): void {
    const { slots, has } = this.#o;
    this.#session = port.connect(
      { name: 'scripted', slots, hasHandler: has ?? (() => true) },
      {
        assign: (batch) => this.#guard(() => batch.forEach((a) => this.#assign(a))),
        stop: (s) => this.#guard(() => this.#stop(s)),
      },
    );
  }

  get session(): WorkerSession {
    assert.ok(this.#session);
    return this.#session;
  }

  /** Attempts that hold a slot: running, and not stopping for longer than the grace. */
  get used(): number {
    let n = 0;
    for (const r of this.running.values()) if (!this.#givenUp(r.record)) n++;
    return n;
  }

  #givenUp(r: AttemptRecord): boolean {
    return r.stoppedAt !== null && this.#o.machine.now() >= r.stoppedAt + GRACE_MS;
  }

  #guard(run: () => void): void {
    try {
      run();
    } catch (e) {
      this.#o.machine.report(e);
    }
  }

  #assign(a: Assignment): void {
    const { mirror, journal, machine, life, slots } = this.#o;
    // A promise that resolves after the kill: in a real one nobody would be there.
    if (!life.alive) return;
    const at = `dispatch of task ${a.task} step ${a.stepName} token ${a.token}`;
    const task = mirror.tasks.get(a.task);
    assert.ok(task, `${at}: its task is not durable (I1)`);
    const step = task.steps[a.no];
    assert.equal(step.token, a.token, `${at}: durable is token ${step.token} (I1)`);
    assert.equal(step.state, 'in_progress', `${at}: durable is ${step.state} (I1)`);
    assert.equal(step.attempts, a.attempt, `${at}: counted ${step.attempts} (I6)`);
    const definition = task.definition.steps[a.no];
    assert.equal(a.stepName, definition.name);
    assert.ok(a.attempt <= Math.max(1, definition.retry.maxAttempts), `${at}: attempt ${a.attempt} (I6)`);
    assert.equal(a.maxAttempts, Math.max(1, definition.retry.maxAttempts), `${at}: maxAttempts`);
    for (const r of this.running.values()) {
      if (r.record.task === a.task && r.record.no === a.no) assert.ok(this.#givenUp(r.record), `${at}: begins beside token ${r.record.token}`);
    }
    const record: AttemptRecord = {
      task: a.task,
      no: a.no,
      token: a.token,
      attempt: a.attempt,
      boot: this.#o.number,
      assignment: a,
      assignedAt: machine.now(),
      answer: null,
      answeredAt: null,
      stoppedAt: null,
      stopReason: null,
      over: false,
    };
    assert.ok(this.used < slots, `${at}: all ${slots} slots are in use (I8)`);
    this.#checkInputs(a, at);
    journal.begin(record);
    this.#o.onDispatch?.(a);
    this.#run(record, this.#o.script(a));
  }

  #checkInputs(a: Assignment, at: string): void {
    const task = this.#o.mirror.tasks.get(a.task)!;
    assert.equal(a.input, task.payloads.get('-1/0'), `${at}: input`);
    const declared = task.definition.steps[a.no].dependencies;
    if (a.results !== null) {
      assert.deepEqual(
        a.results.map(([name, required]) => ({ name, required })),
        declared,
        `${at}: dependencies`,
      );
      for (const [name, required, result] of a.results) {
        const from = task.definition.steps.findIndex((s) => s.name === name);
        const stored = task.steps[from];
        assert.ok(
          required ? stored.state === 'complete' || stored.state === 'resolved_manually' : isOver(stored.state),
          `${at}: ${name} is ${stored.state} (I7)`,
        );
        assert.equal(result.state, stored.state, `${at}: state of ${name}`);
        if (result.state === 'complete') assert.equal(result.body, task.payloads.get(`${from}/${stored.resultToken}`), `${at}: result of ${name}`);
      }
    }
    const kept = this.#o.journal.checkpoints.get(`${a.task}/${a.no}`);
    if (kept !== undefined) assert.equal(a.checkpoint, kept.body, `${at}: the acknowledged checkpoint is not there`);
  }

  #run(record: AttemptRecord, behaviour: Behaviour): void {
    const { machine, life } = this.#o;
    const r: Running = { record, behaviour, disarm: [] };
    const key = attemptKey(record.task, record.no, record.token);
    this.running.set(key, r);
    const later = (ms: number, run: () => void): void => void r.disarm.push(machine.timer(life, ms, () => this.#guard(run)));
    const { task, no, token } = record;
    if (behaviour.stray) {
      this.session.result({ task, no, token: token + 1, outcome: { ok: true, body: '"stray"' } });
      if (token > 1) this.session.result({ task, no, token: token - 1, outcome: { ok: true, body: '"stray"' } });
    }
    if (behaviour.beatMs !== undefined) {
      const beat = (): void => {
        if (record.over) return;
        this.session.heartbeat({ task, no, token });
        later(behaviour.beatMs!, beat);
      };
      later(behaviour.beatMs, beat);
    }
    if (behaviour.checkpoint) {
      later(Math.floor(behaviour.delayMs / 2), () => {
        const body = JSON.stringify({ by: key });
        // A refused checkpoint (the attempt is not live any more) promises nothing.
        this.session.checkpoint({ task, no, token, body }).then(
          () => void this.#o.journal.checkpoints.set(`${task}/${no}`, { token, body }),
          () => undefined,
        );
      });
    }
    if (behaviour.what === 'silent') return;
    later(behaviour.delayMs, () => this.#answer(r, this.#outcome(record, behaviour)));
  }

  #outcome(record: AttemptRecord, b: Behaviour): AttemptOutcome {
    if (b.what === 'ok') return { ok: true, body: b.body ?? JSON.stringify({ by: attemptKey(record.task, record.no, record.token) }) };
    return {
      ok: false,
      error: {
        code: b.what === 'permanent' ? 'permanent_error' : 'handler_error',
        message: `scripted, attempt ${record.attempt}`,
        retryable: b.what !== 'permanent',
      },
      ...(b.retryAfterMs === undefined ? {} : { retryAfterMs: b.retryAfterMs }),
    };
  }

  #answer(r: Running, outcome: AttemptOutcome): void {
    const { record, behaviour } = r;
    if (record.over) return;
    const { task, no, token } = record;
    record.answer = outcome;
    record.answeredAt = this.#o.machine.now();
    record.over = true;
    this.running.delete(attemptKey(task, no, token));
    this.session.result({ task, no, token, outcome });
    if (behaviour.againMs === undefined) return;
    const { machine, life } = this.#o;
    machine.timer(life, behaviour.againMs, () => this.#guard(() => this.session.result({ task, no, token, outcome: { ok: true, body: '"a second answer"' } })));
  }

  #stop(s: { task: number; no: number; token: number; reason: StopReason }): void {
    const r = this.running.get(attemptKey(s.task, s.no, s.token));
    if (r === undefined || r.record.stoppedAt !== null) return;
    const stored = this.#o.mirror.tasks.get(s.task)?.steps[s.no];
    if (s.reason === 'cancelled') assert.ok(stored && isOver(stored.state), `stop of ${s.task}/${s.no} before it is durable (I1)`);
    if (s.reason === 'timeout') assert.ok(stored && stored.state !== 'in_progress', `stop of ${s.task}/${s.no} before it is durable (I1)`);
    r.record.stoppedAt = this.#o.machine.now();
    r.record.stopReason = s.reason;
    if (r.behaviour.onStop === 'ignore') return;
    this.#o.machine.soon(this.#o.life, () =>
      this.#guard(() => this.#answer(r, { ok: false, error: { code: 'cancelled', message: 'stopped as asked', retryable: true } })),
    );
  }
}
