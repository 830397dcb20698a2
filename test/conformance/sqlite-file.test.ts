/** What only a store in a file has: an owner, a schema that grows, a disk that fails. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { ErrorCode, TuttiError } from '../../src/core/errors.ts';
import { MIGRATIONS, type Migration } from '../../src/store/sqlite/migrations.ts';
import { type SqliteOptions, SqliteStore } from '../../src/store/sqlite/store.ts';
import { arrival, BASE, changes, NOW, stepWrite, taskRow } from './store-rows.ts';
import { failsWith } from './suite-context.ts';

let directory: string;
let path: string;
const opened: SqliteStore[] = [];
const children: ChildProcess[] = [];

const open = (over: Partial<SqliteOptions> = {}): SqliteStore => {
  const store = SqliteStore.open({ path, now: () => NOW, tag: 42, ...over });
  opened.push(store);
  return store;
};

const refused = (code: ErrorCode, message: RegExp, run: () => unknown): void => {
  assert.throws(run, (e: TuttiError) => {
    assert.equal(e.name, 'TuttiError', String(e));
    assert.equal(e.code, code);
    assert.match(e.message, message);
    return true;
  });
};

/** Runs `body` in another process; it has `open()`, `say()` and the rows of store-rows.ts. */
const child = (body: string, wrap: (argv: string[]) => string[] = (argv) => argv): ChildProcess => {
  const at = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href);
  const source = `
    import { SqliteStore } from ${at('../../src/store/sqlite/store.ts')};
    import { arrival, BASE, changes, NOW } from ${at('./store-rows.ts')};
    const open = () => SqliteStore.open({ path: ${JSON.stringify(path)}, now: () => NOW, tag: 42 });
    const say = (value) => process.stdout.write(JSON.stringify(value) + '\\n');
    ${body}`;
  const [command, ...args] = wrap([process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', source]);
  const started = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(started);
  return started;
};

const firstLine = async (from: ChildProcess): Promise<unknown> => {
  let text = '';
  for await (const chunk of from.stdout ?? []) {
    text += String(chunk);
    if (text.includes('\n')) break;
  }
  return JSON.parse(text.slice(0, text.indexOf('\n')));
};

const bytes = (): string => createHash('sha256').update(readFileSync(path)).digest('hex');

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tutti-file-'));
  path = join(directory, 'store.db');
});

afterEach(async () => {
  for (const c of children.splice(0)) {
    if (c.exitCode !== null || c.signalCode !== null) continue;
    c.kill('SIGKILL');
    await once(c, 'exit');
  }
  for (const store of opened.splice(0)) await store.close();
  rmSync(directory, { recursive: true, force: true });
});

describe('one process owns the file', () => {
  it('a second open in this process is refused, also by another name', async () => {
    const store = open();
    refused('STORE_LOCKED', /store\.db is in use by another Tutti process/, () => open());
    symlinkSync(path, join(directory, 'alias.db'));
    refused('STORE_LOCKED', /in use/, () => open({ path: join(directory, 'alias.db') }));
    store.commit(arrival(BASE));
    await store.close();
    assert.equal(open().loadTask(BASE)?.id, BASE);
  });

  it('a second process is refused, and served after kill -9 of the owner', async () => {
    const owner = child(`const store = open(); store.commit(arrival(BASE)); say('ready'); setInterval(() => {}, 1000);`);
    assert.equal(await firstLine(owner), 'ready');
    refused('STORE_LOCKED', /store\.db/, () => open());
    const gone = once(owner, 'exit');
    owner.kill('SIGKILL');
    await gone;
    const store = open();
    assert.equal(store.loadGraphs([BASE])[0].steps.length, 3);
    store.commit(arrival(BASE + 1));
  });

  it('others may read beside the owner', () => {
    const store = open();
    store.commit(arrival(BASE));
    const reader = new DatabaseSync(path, { readOnly: true });
    assert.deepEqual({ ...reader.prepare('select count(*) as n from steps').get() }, { n: 3 });
    store.commit(arrival(BASE + 1));
    assert.deepEqual({ ...reader.prepare('select count(*) as n from steps').get() }, { n: 6 });
    reader.close();
  });

  it('a program that writes to the file makes commits busy for as long, and breaks nothing', async () => {
    const store = open();
    store.commit(arrival(BASE));
    const other = new DatabaseSync(path);
    other.exec('begin immediate');
    const failure = await failsWith('busy', () => store.commit(arrival(BASE + 1)));
    assert.equal(failure.applied, false);
    assert.equal((await store.health()).writable, false);
    other.exec('rollback');
    other.close();
    store.commit(arrival(BASE + 1));
    assert.equal((await store.health()).writable, true);
  });

  it('the reader thread does not keep a process alive', async () => {
    const other = child(`const store = open(); store.commit(arrival(BASE)); say((await store.listTasks({ limit: 5, countCap: 5 })).total);`);
    const exit = once(other, 'exit');
    assert.equal(await firstLine(other), 1);
    assert.deepEqual(await exit, [0, null]);
  });
});

describe('schema versions', () => {
  const second: Migration = {
    version: 2,
    name: 'notes',
    sql: `create table notes(task integer primary key, body text not null) strict; alter table tasks add column region text; insert into notes select id, 'kept' from tasks;`,
  };

  const versions = (): unknown[] => {
    const db = new DatabaseSync(path, { readOnly: true });
    const rows = db
      .prepare('select version, name, applied_at as at from schema_versions order by version')
      .all()
      .map((r) => Object.values(r));
    db.close();
    return rows;
  };

  it('are numbered without gaps', () => {
    assert.deepEqual(
      MIGRATIONS.map((m) => m.version),
      MIGRATIONS.map((_, i) => i + 1),
    );
  });

  it('an older file is brought up and keeps its rows', async () => {
    const old = open({ migrations: MIGRATIONS });
    old.commit(arrival(BASE));
    const before = old.loadGraphs([BASE]);
    await old.close();
    const store = open({ migrations: [...MIGRATIONS, { ...second, version: MIGRATIONS.length + 1 }], now: () => NOW + 1, tag: 7 });
    assert.deepEqual(store.loadGraphs([BASE]), before);
    assert.equal(store.tag, 42);
    assert.deepEqual(versions().at(-1), [MIGRATIONS.length + 1, 'notes', NOW + 1]);
    assert.deepEqual(versions()[0], [1, 'initial', NOW]);
    await store.close();
    const db = new DatabaseSync(path);
    assert.deepEqual({ ...db.prepare('select * from notes').get() }, { task: BASE, body: 'kept' });
    db.close();
  });

  it('a newer file is refused and not touched', async () => {
    await open({ migrations: [...MIGRATIONS, { ...second, version: MIGRATIONS.length + 1 }] }).close();
    const before = bytes();
    refused('STORE_UNUSABLE', new RegExp(`has schema ${MIGRATIONS.length + 1}.*up to ${MIGRATIONS.length}.*newer Tutti`), () => open());
    assert.equal(bytes(), before);
  });

  it('a step that fails leaves the version before it, whole', async () => {
    const bad = { version: MIGRATIONS.length + 1, name: 'bad', sql: 'create table half(a integer); insert into nowhere values (1);' };
    await open().close();
    refused('STORE_UNUSABLE', /no such table: nowhere/, () => open({ migrations: [...MIGRATIONS, bad] }));
    assert.equal(versions().length, MIGRATIONS.length);
    const store = open();
    store.commit(arrival(BASE));
    const db = new DatabaseSync(path, { readOnly: true });
    assert.equal(db.prepare(`select 1 from sqlite_schema where name = 'half'`).get(), undefined);
    db.close();
  });
});

describe('files that cannot be used', () => {
  it('a directory that does not exist', () => {
    refused('STORE_UNUSABLE', /directory .*nowhere of the store file does not exist/, () => open({ path: join(directory, 'nowhere', 'store.db') }));
  });

  it('a directory in place of the file', () => {
    mkdirSync(path);
    refused('STORE_UNUSABLE', /cannot be opened/, () => open());
  });

  it('a file that is no database, left as it was', () => {
    writeFileSync(path, 'orders of 2025: '.repeat(1000));
    const before = bytes();
    refused('STORE_UNUSABLE', /is not an SQLite database/, () => open());
    assert.equal(bytes(), before);
    rmSync(path);
    open();
  });

  it('a database of another program, left as it was', () => {
    const db = new DatabaseSync(path);
    db.exec('create table customers(id integer primary key); insert into customers values (1)');
    db.close();
    const rows = (): unknown => {
      const other = new DatabaseSync(path, { readOnly: true });
      const found = [other.prepare('select * from customers').all().length, other.prepare('select count(*) as n from sqlite_schema').get()?.n];
      other.close();
      return found;
    };
    const before = bytes();
    refused('STORE_UNUSABLE', /database of another program/, () => open());
    assert.deepEqual(rows(), [1, 1]);
    assert.equal(bytes(), before);
  });

  it('a corrupt file', async () => {
    const store = open();
    for (let i = 0; i < 50; i++) store.commit(arrival(BASE + i, 50));
    await store.close();
    const content = readFileSync(path);
    content.fill(0xa5, 100, content.length);
    writeFileSync(path, content);
    refused('STORE_UNUSABLE', /is corrupt|is not an SQLite database/, () => open());
    // Nobody holds the lock of a store that did not open.
    refused('STORE_UNUSABLE', /is corrupt|is not an SQLite database/, () => open());
  });

  it('corruption met later is a StoreFailure', async () => {
    const store = open();
    for (let i = 0; i < 200; i++) store.commit(arrival(BASE + i, 50));
    await store.close();
    const content = readFileSync(path);
    // The schema lies in the first pages; leave them.
    content.fill(0xa5, content.length - 8192 * 12, content.length);
    writeFileSync(path, content);
    const again = open();
    await failsWith('corrupt', () => {
      for (let i = 0; i < 200; i++) again.loadGraphs([BASE + i]);
      again.payloads(Array.from({ length: 200 }, (_, i) => ({ task: BASE + i, no: -1, token: 0 })));
      again.loadGraphs(Array.from({ length: 200 }, (_, i) => BASE + i));
    });
    await failsWith('corrupt', () => again.commit(changes(() => {})));
    again.reopen();
    again.commit(changes(() => {}));
  });

  it('a read-only file', async () => {
    await open().close();
    chmodSync(path, 0o444);
    chmodSync(directory, 0o777);
    chmodSync(`${path}-lock`, 0o666);
    const { getuid, seteuid } = process;
    const root = getuid?.() === 0;
    try {
      // Permissions mean nothing to root.
      if (root) seteuid?.(65_534);
      refused('STORE_UNUSABLE', /is read-only/, () => open());
    } finally {
      if (root) seteuid?.(0);
    }
    chmodSync(path, 0o644);
    open().commit(arrival(BASE));
  });

  it('a tag out of range', () => {
    for (const tag of [-1, 2 ** 38, 1.5]) refused('INVALID_INPUT', /tag/, () => open({ tag }));
  });
});

describe('a disk that fails', () => {
  it('a full file refuses whole turns, and takes them again when there is room', async () => {
    const store = open({ maxPages: 120 });
    const big = JSON.stringify('x'.repeat(60_000));
    const fill = (i: number) =>
      changes((c) => {
        c.tasks.push(taskRow(BASE + i));
        c.payloads.push({ task: BASE + i, no: -1, token: 0, body: big });
      });
    let written = 0;
    const failure = await failsWith('full', () => {
      for (;;) {
        store.commit(fill(written));
        written++;
      }
    });
    assert.equal(failure.applied, false);
    assert.ok(written > 3);
    // Until it is reopened the store answers nothing, and its health says so.
    await failsWith('full', () => store.loadTask(BASE));
    assert.equal((await store.health()).writable, false);
    store.reopen();
    assert.equal(store.loadTask(BASE + written), null);
    assert.equal(store.payloads([{ task: BASE + written, no: -1, token: 0 }])[0], null);
    for (let i = 0; i < written; i++) assert.equal(store.loadTask(BASE + i)?.id, BASE + i);
    await failsWith('full', () => store.commit(fill(written)));
    store.reopen();
    store.commit(changes((c) => c.removals.push(BASE, BASE + 1)));
    store.commit(fill(written));
    assert.equal(store.loadTask(BASE + written)?.id, BASE + written);
    assert.equal((await store.listTasks({ limit: 1, countCap: 1000 })).total, written - 1);
  });

  it('a commit that the disk breaks off is in doubt; reopening tells', { skip: process.platform === 'win32' }, async () => {
    // A limit on file sizes makes the write of the log fail for real, in the middle of a commit. It also keeps the log from growing at open.
    const other = child(
      `
      const store = open();
      const body = JSON.stringify('x'.repeat(30_000));
      const turn = (i) => changes((c) => {
        c.tasks.push({ id: BASE + i, template: null, state: 0, priority: 2, policy: 'fail', createdAt: NOW, completedAt: null, wakeAt: null, totalSteps: 0, counts: null, error: null, tags: null, meta: null, key: null });
        c.payloads.push({ task: BASE + i, no: -1, token: 0, body });
      });
      let acknowledged = 0, failure;
      try { for (;;) { store.commit(turn(acknowledged)); acknowledged++; } } catch (e) { failure = e; }
      let guarded; try { store.commit(turn(0)); } catch (e) { guarded = e.message; }
      store.reopen();
      const kept = store.taskIds({ states: [0], after: 0, limit: 10000 }).length;
      store.commit(arrival(BASE + 5000));
      say({ name: failure.name, kind: failure.kind, applied: failure.applied, guarded, acknowledged, kept, after: store.loadTask(BASE + 5000) !== null });
      process.exit(0);`,
      (argv) => ['sh', '-c', 'ulimit -f 8192; exec "$@"', 'sh', ...argv],
    );
    const told = (await firstLine(other)) as Record<string, unknown> & { acknowledged: number; kept: number };
    assert.equal(told.name, 'StoreFailure');
    assert.ok(told.kind === 'io' || told.kind === 'full', String(told.kind));
    assert.equal(told.applied, 'unknown');
    assert.match(String(told.guarded), /reopen the store first/);
    assert.ok(told.acknowledged > 10);
    assert.ok(told.kept === told.acknowledged || told.kept === told.acknowledged + 1, `${told.kept} of ${told.acknowledged}`);
    assert.equal(told.after, true);
  });
});

describe('the log file', () => {
  it('has its full size before the first commit and keeps it', async () => {
    const store = open();
    const size = statSync(`${path}-wal`).size;
    assert.ok(size >= 2000 * 8192, `${size} bytes`);
    assert.ok(statSync(path).size < 1_000_000);
    for (let i = 0; i < 50; i++) store.commit(arrival(BASE + i, 5));
    assert.equal(statSync(`${path}-wal`).size, size);
    store.reopen();
    assert.ok(statSync(`${path}-wal`).size >= 2000 * 8192);
    assert.match(store.description, /^sqlite 3\.\d+\.\d+ wal synchronous=FULL page 8192$/);
    await store.close();
    const db = new DatabaseSync(path, { readOnly: true });
    assert.equal(db.prepare(`select 1 from sqlite_schema where name = 'wal_padding'`).get(), undefined);
    db.close();
  });

  it('opening again and again does not let the file grow', async () => {
    for (let i = 0; i < 2; i++) await open().close();
    const size = statSync(path).size;
    for (let i = 0; i < 3; i++) await open().close();
    assert.equal(statSync(path).size, size);
  });

  it('row ids of the event log are not given twice, whatever was removed', async () => {
    const ids = (): number[] => {
      const db = new DatabaseSync(path, { readOnly: true });
      const rows = db.prepare('select id from log order by id').all();
      db.close();
      return rows.map((r) => Number(r.id));
    };
    const store = open();
    for (let i = 0; i < 4; i++) store.commit(arrival(BASE + i));
    assert.deepEqual(ids(), [1, 2, 3, 4]);
    store.commit(changes((c) => c.removals.push(BASE + 2, BASE + 3)));
    await store.close();
    open().commit(arrival(BASE + 9));
    assert.deepEqual(ids(), [1, 2, 5]);
  });

  it('every value is stored as the type of its column', async () => {
    const store = open();
    store.commit(arrival(BASE, 2, { wakeAt: NOW, tags: ['a'] }));
    store.commit(changes((c) => c.steps.push(stepWrite(BASE, 0, { state: 2, token: 1, attempts: 1, owner: 2 ** 52, startedAt: NOW }))));
    const db = new DatabaseSync(path, { readOnly: true });
    for (const table of ['tasks', 'steps', 'log', 'payloads']) {
      for (const row of db.prepare(`select * from ${table}`).all()) {
        for (const [column, value] of Object.entries(row))
          if (typeof value === 'number') assert.ok(Number.isSafeInteger(value), `${table}.${column} = ${value}`);
      }
      const columns = db.prepare(`select name from pragma_table_info('${table}') where type = 'INTEGER'`).all();
      for (const { name } of columns) assert.equal(db.prepare(`select count(*) as n from ${table} where typeof(${String(name)}) = 'real'`).get()?.n, 0);
    }
    db.close();
  });
});
