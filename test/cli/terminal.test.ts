import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTemplateRef } from '../../src/cli/context.ts';
import { LiveRegion } from '../../src/cli/live-region.ts';
import { duration, fit, paintWith, printable, table, terminalOf } from '../../src/cli/terminal.ts';

test('durations read as people say them', () => {
  for (const [ms, text] of [
    [0, '0 ms'],
    [-5, '0 ms'],
    [999, '999 ms'],
    [1000, '1.0 s'],
    [59_949, '59.9 s'],
    [59_950, '1 m 00 s'],
    [125_000, '2 m 05 s'],
    [3_600_000, '1 h 00 m'],
    [90_000_000, '1 d 1 h'],
  ] as const) {
    assert.equal(duration(ms), text, String(ms));
  }
});

test('text is cut by characters, with an ellipsis', () => {
  assert.equal(fit('abc', 3), 'abc');
  assert.equal(fit('abcd', 3), 'ab…');
  assert.equal(fit('😀😀😀😀', 3), '😀😀…');
  assert.equal(fit('abc', 0), '');
});

test('control characters do not reach the terminal', () => {
  assert.equal(printable('a\u001b[31mb\nc\u0007'), 'a\ufffd[31mb c\ufffd');
});

test('a terminal that was not told its size is as wide as most', () => {
  const sized = (columns: number, rows: number) => terminalOf({ isTTY: true, columns, rows, write: () => true } as never, false);
  for (const [has, is] of [
    [sized(0, 0), [80, 24]],
    [sized(120, 50), [120, 50]],
  ] as const)
    assert.deepEqual([has.columns, has.rows], is);
});

test('colour only where a person looks, and not with NO_COLOR', () => {
  const stream = (isTTY: boolean) => ({ isTTY, write: () => true }) as never;
  assert.equal(terminalOf(stream(true), false).paint('red', 'x'), '\u001b[31mx\u001b[39m');
  assert.equal(terminalOf(stream(true), true).paint('red', 'x'), 'x');
  assert.equal(terminalOf(stream(false), false).paint('red', 'x'), 'x');
});

test('tables align', () => {
  assert.deepEqual(
    table(
      ['A', 'LONG'],
      [
        ['xyz', '1'],
        ['q', '22'],
      ],
      paintWith(false),
    ),
    ['A    LONG', 'xyz  1', 'q    22'],
  );
});

test('a live region is drawn over itself, and only when it changed', () => {
  let written = '';
  const region = new LiveRegion({ live: true, columns: 80, rows: 24, paint: (_, t) => t, write: (t) => void (written += t) });
  region.draw(['a', 'b']);
  region.draw(['a', 'b']);
  assert.equal(written, 'a\u001b[K\nb\u001b[K\n\u001b[J');
  written = '';
  region.draw(['c']);
  assert.equal(written, '\u001b[2A\rc\u001b[K\n\u001b[J');
  region.keep();
  written = '';
  region.draw(['d']);
  assert.ok(!written.includes('A\r'));
});

test('template names', () => {
  assert.deepEqual(parseTemplateRef('a/b@1.0.0'), { namespace: 'a', name: 'b', version: '1.0.0' });
  assert.deepEqual(parseTemplateRef('a/b'), { namespace: 'a', name: 'b', version: undefined });
  for (const bad of ['', 'a', 'a/', '/b', 'a/b@', 'a/b/c', 'a b/c']) assert.throws(() => parseTemplateRef(bad), /namespace\/name/);
});
