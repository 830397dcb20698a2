/** Folders that settings name: they are made, or it is said that they cannot be. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { checkTarget, existingFolder, folderProblem, makeFolder, makeTarget } from '../../../src/tables/types/local-folder.ts';
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

test('a target is made below the roots, wherever links lead as long as they stay there, also by two at once', async (t) => {
  const folder = testFolder(t);
  const at = (name: string): string => path.join(folder, name);
  // The root is reached by a link, and is not there yet.
  mkdirSync(at('disk'));
  symlinkSync(at('disk'), at('mount'));
  const roots = [at('mount/out')];
  await checkTarget('outputDirURI', at('mount/out/a/b'), roots);
  assert.deepEqual(readdirSync(at('disk')), [], 'looking makes nothing');
  await Promise.all([makeTarget('outputDirURI', at('mount/out/a/b'), roots), makeTarget('outputDirURI', at('mount/out/a/c'), roots)]);
  symlinkSync(at('disk/out/a'), at('disk/out/inner'));
  await makeTarget('outputDirURI', at('mount/out/inner/d'), roots);
  assert.deepEqual(readdirSync(at('disk/out/a')).toSorted(), ['b', 'c', 'd']);
  await makeTarget('outputDirURI', at('else'), null);
});

test('below a link that leads out of the roots, or to nothing, no folder is made', async (t) => {
  const folder = testFolder(t);
  const at = (name: string): string => path.join(folder, name);
  mkdirSync(at('out'));
  mkdirSync(at('private'));
  symlinkSync(at('private'), at('out/link'));
  symlinkSync(at('private/none'), at('out/dangling'));
  writeFileSync(at('out/file'), '');
  const cases: [string, string, RegExp][] = [
    ['out/link/a/b', 'folder_forbidden', /^outputDirURI: .*out\/link\/a\/b leads to .*private\/a\/b, which lies below none of the folders that may be used$/],
    ['out/link', 'folder_forbidden', /leads to .*private, which/],
    ['out/dangling/a', 'folder_unreadable', /^outputDirURI: the folder .*out\/dangling\/a cannot be written \(ENOENT\)$/],
    ['out/file', 'folder_unreadable', /^outputDirURI: .*out\/file cannot be written: .*out\/file is no folder$/],
    ['out/file/a', 'folder_unreadable', /^outputDirURI: the folder .*out\/file\/a cannot be written \(ENOTDIR\)$/],
  ];
  for (const [name, code, message] of cases)
    for (const ask of [checkTarget, makeTarget]) await assert.rejects(ask('outputDirURI', at(name), [at('out')]), { name: 'PermanentError', code, message });
  assert.deepEqual([readdirSync(at('private')), readdirSync(at('out')).toSorted()], [[], ['dangling', 'file', 'link']]);
  await assert.rejects(existingFolder('inputDirURI', at('out/link'), [at('out')]), { code: 'folder_forbidden', message: /^inputDirURI: / });
});

test('a folder is refused by its name: below no root, or where there is no root at all', () => {
  assert.equal(folderProblem('inputDirURI', '/data/in', null), null);
  assert.equal(folderProblem('inputDirURI', '/data/in', ['/other', '/data']), null);
  assert.equal(folderProblem('inputDirURI', '/data/in', ['/data/i']), 'inputDirURI names /data/in, which lies below none of the folders that may be read');
  assert.match(
    folderProblem('outputDirURI', '/', []) ?? '',
    /^outputDirURI names \/, and orchestration\.tables\.output_roots names no folder that may be written:/,
  );
});
