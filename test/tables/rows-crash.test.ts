import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Tutti } from '../../src/main.ts';
import { testFolder } from './open-duck.ts';

const ENTRY = path.join(import.meta.dirname, 'rows-process.ts');
/** After so many seals and so many answers more the process is killed: at another place of a seal each time. */
const KILLS = [
  [1, 3],
  [3, 40],
  [2, 400],
  [1, 1000],
  [2, 150],
] as const;

test('kill -9 while rows come and are sealed: each that was answered is there, none is there twice (I10)', async (t) => {
  const store = path.join(testFolder(t), 'tutti.db');
  const answered = new Set<number>();
  for (const [round, kill] of KILLS.entries()) {
    const child = spawn(process.execPath, ['--conditions=tutti-source', ENTRY, store, String((round + 1) * 1_000_000)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let seals = 0;
    let answers = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      if (line === 'sealed') seals++;
      else answered.add(Number(line));
      if (seals >= kill[0] && ++answers === kill[1]) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    assert.equal(child.signalCode, 'SIGKILL');
  }
  const tutti = await Tutti.open({ store, tables: { memory: '128MB' }, logger: () => {} });
  t.after(() => tutti.close());
  await tutti.tables.seal('trips');
  const { rows } = await tutti.tables.query('trips', 'SELECT id, count(*) FROM trips GROUP BY id', { limit: 100_000 });
  const there = new Set(rows.map(([id]) => id as number));
  assert.deepEqual(
    rows.filter(([, n]) => n !== 1),
    [],
    'none twice',
  );
  assert.deepEqual(
    [...answered].filter((id) => !there.has(id)),
    [],
    'none lost',
  );
  const large = await tutti.tables.query(
    'trips',
    'SELECT id // 1000000, (id % 1000000 - 300000) // 7, count(*) FROM trips WHERE id % 1000000 >= 300000 GROUP BY ALL',
    { limit: 100_000 },
  );
  assert.ok(large.rows.length > 0);
  assert.deepEqual(
    large.rows.filter(([, , n]) => n !== 7),
    [],
    'of a large request all rows or none',
  );
  assert.ok((await tutti.tables.get('trips')).segments > KILLS.length, 'seals were under way');
});
