import { finishAttempt } from '../../core/decide-attempt.ts';
import { cancelOne } from '../../core/decide-step.ts';
import { cancelTask, executeTask, patchTask } from '../../core/decide-task.ts';
import { IMPLIED_ABOVE } from '../../core/failure.ts';
import { addNodes } from '../../core/grow.ts';
import { stepUuid } from '../../core/ids.ts';
import { REOPENED_AT_ONCE } from '../../core/reopening.ts';
import { type ResetPlan, carryOut, planHolds, planStep, planTask } from '../../core/reset.ts';
import { simpleStatus } from '../../core/simple-status.ts';
import { TuttiError } from '../../core/errors.ts';
import type { TaskGraph } from '../../core/graph.ts';
import { endedTaskVerbs } from '../../core/legal-verbs.ts';
import { attemptEvent } from '../../core/log.ts';
import { STEP_STATES, Step, type StepState, isAbsent, isStepTerminal } from '../../core/step-states.ts';
import { isTaskTerminal, Task, TASK_STATES } from '../../core/task-states.ts';
import type { ResultCommand } from '../commands.ts';
import type { EngineParts } from '../engine-parts.ts';
import { isSettled } from '../graph-intake.ts';
import { Inbox } from '../inbox.ts';
import { decideSpawn } from '../spawns.ts';
import type { Actor, Turn } from '../turn.ts';

/** Takes results, checkpoints and operator verbs: each step's next state, and who becomes ready. */
export class ResultProcessor implements Actor {
  readonly inbox: Inbox<ResultCommand>;
  readonly #p: EngineParts;
  #taken: ResultCommand[] = [];
  /**
   * Rows that spawns took of the last turn. One that took much of it lets the next turn do without: a handler that spawns 100,000
   * children asks for the next 500 before the loop comes round, and nothing else would ever get room.
   */
  #spawnRows = 0;
  /** Tasks that a cancel is about of which nobody knows whether it was carried out: their graphs say, also when they have ended. */
  readonly #doubts = new Map<number, number>();
  completed = 0;
  failed = 0;
  retried = 0;
  late = 0;

  constructor(parts: EngineParts) {
    this.#p = parts;
    this.inbox = new Inbox('result_processor', parts.config.channels.resultProcessor);
  }

  get waiting(): boolean {
    return this.inbox.depth > 0;
  }

  fill(turn: Turn): void {
    if (this.inbox.depth === 0) return;
    const begun = this.#p.host.ticks();
    const waiting: ResultCommand[] = [];
    let verbs: ResultCommand[] | null = null;
    let handled = 0;
    // Results and checkpoints first, verbs after: a result that is present beats its own cancel (design.md §3).
    const half = this.#p.config.turn.maxRows / 2;
    const yields = this.#spawnRows >= half;
    this.#spawnRows = 0;
    let behind: Set<string> | null = null;
    while (this.inbox.depth > 0 && turn.room) {
      const c = this.inbox.take()!;
      if (c.kind === 'spawn' && (yields || this.#spawnRows >= half)) {
        waiting.push(c);
        turn.more = true;
        (behind ??= new Set()).add(attemptOf(c));
        continue;
      }
      // What an attempt says after a spawn that waits is not decided before it.
      if (behind !== null && (c.kind === 'result' || c.kind === 'checkpoint' || c.kind === 'spawn') && behind.has(attemptOf(c))) {
        waiting.push(c);
        continue;
      }
      const before = turn.out.weight;
      if (c.kind === 'result' || c.kind === 'checkpoint' || c.kind === 'spawn') {
        if (this.#decide(turn, c)) {
          this.#taken.push(c);
          handled++;
          if (c.kind === 'spawn') this.#spawnRows += turn.out.weight - before;
        } else waiting.push(c);
      } else (verbs ??= []).push(c);
    }
    if (verbs !== null) {
      for (const c of verbs) {
        if (this.#decide(turn, c)) {
          this.#taken.push(c);
          handled++;
        } else waiting.push(c);
      }
    }
    this.inbox.putBack(waiting);
    this.inbox.handled += handled;
    this.inbox.timeMs += this.#p.host.ticks() - begun;
  }

  settle(): void {
    for (const c of this.#taken) this.#forget(c);
    this.#taken = [];
  }

  /** Is this graph needed though its task may have ended? */
  wants(g: TaskGraph): boolean {
    return this.#doubts.has(g.id);
  }

  /** The command is dealt with: a graph that was kept for it alone may go. */
  #forget(c: ResultCommand): void {
    if (c.doubtful !== true || !isCancel(c)) return;
    const left = (this.#doubts.get(c.task) ?? 1) - 1;
    if (left > 0) this.#doubts.set(c.task, left);
    else {
      this.#doubts.delete(c.task);
      const g = this.#p.graphs.get(c.task);
      if (g !== undefined && isSettled(g)) this.#p.graphs.drop(g);
    }
  }

  undo(doubtful: boolean): void {
    if (doubtful) {
      for (const c of this.#taken) {
        if (isCancel(c) && c.doubtful !== true) this.#doubts.set(c.task, (this.#doubts.get(c.task) ?? 0) + 1);
        c.doubtful = true;
      }
    }
    this.inbox.handled -= this.#taken.length;
    this.inbox.putBack(this.#taken);
    this.#taken = [];
  }

  abandon(e: TuttiError): void {
    for (const c of this.#taken) {
      if (c.kind === 'checkpoint') c.done(e);
      else if (c.kind === 'spawn') c.done([], e);
      else if (c.kind !== 'result') c.done(null, e);
      this.#forget(c);
    }
    this.#taken = [];
  }

  /** Results are kept until they can be written; only those who asked for something are told. */
  refuse(e: TuttiError): void {
    const keep: ResultCommand[] = [];
    for (let c = this.inbox.take(); c !== undefined; c = this.inbox.take()) {
      if (c.kind === 'result') keep.push(c);
      else if (c.kind === 'checkpoint') c.done(e);
      else if (c.kind === 'spawn') c.done([], e);
      else c.done(null, e);
      this.#forget(c);
    }
    this.inbox.putBack(keep);
  }

  /** False: its graph has to be read first. */
  #decide(turn: Turn, c: ResultCommand): boolean {
    const g = this.#p.graphs.get(c.task);
    if (c.kind === 'remove') {
      turn.out.changes.removals.push(c.task);
      turn.out.weight += 8;
      turn.replies.push(() => c.done(null, null));
      return true;
    }
    if (g === undefined) {
      if (c.kind === 'result' && (c.stray || this.#p.dispatcher.active(c.task, c.no)?.token !== c.token)) {
        this.late++;
        return true;
      }
      if (this.#p.absent.delete(c.task)) return this.#gone(turn, c);
      turn.missing.add(c.task);
      return false;
    }
    // What a large submission or reset brings about comes first.
    if (g.arriving >= 0 || g.reopening !== null) return false;
    switch (c.kind) {
      case 'result': {
        this.#result(turn, g, c);
        return true;
      }
      case 'checkpoint': {
        const live = g.live.get(c.no);
        if (live === undefined || live.token !== c.token || live.stopping) {
          turn.replies.push(() => c.done(new TuttiError('ILLEGAL_STATE', 'The attempt is no longer live: its checkpoint was not kept.')));
          return true;
        }
        turn.out.changes.checkpoints.push({ task: c.task, no: c.no, token: c.token, at: turn.out.now, body: c.body });
        turn.out.weight++;
        turn.replies.push(() => c.done(null));
        return true;
      }
      case 'spawn': {
        const { length } = turn.out.changes.payloads;
        turn.replies.push(decideSpawn(turn.out, g, c, (task, no) => stepUuid(task, no, this.#p.store.tag)));
        this.#keepInputs(turn, g, length);
        return true;
      }
      case 'cancel_step': {
        const state = g.state[c.no];
        if (cancelOne(turn.out, g, c.no, c.message)) turn.replies.push(() => c.done(g, null));
        else if (c.doubtful && state === Step.cancelled) turn.replies.push(() => c.done(g, null));
        else turn.replies.push(() => c.done(null, stepEnded(g, c.no, state)));
        return true;
      }
      case 'execute': {
        if (executeTask(turn.out, g) || c.doubtful) turn.replies.push(() => c.done(g, null));
        else
          turn.replies.push(() =>
            c.done(null, new TuttiError('ILLEGAL_STATE', 'The task is running already.', { details: { state: TASK_STATES[g.taskState] } })),
          );
        return true;
      }
      case 'add': {
        if (isTaskTerminal(g.taskState)) {
          turn.replies.push(() => c.done(null, ended(g.taskState, g.policy)));
          return true;
        }
        const nodes = c.make(g, c.doubtful === true);
        if (typeof nodes === 'number') turn.replies.push(() => c.done(g, null, nodes));
        else if (nodes instanceof TuttiError) turn.replies.push(() => c.done(null, nodes));
        else {
          const { length } = turn.out.changes.payloads;
          const first = addNodes(turn.out, g, nodes, 0);
          this.#keepInputs(turn, g, length);
          turn.replies.push(() => c.done(g, null, first));
        }
        return true;
      }
      case 'reset': {
        // Rows of many steps that ended by implication are being written, a part a turn.
        if (g.debts.length > IMPLIED_ABOVE) return false;
        const rows = Math.min(REOPENED_AT_ONCE, this.#p.config.turn.maxRows);
        let plan: ResetPlan | TuttiError | undefined = c.plan;
        if (plan === undefined || !planHolds(plan, g)) {
          plan = c.no === null ? planTask(g) : planStep(g, c.no);
          // A large one is planned in one turn and carried out in the next, if the plan still holds then.
          if (!(plan instanceof TuttiError) && plan.rerun.again.size > rows && c.plan === undefined) {
            c.plan = plan;
            turn.more = true;
            return false;
          }
        }
        if (!(plan instanceof TuttiError)) carryOut(turn.out, plan, rows);
        const refused = plan instanceof TuttiError && !(c.doubtful && !isTaskTerminal(g.taskState)) ? plan : null;
        turn.replies.push(() => (refused === null ? c.done(g, null) : c.done(null, refused)));
        return true;
      }
      case 'cancel': {
        const was = g.taskState;
        if (cancelTask(turn.out, g, c.message)) turn.replies.push(() => c.done(g, null));
        else if (c.doubtful && was === Task.cancelled) turn.replies.push(() => c.done(g, null));
        else turn.replies.push(() => c.done(null, ended(was, g.policy)));
        return true;
      }
      case 'patch': {
        const was = g.taskState;
        if (patchTask(turn.out, g, c.patch)) turn.replies.push(() => c.done(g, null));
        else turn.replies.push(() => c.done(null, ended(was, g.policy)));
        return true;
      }
      default:
        return c satisfies never;
    }
  }

  /** Inputs of steps that will probably start at once. */
  #keepInputs(turn: Turn, g: TaskGraph, from: number): void {
    // What this command added, not all that the turn has: many parents may spawn one child each.
    const fresh = turn.out.changes.payloads.slice(from).filter((p) => p.task === g.id && p.token === 0 && p.no >= 0);
    if (fresh.length === 0) return;
    turn.replies.push(() => {
      for (const p of fresh) this.#p.payloads.putResult(g.id, p.no, 0, p.body);
    });
  }

  /** Its task ended, or was removed, while the command was waiting. */
  #gone(turn: Turn, c: Exclude<ResultCommand, { kind: 'remove' }>): boolean {
    const e = new TuttiError('ILLEGAL_STATE', 'The task has ended.');
    if (c.kind === 'result') {
      this.late++;
      const a = this.#p.dispatcher.release(c.task, c.no, c.token);
      if (a !== undefined) turn.released.push(a);
    } else if (c.kind === 'checkpoint') turn.replies.push(() => c.done(e));
    else if (c.kind === 'spawn') turn.replies.push(() => c.done([], e));
    else if (c.doubtful) turn.replies.push(() => c.done(null, null));
    else turn.replies.push(() => c.done(null, e));
    return true;
  }

  #result(turn: Turn, g: TaskGraph, c: Extract<ResultCommand, { kind: 'result' }>): void {
    const { out } = turn;
    if (!Number.isSafeInteger(c.token) || !(c.no >= 0 && c.no < g.size)) {
      turn.replies.push(() => this.late++);
      return;
    }
    const live = g.live.get(c.no);
    const stopping = live?.stopping === true;
    if (c.doubtful && live === undefined && g.token[c.no] === c.token && isStepTerminal(g.state[c.no])) {
      // It was counted by the commit that was reported failed.
      turn.replies.push(() => (g.state[c.no] === Step.complete ? this.completed++ : this.failed++));
      return;
    }
    if (c.stray || !finishAttempt(out, g, c.no, c.token, c.outcome)) {
      if (!isTaskTerminal(g.taskState)) out.event(g, attemptEvent(c.no, c.token, 'late'));
      turn.replies.push(() => this.late++);
      return;
    }
    if (stopping) return;
    const state = g.state[c.no];
    if (state === Step.complete && c.outcome.ok) {
      const { body } = c.outcome;
      turn.replies.push(() => {
        this.completed++;
        if (g.shape.wanted[c.no] === 1) this.#p.payloads.putResult(g.id, c.no, c.token, body);
      });
    } else if (!isStepTerminal(state)) turn.replies.push(() => this.retried++);
    else turn.replies.push(() => this.failed++);
  }
}

const isCancel = (c: ResultCommand): boolean => c.kind === 'cancel' || c.kind === 'cancel_step';

const attemptOf = (c: { task: number; no: number; token: number }): string => `${c.task}.${c.no}.${c.token}`;

function stepEnded(g: TaskGraph, no: number, state: number): TuttiError {
  if (isAbsent(state)) return new TuttiError('ILLEGAL_STATE', `The step ${g.shape.names[no]} was not taken.`);
  return new TuttiError('ILLEGAL_STATE', `The step has ended: ${STEP_STATES[state]}.`, {
    details: { state: STEP_STATES[state], current_status: simpleStatus(state as StepState) },
  });
}

function ended(state: number, policy: string): TuttiError {
  return new TuttiError('ILLEGAL_STATE', `The task has ended: ${TASK_STATES[state]}.`, {
    details: { state: TASK_STATES[state], legal: endedTaskVerbs(state, policy) },
  });
}
