import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { EXIT, exitCodeOf } from '../../src/cli/exit-code.ts';
import { ERRORS, type ErrorCode, TuttiError } from '../../src/core/errors.ts';

test('every error has a code that docs/cli.md explains', () => {
  const documented = new Set([...readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8').matchAll(/^\| (\d+) \|/gm)].map((m) => Number(m[1])));
  assert.deepEqual(
    [...documented].sort((a, b) => a - b),
    Object.values(EXIT).sort((a, b) => a - b),
  );
  for (const code of Object.keys(ERRORS) as ErrorCode[]) assert.ok(documented.has(exitCodeOf(new TuttiError(code, 'x'))), code);
  assert.equal(exitCodeOf(new Error('x')), EXIT.internal);
});

test('bad input, missing things, refusals and trouble are told apart', () => {
  const of = (code: ErrorCode): number => exitCodeOf(new TuttiError(code, 'x'));
  assert.equal(of('INVALID_INPUT'), 2);
  assert.equal(of('TEMPLATE_NOT_FOUND'), 3);
  assert.equal(of('BACKPRESSURE'), 4);
  assert.equal(of('STORE_UNUSABLE'), 2, 'it never heals');
  assert.equal(of('ILLEGAL_STATE'), 5);
  assert.equal(of('UNAUTHENTICATED'), 5);
});
