/** Opens the writer's connection with the settings that were measured (docs/adr: SQLite embedded). */
import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { TuttiError } from '../../core/errors.ts';

export const PAGE_SIZE = 8192;
/** Pages in the WAL after which a commit also checkpoints. */
const CHECKPOINT_PAGES = 2000;
/** A frame of the WAL is a page and 24 bytes; a turn may overshoot the checkpoint by its own pages. */
const WAL_PAGES = CHECKPOINT_PAGES + 400;
const PAD_PAGES = 16;
/** Milliseconds to wait for a program that writes to our file. Longer waits would stall the engine's thread. */
const BUSY_MS = 50;

export const isMemory = (path: string): boolean => path === ':memory:';

const pragma = (db: DatabaseSync, name: string): string | number => {
  const row = db.prepare(`pragma ${name}`).get() as Record<string, string | number>;
  return Object.values(row)[0];
};

/**
 * `maxPages`: the file may not grow beyond; absent: no limit. `inspect` reads the file before anything is written to it, and throws
 * to have it left as it is.
 */
export const openConnection = (path: string, maxPages?: number, inspect?: (db: DatabaseSync) => void): DatabaseSync => {
  const db = new DatabaseSync(path);
  try {
    db.exec(`pragma busy_timeout = 2000; pragma page_size = ${PAGE_SIZE}`);
    inspect?.(db);
    db.exec(`pragma journal_mode = wal; pragma synchronous = full;
      pragma wal_autocheckpoint = ${CHECKPOINT_PAGES}; pragma journal_size_limit = -1; pragma foreign_keys = on;
      pragma cache_size = -16384; pragma temp_store = memory; pragma trusted_schema = off`);
    const mode = pragma(db, 'journal_mode');
    if (mode !== 'wal' && !isMemory(path)) {
      throw new TuttiError('STORE_UNUSABLE', `the store file ${path} cannot use a write-ahead log (journal mode stays ${mode}); put it on a local disk`, {
        field: 'store',
        details: { path },
      });
    }
    if (maxPages !== undefined) db.exec(`pragma max_page_count = ${maxPages}`);
    db.exec(`pragma busy_timeout = ${BUSY_MS}`);
    return db;
  } catch (e) {
    db.close();
    throw e;
  }
};

/** What the connection really runs with, read back. */
export const describeConnection = (db: DatabaseSync): string => {
  const { v } = db.prepare('select sqlite_version() as v').get() as { v: string };
  const synchronous = ['OFF', 'NORMAL', 'FULL', 'EXTRA'][Number(pragma(db, 'synchronous'))];
  return `sqlite ${v} ${pragma(db, 'journal_mode')} synchronous=${synchronous} page ${pragma(db, 'page_size')}`;
};

/**
 * A commit that appends to a growing WAL makes the file system write the file's new size too, and takes nearly twice as long. So the
 * WAL is filled once before serving: a few pages are overwritten until the log has its full length, then a RESTART checkpoint makes
 * the next commit begin at its head (TRUNCATE would undo the work). The flushes of these writes are left out: the checkpoint
 * flushes the log before it copies anything. A kill in between leaves a table that the next start drops.
 */
export const growWal = (db: DatabaseSync, path: string): void => {
  const pageSize = Number(pragma(db, 'page_size'));
  const wanted = WAL_PAGES * (pageSize + 24);
  const have = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (have < wanted) {
    db.exec('pragma wal_autocheckpoint = 0; pragma synchronous = off');
    try {
      // Each time other bytes: SQLite writes no page that would stay as it is.
      const blobs = [1, 2].map((byte) => new Uint8Array(PAD_PAGES * pageSize).fill(byte));
      db.exec('drop table if exists wal_padding; create table wal_padding(b blob); insert into wal_padding values (null)');
      const fill = db.prepare('update wal_padding set b = ?');
      for (let i = 0; i * PAD_PAGES < WAL_PAGES; i++) fill.run(blobs[i % 2]);
      db.exec('drop table wal_padding');
    } finally {
      db.exec(`pragma synchronous = full; pragma wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    }
  }
  db.exec('pragma wal_checkpoint(restart)');
};
