/**
 * Brings a file to the newest schema: one transaction per step, its version row first, so that a file is at one version or the
 * next and never between. A file of a newer Tutti, or of another program, is refused untouched.
 */
import type { DatabaseSync } from 'node:sqlite';
import { TuttiError } from '../../core/errors.ts';
import { initial } from './migrations/001-initial.ts';
import { stateIndexes } from './migrations/002-state-indexes.ts';
import { liveGraphs } from './migrations/003-live-graphs.ts';
import { plans } from './migrations/004-plans.ts';
import { schedules } from './migrations/005-schedules.ts';
import { reruns } from './migrations/006-reruns.ts';

export interface Migration {
  /** From 1, without gaps. */
  version: number;
  name: string;
  /** Statements; run inside a transaction that the runner opens. */
  sql: string;
}

export const MIGRATIONS: readonly Migration[] = [initial, stateIndexes, liveGraphs, plans, schedules, reruns];

const refuse = (path: string, message: string): never => {
  throw new TuttiError('STORE_UNUSABLE', `the store file ${path} ${message}`, { field: 'store', details: { path } });
};

const count = (db: DatabaseSync, where: string): number =>
  Number((db.prepare(`select count(*) as n from sqlite_schema where ${where}`).get() as { n: number }).n);

/** The schema version of the file; 0 for an empty one. Only reads, and refuses what this version must not write to. */
export const schemaVersion = (db: DatabaseSync, path: string, migrations: readonly Migration[] = MIGRATIONS): number => {
  if (count(db, `type = 'table' and name = 'schema_versions'`) === 0) {
    if (count(db, `name not like 'sqlite_%'`) > 0) refuse(path, 'is an SQLite database of another program; name another file');
    return 0;
  }
  const found = Number((db.prepare('select coalesce(max(version), 0) as v from schema_versions').get() as { v: number }).v);
  const newest = migrations.length;
  if (found > newest) {
    refuse(path, `has schema ${found}, and this version of Tutti knows schemas up to ${newest}; use a newer Tutti, the file was not touched`);
  }
  return found;
};

/** Returns the version the file had before. */
export const migrate = (db: DatabaseSync, path: string, now: number, migrations: readonly Migration[] = MIGRATIONS): number => {
  const found = schemaVersion(db, path, migrations);
  for (const { version, name, sql } of migrations.slice(found)) {
    db.exec('begin immediate');
    try {
      if (version === 1) db.exec('create table schema_versions(version integer primary key, name text not null, applied_at integer not null) strict');
      db.prepare('insert into schema_versions(version, name, applied_at) values(?, ?, ?)').run(version, name, now);
      db.exec(sql);
      db.exec('commit');
    } catch (e) {
      if (db.isTransaction) db.exec('rollback');
      throw e;
    }
  }
  return found;
};
