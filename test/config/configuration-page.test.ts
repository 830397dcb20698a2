import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { configurationPage } from '../../src/config/configuration-page.ts';
import { KEYS, OTHER_VARIABLES } from '../../src/config/schema.ts';

test('docs/configuration.md is what the schema says, and names every key and variable', () => {
  const page = configurationPage();
  assert.equal(readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8'), page, 'run: npm run docs');
  for (const key of KEYS) assert.ok(page.includes(`| \`${key.name}\` |`) && page.includes(key.variable), key.path);
  for (const o of OTHER_VARIABLES) assert.ok(page.includes(o.name));
  assert.match(page, /0\.0\.0\.0/);
});
