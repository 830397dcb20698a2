/** The README's sample is a file that runs, its links lead somewhere, and the commands it names exist. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const root = path.resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
/** Layout apart: blank lines, line ends and runs of blanks. */
const tokens = (code: string): string => code.replace(/\s+/g, ' ').trim();

test('the sample of the README is examples/hello.ts', () => {
  const sample = /```ts\n([^]*?)```/.exec(read('README.md'))?.[1];
  assert.ok(sample);
  assert.equal(tokens(sample), tokens(read('examples/hello.ts')));
  assert.ok(sample.trim().split('\n').length <= 20);
});

test('relative links of all pages lead to files', () => {
  for (const page of globSync(['*.md', 'docs/**/*.md'], { cwd: root })) {
    const text = read(page).replace(/```[^]*?```/g, '');
    for (const [, target] of text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)) {
      assert.ok(existsSync(path.join(root, path.dirname(page), target)), `${page} links to ${target}, which does not exist`);
    }
  }
});

test('npm scripts that the pages name exist', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  for (const page of ['README.md', 'CONTRIBUTING.md', 'AGENTS.md', 'docs/architecture.md']) {
    for (const [, name] of read(page).matchAll(/npm run ([\w:]+)/g)) assert.ok(name in scripts, `${page} names npm run ${name}`);
  }
});
