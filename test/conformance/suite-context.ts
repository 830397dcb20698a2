/** What the parts of the store suite share: the store under test, made anew for every test. */
import assert from 'node:assert/strict';
import type { ChangeSet } from '../../src/core/changes.ts';
import { type Store, type StoredStep, StoreFailure } from '../../src/store/store.ts';

export interface OpenedStore {
  store: Store;
  /** Closes the store and opens the same data again; absent where data ends with the store. */
  again?(): Promise<Store>;
  cleanup(): Promise<void>;
}

export interface SuiteContext {
  opened: OpenedStore;
  store: Store;
  test(title: string, run: () => Promise<void>): void;
  commit(fill: (c: ChangeSet) => void): Promise<void>;
  steps(task: number): Promise<StoredStep[]>;
}

export const failsWith = async (kind: StoreFailure['kind'], run: () => unknown): Promise<StoreFailure> => {
  let caught: unknown;
  try {
    await run();
  } catch (e) {
    caught = e;
  }
  assert.ok(caught instanceof StoreFailure, `expected a StoreFailure, got ${String(caught)}`);
  assert.equal(caught.kind, kind, caught.message);
  return caught;
};
