/** Parameters of SQL are plain `?`. Node 22 takes `?1` for a name, does not fill it by position, and says "column index out of range". */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const FOLDER = new URL('../../src/store/sqlite', import.meta.url).pathname;

test('no numbered parameter in a statement', () => {
  const files = globSync('**/*.ts', { cwd: FOLDER });
  assert.ok(files.length > 10);
  const found = files.flatMap((file) =>
    readFileSync(join(FOLDER, file), 'utf8')
      .split('\n')
      // In code a question mark is followed by a space, a dot or another one.
      .flatMap((line, i) => (/^\s*(?:\*|\/\/)/.test(line) || !/\?\d/.test(line) ? [] : [`${file}:${i + 1}`])),
  );
  assert.deepEqual(found, []);
});
