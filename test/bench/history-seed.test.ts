import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { seedHistory } from '../../bench/history-seed.ts';
import { migrate } from '../../src/store/sqlite/migrations.ts';

const MODEL = 9000;

function withStore(state: number, use: (file: string) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'tutti-seed-'));
  try {
    const file = join(dir, 's.db');
    const db = new DatabaseSync(file);
    migrate(db, file, 0);
    db.exec(`insert into tasks(id, template, state, priority, policy, created_at, completed_at, total_steps) values (${MODEL}, 1, ${state}, 2, 0, 5, 6, 2);
      insert into steps(task, no, state, token, result_token) values (${MODEL}, 0, 6, 1, 1), (${MODEL}, 1, 6, 1, 1);
      insert into payloads(task, no, token, body) values (${MODEL}, -1, 0, '1'), (${MODEL}, 0, 1, '2'), (${MODEL}, 1, 1, '3');
      insert into log(id, task, seq, count, at, body) values (41, ${MODEL}, 1, 2, 5, '[]'), (42, ${MODEL}, 3, 1, 6, '[]')`);
    db.close();
    use(file);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

test('copies are whole tasks below the model, and the schema accepts them', () => {
  withStore(8, (file) => {
    assert.equal(seedHistory(file, 25_001), 25_002);
    const db = new DatabaseSync(file);
    const one = (sql: string): unknown => Object.values(db.prepare(sql).get() as object)[0];
    assert.equal(one('select count(*) from tasks'), 12_502);
    assert.deepEqual([one('select min(id) from tasks'), one('select max(id) from tasks')], [MODEL - 12_501, MODEL]);
    assert.equal(one('select count(*) from steps'), 25_004);
    assert.equal(one('select count(*) from payloads'), 37_506);
    assert.equal(one('select count(distinct id) from log'), 25_004);
    assert.deepEqual(
      { ...db.prepare(`select seq, count, at, body from log where task = ${MODEL - 7} order by seq desc limit 1`).get() },
      { seq: 3, count: 1, at: 6, body: '[]' },
    );
    assert.equal(one('pragma integrity_check'), 'ok');
    assert.equal(db.prepare('pragma foreign_key_check').all().length, 0);
    db.close();
  });
});

test('a task that has not completed is no model', () => {
  withStore(9, (file) => assert.throws(() => seedHistory(file, 10), /has not completed/));
});
