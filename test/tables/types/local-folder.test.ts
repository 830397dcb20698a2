/** Folders that settings name: they are made, or it is said that they cannot be. */
import assert from 'node:assert/strict';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../../../src/tables/types/local-folder.ts';
import { testFolder } from '../open-duck.ts';

test('a folder is made with those above it, also by two at once, and stays where it is there', async (t) => {
  const folder = path.join(testFolder(t), 'a', 'b', 'c');
  await Promise.all([makeFolder(folder), makeFolder(folder), makeFolder(path.join(folder, 'd'))]);
  await makeFolder(folder);
  assert.ok(statSync(path.join(folder, 'd')).isDirectory());
});

test('where a folder cannot be made it is said, and soon', async (t) => {
  const file = path.join(testFolder(t), 'file');
  writeFileSync(file, '');
  await assert.rejects(makeFolder(path.join(file, 'a')), { code: 'ENOTDIR' });
  // Nothing is ever made there, and its parent is always there: Node's own recursive way goes on for ever.
  if (existsSync('/proc/self')) await assert.rejects(makeFolder('/proc/tutti/a'), /^Error: the folder \/proc\/tutti cannot be made$/);
});
