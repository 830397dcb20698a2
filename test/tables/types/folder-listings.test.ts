/** Listings of folders: shared by the calls of a plan, left by those who are told to stop, and not without a limit. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { FolderListings } from '../../../src/tables/types/folder-listings.ts';
import { testFolder } from '../open-duck.ts';

const NAMES = ['a.csv', 'a/1.csv', 'a/b/2.csv', 'c/3.txt', 'd/4.csv'];

function inbox(t: TestContext): { folder: string; include: string; exclude: string | null } {
  const folder = testFolder(t);
  for (const name of [...NAMES, '_a/5.csv', '.6.csv', 'a/_7.csv']) add(folder, name);
  return { folder, include: '*.csv', exclude: null };
}

function add(folder: string, name: string): void {
  mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  writeFileSync(path.join(folder, name), '');
}

/** Folders in the order in which they are opened; the first one not before `go`. */
function opened(t: TestContext): { folders: string[]; first: Promise<void>; go: () => void } {
  const { opendir } = fs;
  const folders: string[] = [];
  const begun = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  t.mock.method(fs, 'opendir', async (folder: string, o?: { bufferSize: number }) => {
    folders.push(folder);
    begun.resolve();
    if (folders.length === 1) await gate.promise;
    return opendir(folder, o);
  });
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  return { folders, first: begun.promise, go: gate.resolve };
}

test('the files that are meant, deep and in order; the same listing for the same key until it is forgotten', async (t) => {
  const o = inbox(t);
  const listings = new FolderListings();
  assert.deepEqual(await listings.files('plan 1', o), ['a.csv', 'a/1.csv', 'a/b/2.csv', 'd/4.csv']);
  add(o.folder, 'new.csv');
  assert.equal((await listings.files('plan 1', o, new AbortController().signal)).length, 4);
  assert.equal((await listings.files('plan 2', o)).length, 5);
  listings.forget('plan 1');
  assert.equal((await listings.files('plan 1', o)).length, 5);
});

test('whoever is told to stop stops at once, with the reason; the others of that listing go on', async (t) => {
  const o = inbox(t);
  const seen = opened(t);
  const listings = new FolderListings();
  const [one, two] = [new AbortController(), new AbortController()];
  const asked = [listings.files('plan', o, one.signal), listings.files('plan', o, two.signal)];
  await seen.first;
  one.abort(new Error('took too long'));
  await assert.rejects(asked[0], /^Error: took too long$/);
  seen.go();
  assert.equal((await asked[1]).length, 4);
  assert.equal(seen.folders.length, 5, 'the folder was read once');
  await assert.rejects(listings.files('plan', o, one.signal), /took too long/);
});

test('with the last of them the reading ends, between two folders; who comes then begins anew', async (t) => {
  const o = inbox(t);
  const seen = opened(t);
  const listings = new FolderListings();
  const stop = new AbortController();
  const asked = listings.files('plan', o, stop.signal);
  await seen.first;
  stop.abort(new Error('aborted'));
  await assert.rejects(asked, /^Error: aborted$/);
  const again = listings.files('plan', o, new AbortController().signal);
  seen.go();
  assert.equal((await again).length, 4);
  // By now the first would have opened all of them, too.
  assert.equal(seen.folders.length, 1 + 5);
});

test('a folder with more files than the limit is refused by name, setting and number; as many as the limit are fine', async (t) => {
  const o = inbox(t);
  assert.equal((await new FolderListings({ maxFiles: 4 }).files('plan', o)).length, 4);
  const listings = new FolderListings({ maxFiles: 3 });
  await assert.rejects(listings.files('plan', { ...o, exclude: 'x*' }), {
    name: 'PermanentError',
    code: 'folder_too_large',
    message: `inputDirURI: more than 3 files below ${o.folder} match "*.csv" but not "x*", and that is the limit: name a folder below it, or fewer files by includeFileNamePattern`,
  });
  assert.equal((await listings.files('plan', { ...o, include: '4*' })).length, 1, 'what failed is not kept');
});
