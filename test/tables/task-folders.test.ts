/** Folders that settings of tasks name, over REST: what cannot be used is the caller's to mend, and a server that others reach uses none unasked. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { serve } from '../../src/main.ts';

interface Answer {
  status: number;
  json: Record<string, unknown>;
}

async function server(
  t: TestContext,
  env: Record<string, string> = {},
): Promise<{ folder: string; execute(table: string, taskType: string, settings: object): Promise<Answer> }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'tutti-folders-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const { config } = loadConfig({
    env: { TUTTI_WEB_PORT: '0', TUTTI_STORE_PATH: ':memory:', TUTTI_LOG_LEVEL: 'silent', TUTTI_API_KEY: 'k', ...env },
    cwd: folder,
  });
  const { tutti, url, stop } = await serve(config);
  t.after(stop);
  const schema = { columns: [{ name: 'id', type: 'BIGINT' }] };
  await tutti.tables.create({ name: 'trips', type: 'OFFLINE', schema });
  await tutti.tables.create({ name: 'trips', type: 'REALTIME', schema });
  mkdirSync(path.join(folder, 'in'));
  writeFileSync(path.join(folder, 'in/a.csv'), 'id\n1\n');
  return {
    folder,
    async execute(tableName, taskType, taskConfigs) {
      const answer = await fetch(`${url!.replace('0.0.0.0', '127.0.0.1')}/tasks/execute`, {
        method: 'POST',
        headers: { 'x-api-key': 'k', 'content-type': 'application/json' },
        body: JSON.stringify({ tableName, taskType, taskConfigs }),
      });
      return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
    },
  };
}

for (const enableTaskOrchestration of ['true', 'false'])
  test(`a folder that is missing, or leads out of the roots: 400 that names setting and problem; plan: ${enableTaskOrchestration}`, async (t) => {
    const roots = mkdtempSync(path.join(tmpdir(), 'tutti-roots-'));
    t.after(() => rmSync(roots, { recursive: true, force: true }));
    const { execute, folder } = await server(t, { TUTTI_TABLES_INPUT_ROOTS: roots, TUTTI_TABLES_OUTPUT_ROOTS: roots });
    symlinkSync(path.join(folder, 'in'), path.join(roots, 'link'));
    writeFileSync(path.join(roots, 'file'), '');
    for (const [table, type, settings, says] of [
      ['trips_OFFLINE', 'FileIngestionTask', { inputDirURI: `${roots}/none` }, /inputDirURI: the folder .*none cannot be read \(ENOENT\)/],
      ['trips_OFFLINE', 'FileIngestionTask', { inputDirURI: `${roots}/link` }, /inputDirURI: .*link leads to .*in, which lies below none/],
      ['trips_OFFLINE', 'FileIngestionTask', { inputDirURI: folder }, /inputDirURI names .*, which lies below none/],
      ['trips_REALTIME', 'DataExportTask', { outputDirURI: `${roots}/link` }, /outputDirURI: .*link.* leads to .*in.*, which lies below none/],
      ['trips_REALTIME', 'DataExportTask', { outputDirURI: `${roots}/file` }, /outputDirURI: the folder .*file.* cannot be written \(ENOTDIR\)/],
    ] as const) {
      const { status, json } = await execute(table, type, { ...settings, enableTaskOrchestration });
      assert.deepEqual([status, json.error_code, json.field], [400, 'INVALID_INPUT', 'taskConfigs'], JSON.stringify(json));
      assert.match(String(json.error), says);
    }
  });

test('a server that other machines can reach reads and writes below the folders that are configured, and without any nowhere', async (t) => {
  const open = await server(t, { TUTTI_WEB_HOST: '0.0.0.0' });
  for (const [table, type, key] of [
    ['trips_OFFLINE', 'FileIngestionTask', 'inputDirURI'],
    ['trips_REALTIME', 'DataExportTask', 'outputDirURI'],
  ]) {
    const { status, json } = await open.execute(table, type, { [key]: path.join(open.folder, 'in') });
    assert.deepEqual([status, json.error_code], [400, 'INVALID_INPUT'], JSON.stringify(json));
    assert.match(String(json.error), new RegExp(`${key} names .*in, `));
  }
  const asked = await server(t, { TUTTI_WEB_HOST: '0.0.0.0', TUTTI_TABLES_INPUT_ROOTS: '/' });
  const { status, json } = await asked.execute('trips_OFFLINE', 'FileIngestionTask', { inputDirURI: path.join(asked.folder, 'in') });
  assert.deepEqual([status, Object.keys(json)], [200, ['trips_OFFLINE']]);
  const alone = await server(t);
  assert.equal((await alone.execute('trips_OFFLINE', 'FileIngestionTask', { inputDirURI: path.join(alone.folder, 'in') })).status, 200);
});
