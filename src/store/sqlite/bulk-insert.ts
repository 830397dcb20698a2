/**
 * Inserts of up to eight rows per statement: each call into SQLite costs about as much as a row, and beyond eight rows nothing more
 * is gained. The caller puts the values of a row straight into `args` and then calls `next`; nothing is allocated per row.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';

const ROWS = 8;

export class BulkInsert {
  /** Where the caller writes, from `at` on. */
  readonly args: SQLInputValue[];
  at = 0;
  readonly #columns: number;
  readonly #full: number;
  readonly #sql: (rows: number) => string;
  readonly #db: DatabaseSync;
  readonly #eight: StatementSync;
  /** Statements for a last group of 1..7 rows, made when first needed. */
  readonly #tails: (StatementSync | undefined)[] = [];

  /** `into` is such as `log(task, seq)`; the number of columns is counted from it. */
  constructor(db: DatabaseSync, into: string) {
    this.#db = db;
    this.#columns = into.split(',').length;
    this.#full = this.#columns * ROWS;
    this.args = new Array<SQLInputValue>(this.#full).fill(null);
    const row = `(${new Array<string>(this.#columns).fill('?').join(', ')})`;
    this.#sql = (rows) => `insert or rollback into ${into} values ${new Array<string>(rows).fill(row).join(', ')}`;
    this.#eight = db.prepare(this.#sql(ROWS));
  }

  /** A row is complete. */
  next(): void {
    if (this.at < this.#full) return;
    this.at = 0;
    this.#eight.run(...this.args);
  }

  /** Writes what is left. */
  flush(): void {
    if (this.at === 0) return;
    const rows = this.at / this.#columns;
    const statement = (this.#tails[rows] ??= this.#db.prepare(this.#sql(rows)));
    const args = this.args.slice(0, this.at);
    this.at = 0;
    statement.run(...args);
  }
}
