/** What enters a turn, by inbox. Everything a command needs to be decided twice (ids, tokens) is in it before it is decided once. */
import type { Submission } from '../core/decide-task.ts';
import type { TuttiError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import type { NewNode } from '../core/grow.ts';
import type { ResetPlan } from '../core/reset.ts';
import type { SpawnCommand } from './spawns.ts';
import type { DueTimer } from './timers.ts';
import type { AttemptOutcome } from './worker-port.ts';

export interface SubmitCommand {
  submission: Submission;
  /** A commit that held it had an unknown outcome: look whether the task exists before deciding again. */
  doubtful: boolean;
  done(g: TaskGraph | null, e: TuttiError | null): void;
}

/** `doubtful`: a commit that held it had an unknown outcome, so it may have been carried out already. */
export type ResultCommand = { doubtful?: boolean } /** `stray`: no attempt that holds a slot had this token when it came. It never counts (I4). */ & (
  | { kind: 'result'; task: number; no: number; token: number; outcome: AttemptOutcome; stray: boolean }
  | { kind: 'checkpoint'; task: number; no: number; token: number; body: string; done(e: TuttiError | null): void }
  | SpawnCommand
  /** Ends one step. */
  | { kind: 'cancel_step'; task: number; no: number; message: string; done(g: TaskGraph | null, e: TuttiError | null): void }
  /** Lets a task run that was stored without being let. */
  | { kind: 'execute'; task: number; done(g: TaskGraph | null, e: TuttiError | null): void }
  /** Adds steps to a task that has not ended; `make` gives them for the graph as it is then, or the number of the first where they are in it already. */
  | {
      kind: 'add';
      task: number;
      make(g: TaskGraph, doubtful: boolean): readonly NewNode[] | TuttiError | number;
      done(g: TaskGraph | null, e: TuttiError | null, first?: number): void;
    }
  /** Runs again what failed, or this step. `plan`: a turn before has found out what that is. */
  | { kind: 'reset'; task: number; no: number | null; plan?: ResetPlan; done(g: TaskGraph | null, e: TuttiError | null): void }
  | { kind: 'cancel'; task: number; message: string; done(g: TaskGraph | null, e: TuttiError | null): void }
  | { kind: 'patch'; task: number; patch: { priority?: number; tags?: string[] }; done(g: TaskGraph | null, e: TuttiError | null): void }
  | { kind: 'remove'; task: number; done(g: TaskGraph | null, e: TuttiError | null): void }
);

export type EnqueueCommand = { kind: 'timer'; timer: DueTimer };

export type FinalizeCommand =
  /** A graph that was read (start, miss): take up what is ready, lose what ran elsewhere, see what the task is now. */
  | { kind: 'adopt'; graph: TaskGraph }
  /** The next chunk of an arriving submission. */
  | { kind: 'arrive'; task: number; submit: SubmitCommand }
  /** Steps that one decision made ready beyond what a turn takes. */
  | { kind: 'backlog'; task: number }
  /** Rows of steps that ended by implication. */
  | { kind: 'debts'; task: number }
  /** Rows of a large reset. */
  | { kind: 'reopen'; task: number };
