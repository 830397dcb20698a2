import { ChangeSet } from '../../core/changes.ts';
import { loseAttempt } from '../../core/decide-attempt.ts';
import { arrive, evaluateTask, resumeTask } from '../../core/decide-task.ts';
import { TuttiError } from '../../core/errors.ts';
import { payDebts, storeReady, takeBacklog } from '../../core/failure.ts';
import { REOPENED_AT_ONCE, goOnReopening } from '../../core/reopening.ts';
import type { TaskGraph } from '../../core/graph.ts';
import type { FinalizeCommand } from '../commands.ts';
import type { EngineParts } from '../engine-parts.ts';
import { Inbox } from '../inbox.ts';
import type { Actor, Turn } from '../turn.ts';

const DEBT_ROWS = 256;

/** Takes tasks with something decided: what each is now. Also goes on with what is done in chunks. */
export class TaskFinalizer implements Actor {
  readonly inbox: Inbox<FinalizeCommand>;
  readonly #p: EngineParts;
  readonly #followUp: (c: FinalizeCommand) => void;
  readonly #commit: (changes: ChangeSet) => Promise<boolean>;
  #taken: FinalizeCommand[] = [];
  /** Graphs whose backlog is being taken up. */
  readonly #going = new WeakSet<TaskGraph>();
  /** Graphs whose rows of steps that ended by implication are being written. */
  readonly #paying = new WeakSet<TaskGraph>();
  /** Graphs whose rows of a reset are being written. */
  readonly #reopening = new WeakSet<TaskGraph>();
  lost = 0;

  constructor(o: { parts: EngineParts; followUp: (c: FinalizeCommand) => void; commit: (changes: ChangeSet) => Promise<boolean> }) {
    this.#p = o.parts;
    this.#followUp = o.followUp;
    this.#commit = o.commit;
    this.inbox = new Inbox('task_finalizer', o.parts.config.channels.taskFinalizer);
  }

  get waiting(): boolean {
    return this.inbox.depth > 0;
  }

  /** Before steps are started: what comes in here may make some ready. */
  fill(turn: Turn): void {
    if (this.inbox.depth === 0) return;
    const begun = this.#p.host.ticks();
    const waiting: FinalizeCommand[] = [];
    // At least one, whatever else filled the turn: large things must not wait for ever.
    let first = true;
    while (this.inbox.depth > 0 && (first || turn.room)) {
      first = false;
      const c = this.inbox.take()!;
      if (this.#decide(turn, c)) {
        this.#taken.push(c);
        this.inbox.handled++;
      } else waiting.push(c);
    }
    this.inbox.putBack(waiting);
    this.inbox.timeMs += this.#p.host.ticks() - begun;
  }

  /** Last stage: every task that this turn touched. */
  conclude(turn: Turn): void {
    const begun = this.#p.host.ticks();
    const { over } = this.#p.graphs;
    for (const g of turn.out.touched) {
      evaluateTask(turn.out, g);
      if (over && g.unstored.size > 0) storeReady(turn.out, g);
      if (g.backlog.length > 0 && g.backlogAt === 0 && !this.#going.has(g)) {
        this.#going.add(g);
        turn.replies.push(() => this.#followUp({ kind: 'backlog', task: g.id }));
      }
      // Steps may end by implication while their task goes on: below a parent that ended, or below a failure.
      if (g.debts.length > 0 && !this.#paying.has(g)) {
        this.#paying.add(g);
        turn.replies.push(() => this.#followUp({ kind: 'debts', task: g.id }));
      }
      if (g.reopening !== null && !this.#reopening.has(g)) {
        this.#reopening.add(g);
        turn.replies.push(() => this.#followUp({ kind: 'reopen', task: g.id }));
      }
    }
    this.inbox.timeMs += this.#p.host.ticks() - begun;
  }

  settle(): void {
    this.#taken = [];
  }

  undo(): void {
    this.inbox.handled -= this.#taken.length;
    // A graph taken up in a void turn is read and taken up again by the loop.
    this.inbox.putBack(this.#taken.filter((c) => c.kind !== 'adopt' && c.kind !== 'reopen'));
    this.#taken = [];
  }

  abandon(e: TuttiError): void {
    for (const c of this.#taken) {
      if (c.kind !== 'arrive') continue;
      c.submit.done(null, e);
      const changes = new ChangeSet();
      changes.removals.push(c.task);
      void this.#commit(changes);
    }
    this.#taken = [];
  }

  refuse(e: TuttiError): void {
    const keep: FinalizeCommand[] = [];
    for (let c = this.inbox.take(); c !== undefined; c = this.inbox.take()) {
      // A submission that has partly arrived is kept, and ends arriving when the store can be written.
      if (c.kind === 'arrive' && e.code === 'SHUTTING_DOWN') c.submit.done(null, e);
      else keep.push(c);
    }
    this.inbox.putBack(keep);
  }

  #decide(turn: Turn, c: FinalizeCommand): boolean {
    const { out } = turn;
    if (c.kind === 'adopt') {
      const g = c.graph;
      if (this.#p.graphs.get(g.id) !== g) return true;
      if (g.reopening !== null) return false;
      for (const [no, a] of [...g.live]) {
        if (this.#p.dispatcher.active(g.id, no)?.token === a.token) continue;
        loseAttempt(out, g, no);
        turn.replies.push(() => this.lost++);
      }
      return true;
    }
    const g = this.#p.graphs.get(c.task);
    if (g === undefined) {
      if (c.kind === 'debts' || c.kind === 'backlog' || c.kind === 'reopen') return true;
      if (!this.#p.absent.delete(c.task)) {
        turn.missing.add(c.task);
        return false;
      }
      turn.replies.push(() => c.submit.done(null, new TuttiError('INTERNAL', 'The submission was lost while it arrived.')));
      return true;
    }
    if (c.kind === 'arrive') {
      if (g.arriving >= 0) {
        resumeTask(g, c.submit.submission);
        arrive(out, g, c.submit.submission.nodes ?? null, c.submit.submission.tick ?? null);
      }
      if (g.arriving >= 0) turn.replies.push(() => this.#followUp(c));
      else {
        turn.replies.push(() => {
          this.#p.payloads.putInput(g.id, c.submit.submission.input);
          c.submit.done(g, null);
        });
      }
      return true;
    }
    if (c.kind === 'backlog') {
      this.#going.add(g);
      takeBacklog(out, g);
      if (g.backlog.length > 0) turn.replies.push(() => this.#followUp(c));
      else this.#going.delete(g);
      return true;
    }
    if (c.kind === 'reopen') {
      this.#reopening.add(g);
      goOnReopening(out, g, Math.min(REOPENED_AT_ONCE, this.#p.config.turn.maxRows));
      if (g.reopening !== null) turn.replies.push(() => this.#followUp(c));
      else this.#reopening.delete(g);
      return true;
    }
    if (g.debts.length > 0) payDebts(out, g, DEBT_ROWS);
    if (g.debts.length > 0) turn.replies.push(() => this.#followUp(c));
    else this.#paying.delete(g);
    return true;
  }
}
