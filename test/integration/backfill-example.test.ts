/** `npm run example backfill`, and the page that shows its code. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';

const file = (name: string): string => new URL(`../../${name}`, import.meta.url).pathname;
const page = readFileSync(file('docs/plans-generators.md'), 'utf8');

for (const name of ['backfill.ts', 'orders-feed.ts']) {
  test(`the page shows examples/backfill/${name} as it is`, () => {
    const code = readFileSync(file(`examples/backfill/${name}`), 'utf8');
    assert.ok(page.includes(`// ${name}\n${code.slice(code.indexOf('import {')).trimEnd()}\n`));
  });
}

test('the generator has about 60 lines', () => {
  const lines = readFileSync(file('examples/backfill/backfill.ts'), 'utf8').trimEnd().split('\n').length;
  assert.ok(lines <= 66, `it has ${lines}`);
});

test('npm run example backfill fetches every order once, what failed later, and then only what is new', async () => {
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, [
    '--conditions=tutti-source',
    '--disable-warning=ExperimentalWarning',
    file('examples/run-example.ts'),
    'backfill',
  ]);
  assert.match(stdout, /batch 0 {2}4 of 5 pages, 1 failed/);
  assert.match(stdout, /COMPLETED: Every page is there\. 1030 of 1030 orders are in the files\n/);
  assert.match(stdout, /COMPLETED: Every page is there\. 1111 of 1111 orders are in the files\n/);
  // 21 pages and two that failed, then the last one again and two new ones.
  assert.match(stdout, /26 pages were asked for/);
});
