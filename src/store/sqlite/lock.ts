/**
 * One process owns a store file. The lock is a side file in which a transaction stays open for the life of the store: the kernel
 * frees it with the process, kill -9 included, so no stale lock can exist. The side file is never deleted: two processes could
 * then hold locks on two files of the same name. The store file itself stays free for readers beside the owner.
 */
import { DatabaseSync } from 'node:sqlite';
import { TuttiError } from '../../core/errors.ts';
import { sqliteCode, toUnusable } from './failure.ts';

export class FileLock {
  readonly path: string;
  readonly #db: DatabaseSync;

  private constructor(path: string, db: DatabaseSync) {
    this.path = path;
    this.#db = db;
  }

  /** Throws TuttiError STORE_LOCKED where another owner lives, STORE_UNUSABLE where the side file cannot be made. */
  static take(storePath: string): FileLock {
    const path = `${storePath}-lock`;
    let db: DatabaseSync | undefined;
    try {
      db = new DatabaseSync(path);
      db.exec('pragma busy_timeout = 0; begin exclusive');
      return new FileLock(path, db);
    } catch (e) {
      db?.close();
      const code = sqliteCode(e) & 0xff;
      if (code === 5 || code === 6) {
        throw new TuttiError('STORE_LOCKED', `the store file ${storePath} is in use by another Tutti process; stop that one, or name another file`, {
          field: 'store',
          details: { path: storePath, lock: path },
          cause: e,
        });
      }
      throw toUnusable(storePath, e);
    }
  }

  release(): void {
    this.#db.close();
  }
}
