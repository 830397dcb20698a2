/**
 * What every Store must do, whatever it is made of. A store's test file calls `storeSuite` with a way to open an empty one.
 * Nothing here knows SQL, files or connections.
 */
import { afterEach, beforeEach, describe, it } from 'node:test';
import { commitSuite } from './store-commit.suite.ts';
import { copiesSuite } from './store-copies.suite.ts';
import { listsSuite } from './store-lists.suite.ts';
import { logSuite } from './store-log.suite.ts';
import { plansSuite } from './store-plans.suite.ts';
import { readsSuite } from './store-reads.suite.ts';
import { resourcesSuite } from './store-resources.suite.ts';
import { changes } from './store-rows.ts';
import { schedulesSuite } from './store-schedules.suite.ts';
import type { OpenedStore, SuiteContext } from './suite-context.ts';

/** Titles of tests that a store leaves out, with the reason. */
export type Skips = Record<string, string>;

export const storeSuite = (name: string, open: () => Promise<OpenedStore>, skips: Skips = {}): void => {
  describe(`store: ${name}`, () => {
    // Filled before each test; the parts read it inside their tests only.
    const t = {
      test: (title: string, run: () => Promise<void>): void => void it(title, { skip: skips[title] ?? false }, run),
      commit: async (fill): Promise<void> => t.store.commit(changes(fill)),
      steps: async (task) => (await t.store.loadGraphs([task]))[0].steps,
    } as SuiteContext;

    beforeEach(async () => {
      t.opened = await open();
      t.store = t.opened.store;
    });
    afterEach(async () => {
      await t.opened.cleanup();
    });

    commitSuite(t);
    readsSuite(t);
    listsSuite(t);
    logSuite(t);
    copiesSuite(t);
    schedulesSuite(t);
    plansSuite(t);
    resourcesSuite(t);
  });
};
