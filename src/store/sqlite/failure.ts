/** Turns what `node:sqlite` throws into the two errors that callers know: StoreFailure for verbs, TuttiError for opening. */
import { TuttiError } from '../../core/errors.ts';
import { StoreFailure } from '../store.ts';

const PERM = 3;
const BUSY = 5;
const LOCKED = 6;
const NOMEM = 7;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const PROTOCOL = 15;
const CONSTRAINT = 19;
const AUTH = 23;
const NOTADB = 26;

/** Extended codes: the row that was to be new exists, or the task it hangs on does not. Both say that the writer's picture is old. */
const FOREIGN_KEY = CONSTRAINT | (3 << 8);
const PRIMARY_KEY = CONSTRAINT | (6 << 8);
const UNIQUE = CONSTRAINT | (8 << 8);
const ROWID = CONSTRAINT | (10 << 8);
const STALE = new Set([FOREIGN_KEY, PRIMARY_KEY, UNIQUE, ROWID]);

/** The extended SQLite result code, or 0 where the error is not SQLite's. */
export const sqliteCode = (e: unknown): number => {
  const code = (e as { errcode?: unknown } | null)?.errcode;
  return typeof code === 'number' ? code : 0;
};

const kindOf = (code: number): StoreFailure['kind'] => {
  switch (code & 0xff) {
    case BUSY:
    case LOCKED:
    case PROTOCOL:
      return 'busy';
    case FULL:
      return 'full';
    case CORRUPT:
    case NOTADB:
      return 'corrupt';
    case READONLY:
    case PERM:
    case AUTH:
      return 'readonly';
    case IOERR:
    case CANTOPEN:
    case NOMEM:
      return 'io';
    case CONSTRAINT:
      return STALE.has(code) ? 'conflict' : 'invalid';
    default:
      return 'invalid';
  }
};

/** `applied` is what is known about the transaction at that moment. A StoreFailure passes through. */
export const toStoreFailure = (e: unknown, applied: false | 'unknown'): StoreFailure => {
  if (e instanceof StoreFailure) return e;
  const code = sqliteCode(e);
  const text = e instanceof Error ? e.message : String(e);
  return new StoreFailure(kindOf(code), applied, code === 0 ? text : `${text} (sqlite ${code})`, e);
};

/** For the way up: `doing` is a clause such as `cannot be opened`. */
export const toUnusable = (path: string, e: unknown): TuttiError => {
  if (e instanceof TuttiError) return e;
  const code = sqliteCode(e);
  const details = { path, sqlite: code };
  const because = (why: string) => new TuttiError('STORE_UNUSABLE', `the store file ${path} ${why}`, { field: 'store', details, cause: e });
  const text = e instanceof Error ? e.message : String(e);
  switch (code & 0xff) {
    case NOTADB:
      return because('is not an SQLite database (or it is encrypted); name another file');
    case CORRUPT:
      return because('is corrupt; restore it from a backup, or recover what is readable with `sqlite3 FILE .recover`');
    case READONLY:
    case PERM:
      return because('is read-only; the process needs to write the file and its directory');
    case FULL:
      return because('cannot be written: the disk is full');
    case CANTOPEN:
      return because('cannot be opened; check that its directory exists and that the process may write there');
    case BUSY:
    case LOCKED:
      return because('is held by another program that writes to it; close that program');
    default:
      return because(`cannot be used: ${text}`);
  }
};
