/** What patterns for files match, what is wrong with those that are none, and that none of them takes long. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { filePattern } from '../../../src/tables/types/file-pattern.ts';

const FILES = ['a.csv', 'b.json', 'a.csv.gz', 'x/a.csv', 'x/y/a.csv', 'x/y/b.json', 'ab.csv', '2026/01/t.csv', 'f007.csv', '[a].csv', 'é.csv', 'a-b', 'a*b'];

test('patterns match what those of Node match', () => {
  for (const glob of [
    '*',
    '*.csv',
    '?.csv',
    'a*',
    '*a*.*',
    '**/*.csv',
    'x/**',
    'x/**/*.csv',
    '**/y/*',
    'x/*.csv',
    'x/*/a.csv',
    '2026/**/*.{csv,json}',
    '*.{csv,{json,xml}}',
    'f00[0-6].csv',
    'f00[0-7].csv',
    '[!a].csv',
    '[é].csv',
    '[[]a].csv',
    'a[-]b',
    'a**b',
    '{a,b}.{csv,json}',
    '**',
    '**/**/a.csv',
    'nothing',
  ]) {
    const is = filePattern(glob);
    const expected = FILES.filter((f) => path.posix.matchesGlob(glob.includes('/') ? f : path.posix.basename(f), glob));
    assert.deepEqual(FILES.filter(is), expected, glob);
  }
  assert.deepEqual([FILES.filter(filePattern('\\[a\\].csv')), FILES.filter(filePattern('a\\*b'))], [['[a].csv'], ['a*b']]);
  assert.deepEqual(FILES.filter(filePattern('glob:b.*')), ['b.json', 'x/y/b.json']);
});

test('what is no pattern is said to be none', () => {
  for (const [glob, says] of [
    ['[a', /a \[ is not closed/],
    ['{a,b', /a \{ is not closed/],
    ['a}', /a \} has no \{/],
    ['x'.repeat(501), /501 characters; 500 is the limit/],
    ['{a,b}'.repeat(20), /more than 100 patterns/],
    [`{${'a,'.repeat(50)}}${'x'.repeat(100)}`, /more than 2000 characters/],
  ] as const) {
    assert.throws(() => filePattern(glob), says, glob);
  }
});

test('a pattern made to take long does not', () => {
  // Tried one way after the other these would not end within a lifetime.
  const file = 'a'.repeat(255);
  for (const glob of [`${'*a'.repeat(100)}b`, `${'**/*a'.repeat(40)}/b`, `${'{a,aa}*'.repeat(6)}b`]) {
    const begun = process.cpuUsage();
    assert.equal(filePattern(glob)(glob.includes('/') ? `${file}/${file}/${file}` : file), false);
    const { user } = process.cpuUsage(begun);
    assert.ok(user < 2_000_000, `${glob.slice(0, 20)}: ${user} µs`);
  }
});
