/** `npm run example upload`, the acceptance of tied children: parts made at run time, kill -9 and resume, cancel with abort hooks. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const script = new URL('../../examples/run-example.ts', import.meta.url).pathname;

test('npm run example upload: everything it claims held', { timeout: 120_000 }, async () => {
  // It exits with 1 when a check of its own fails, and execFile rejects then, with what it printed.
  const { stdout } = await run(process.execPath, ['--conditions=tutti-source', '--disable-warning=ExperimentalWarning', script, 'upload']);
  assert.match(stdout, /all of it held/);
  assert.equal(stdout.match(/✔/g)?.length, 15);
  assert.doesNotMatch(stdout, /✘/);
});

test('npm run example: a name that is none says which there are', async () => {
  await assert.rejects(run(process.execPath, ['--conditions=tutti-source', script, 'uplaod']), { code: 2, stderr: /one of: upload/ });
});
