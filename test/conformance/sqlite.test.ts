import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { NOW } from './store-rows.ts';
import { storeSuite } from './store.suite.ts';
import type { OpenedStore } from './suite-context.ts';

const now = (): number => NOW;

storeSuite('sqlite in memory', async (): Promise<OpenedStore> => {
  const store = SqliteStore.open({ path: ':memory:', now, tag: 42 });
  return { store, cleanup: () => store.close() };
});

storeSuite('sqlite file', async (): Promise<OpenedStore> => {
  const directory = mkdtempSync(join(tmpdir(), 'tutti-store-'));
  const path = join(directory, 'store.db');
  let store = SqliteStore.open({ path, now, tag: 2 ** 38 - 1, growLog: false });
  return {
    store,
    again: async () => {
      await store.close();
      store = SqliteStore.open({ path, now, tag: 7, growLog: false });
      return store;
    },
    cleanup: async () => {
      await store.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
});
