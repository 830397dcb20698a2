/** What a running handler may ask for: whatever would break the engine when it is decided or stored is refused before that. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_RETRY } from '../../src/core/definition.ts';
import { isTuttiError } from '../../src/core/errors.ts';
import { checkSpawn } from '../../src/engine/spawns.ts';
import type { SpawnRequest } from '../../src/engine/worker-port.ts';

const check = (child: object): void =>
  checkSpawn([{ handler: 'h', inputs: '{}', position: 0 }, { handler: 'h', inputs: '{}', ...child } as SpawnRequest], () => true, false);

const cycle: Record<string, unknown> = {};
cycle.self = cycle;

const BAD: [field: string, child: object][] = [
  ['handler', { handler: '' }],
  ['inputs', { inputs: '[]' }],
  ['inputs', { inputs: '"x"' }],
  ['inputs', { inputs: 'null' }],
  ['key', { key: '' }],
  ['key', { key: 'x'.repeat(256) }],
  ['key', { key: 'a\u0000' }],
  ['key', { key: '\ud800' }],
  ['name', { name: 'a\nb' }],
  ['name', { name: '\udc00' }],
  ['method', { method: 5 }],
  ['params.n', { params: { n: 1n } }],
  ['params.self', { params: cycle }],
  ['params.__proto__', { params: JSON.parse('{"__proto__":{}}') }],
  ['params', { params: 'text' }],
  ['priority', { priority: 4 }],
  ['timeoutMs', { timeoutMs: 1e300 }],
  ['timeoutMs', { timeoutMs: Number.NaN }],
  ['heartbeatMs', { heartbeatMs: -1 }],
  ['allowFailure', { allowFailure: 'no' }],
  ['cancelable', { cancelable: 0 }],
  ['retry.maxAttempts', { retry: { ...DEFAULT_RETRY, maxAttempts: Number.NaN } }],
  ['retry.maxAttempts', { retry: { ...DEFAULT_RETRY, maxAttempts: 101 } }],
  ['retry.backoff', { retry: { ...DEFAULT_RETRY, backoff: 'zigzag' } }],
  ['retry.baseMs', { retry: { ...DEFAULT_RETRY, baseMs: 2 ** 53 } }],
  ['retry.maxMs', { retry: { ...DEFAULT_RETRY, maxMs: Number.POSITIVE_INFINITY } }],
  ['retry.jitter', { retry: { ...DEFAULT_RETRY, jitter: 2 } }],
  ['retry.retryable', { retry: { ...DEFAULT_RETRY, retryable: 1 } }],
  ['maxConcurrentChildren', { maxChildren: 0 }],
  ['onChildFailure', { onChildFailure: -1 }],
  ['expected', { expected: '5' }],
];

test('a child that cannot be kept, or would break what decides about it, is refused by field', () => {
  for (const [field, child] of BAD) {
    assert.throws(
      () => check(child),
      (e) => isTuttiError(e) && (e.code === 'INVALID_INPUT' || e.code === 'UNSTORABLE_VALUE') && e.field === `children[1].${field}`,
      `${field}: ${Object.keys(child).join()}`,
    );
  }
});

test('odd keys and names are keys and names', () => {
  for (const key of ['__proto__', 'constructor', 'p0', 'k0', ' ', 'ü😀', 'a/b', 'x'.repeat(255)]) check({ key, name: key });
  check({ params: { executor: { deep: [1] } }, retry: DEFAULT_RETRY, timeoutMs: 0, onChildFailure: 0, maxChildren: 1, expected: 0 });
});
