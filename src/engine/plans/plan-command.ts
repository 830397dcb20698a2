/** What enters a turn about plans and resources. Ids, tokens and versions are in it before it is decided once. */
import type { ItemWrite, ResourceWrite } from '../../core/changes.ts';
import type { BatchEnd } from '../../core/decide-plan.ts';
import type { Submission } from '../../core/decide-task.ts';
import type { TuttiError } from '../../core/errors.ts';
import type { Plan } from '../../core/plan.ts';
import type { PlanAnswer } from '../plan-port.ts';

/** Writes of items whose versions were looked up when the resource was at `revision`: valid as long as it still is. */
export interface PreparedItems {
  id: string;
  resource: number;
  revision: number;
  writes: readonly ItemWrite[];
}

export interface TickMark {
  schedule: number;
  at: number;
}

export type Done = (e: TuttiError | null) => void;

/**
 * `doubtful`: a commit that held it had an unknown outcome, so it may have been carried out already. `passes`: a one-shot run that a live plan
 * does not hold up.
 */
export type PlanCommand = { doubtful?: boolean } /** All of them, or none. */ & (
  | { kind: 'create'; plans: readonly { plan: Plan; passes: boolean }[]; tick: TickMark | null; done: Done }
  | { kind: 'answer'; plan: number; token: number; answer: PlanAnswer; submission: Submission | null; items: PreparedItems | null }
  | { kind: 'abort'; plan: number; message: string; done: Done }
  /** Begin what is due. */
  | { kind: 'poke'; plan: number }
  /** The open batch's task has ended, or is gone, and the turn in which it did had no plan. */
  | { kind: 'end_batch'; plan: number; end: BatchEnd }
  | { kind: 'queue'; taskType: string; stopped: boolean; done: Done }
  | { kind: 'resource'; write: ResourceWrite; done: Done }
  /** `incarnation` null: only its plans. */
  | { kind: 'drop'; resource: string; incarnation: number | null; done: Done }
  | { kind: 'items'; items: PreparedItems; done: Done }
);
