/** The part of a store that keeps plans, their batches, and resources with their items. Writes are members of a ChangeSet. */
import type { Plan, PlanBatch } from '../core/plan.ts';
import type { Awaitable } from './store.ts';

export interface StoredResource {
  incarnation: number;
  id: string;
  kind: string;
  version: number;
  createdAt: number;
  /** JSON text. */
  body: string;
}

export interface StoredItem {
  key: string;
  version: number;
  /** JSON text. */
  body: string;
}

export interface PlanStore {
  /** Plans that have not ended, one-shot runs among them, by number. */
  livePlans(): Awaitable<Plan[]>;
  planById(planId: string): Awaitable<Plan | null>;
  planByNumber(id: number): Awaitable<Plan | null>;
  /** No one-shot runs. `newest`: last first; else in the order they were made. */
  plansOf(q: { resource?: string; taskType?: string; newest: boolean; limit: number }): Awaitable<Plan[]>;
  /** Ids only, in the order they were made. */
  planIds(q: { resource: string; taskType: string }): Awaitable<string[]>;
  /** In their order, from `seq` on. */
  planBatches(q: { plan: number; from: number; limit: number }): Awaitable<PlanBatch[]>;
  /** The batch whose task this is. */
  batchOfTask(task: number): Awaitable<PlanBatch | null>;
  /** Ended plans that may go: ended before `before`, or beyond the newest `keep`; never one with an open dead letter. */
  endedPlans(q: { before: number; keep: number; limit: number }): Awaitable<number[]>;
  /** Resources that have plans, each once. */
  plannedResources(): Awaitable<string[]>;
  stoppedQueues(): Awaitable<string[]>;
  /** Highest numbers that were ever given; 0: none. */
  planHighs(): Awaitable<{ plan: number; resource: number }>;

  resource(id: string): Awaitable<StoredResource | null>;
  resources(q: { kind?: string; after?: string; limit: number }): Awaitable<StoredResource[]>;
  /** In the order of their keys. */
  items(q: { resource: number; prefix?: string; after?: string; limit: number }): Awaitable<StoredItem[]>;
  /** Versions in the order of the keys; null where there is none. */
  itemVersions(q: { resource: number; keys: readonly string[] }): Awaitable<(number | null)[]>;
}
