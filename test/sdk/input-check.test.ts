import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import type { JsonObject } from '../../src/core/definition.ts';
import type { Assignment } from '../../src/engine/worker-port.ts';
import type { HandlerSchema } from '../../src/sdk/handler-meta.ts';
import { assignment, withResults } from './fake-worker-port.ts';
import { watchedWorker } from './watched-worker.ts';

/** Runs one attempt; gives its error, or what the handler saw. */
async function tryWith(inputSchema: HandlerSchema | undefined, a: Assignment): Promise<{ seen: unknown; code?: string; message: string; retryable?: boolean }> {
  const w = watchedWorker();
  let seen: unknown = 'not called';
  w.registry.register('h', (ctx) => void (seen = a.mergedInputs ? ctx.inputs : ctx.input), inputSchema === undefined ? {} : { inputSchema });
  const outcome = await w.run(a);
  return outcome.ok ? { seen, message: '' } : { seen, ...outcome.error };
}

const ORDER = { type: 'object', required: ['items'], properties: { items: { type: 'array', items: { type: 'object', required: ['sku'] } } } };

describe('inputs are held against the schema before the handler runs', () => {
  test('JSON Schema: one that does not fit fails for good, named by path; the handler is not called', async () => {
    const bad = await tryWith(ORDER, assignment({ input: '{"items":[{"sku":1},{}]}' }));
    assert.equal(bad.seen, 'not called');
    assert.deepEqual([bad.code, bad.retryable], ['invalid_input', false]);
    assert.match(bad.message, /input schema of handler "h": input\.items\[1\]\.sku must have required property/);
    const good = await tryWith(ORDER, assignment({ input: '{"items":[{"sku":1}]}' }));
    assert.deepEqual(good.seen, { items: [{ sku: 1 }] });
  });

  test('Standard Schema, also an asynchronous one', async () => {
    const schema = z.object({ n: z.number().refine(async (n) => n > 1, 'must be above one') });
    const bad = await tryWith(schema, assignment({ input: '{"n":1}' }));
    assert.deepEqual([bad.seen, bad.code, bad.retryable], ['not called', 'invalid_input', false]);
    assert.match(bad.message, /input\.n must be above one/);
    assert.deepEqual((await tryWith(schema, assignment({ input: '{"n":2}' }))).seen, { n: 2 });
  });

  test('it is a check: the handler sees what is stored, frozen', async () => {
    const { seen } = await tryWith({ type: 'object', properties: { size: { default: 5 } } }, assignment({ input: '{"n":1}' }));
    assert.deepEqual(seen, { n: 1 });
    assert.ok(Object.isFrozen(seen));
  });

  test('where inputs are merged, the merged ones are checked', async () => {
    const schema = { type: 'object', required: ['y'], properties: { y: { type: 'integer' } } };
    const given = (body: string): Assignment => withResults([['a', true, { state: 'complete', body }]], { mergedInputs: true, input: '{"x":1}' });
    assert.deepEqual((await tryWith(schema, given('{"y":2}'))).seen, { x: 1, y: 2 });
    const bad = await tryWith(schema, given('{"y":"two"}'));
    assert.equal(bad.code, 'invalid_input');
    assert.match(bad.message, /inputs\.y must be integer/);
    assert.equal((await tryWith(schema, { ...given('{"y":2}'), mergedInputs: false })).code, 'invalid_input');
  });

  test("a step's own schema is checked too", async () => {
    const bad = await tryWith(undefined, assignment({ input: '{"n":"x"}', inputSchema: { properties: { n: { type: 'number' } } } }));
    assert.deepEqual([bad.seen, bad.code], ['not called', 'invalid_input']);
    assert.match(bad.message, /input schema of step "work": input\.n must be number/);
    const both = await tryWith(z.object({ m: z.number() }), assignment({ input: '{"n":1}', inputSchema: { properties: { n: { type: 'number' } } } }));
    assert.match(both.message, /handler "h": input\.m/);
  });

  test('a schema that cannot be used fails its step for good, and nothing else', async () => {
    const useless: JsonObject[] = [{ $async: true, type: 'object' }, { type: 'nonsense' }, { $ref: 'http://elsewhere/schema' }];
    for (const inputSchema of useless) {
      const bad = await tryWith(undefined, assignment({ inputSchema }));
      assert.deepEqual([bad.seen, bad.code, bad.retryable], ['not called', 'invalid_input_schema', false], JSON.stringify(inputSchema));
    }
  });

  test('a validator that throws is a failure like any other', async () => {
    const schema: HandlerSchema = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: () => {
          throw new Error('the validator is broken');
        },
      },
    };
    const bad = await tryWith(schema, assignment());
    assert.deepEqual([bad.seen, bad.code, bad.retryable], ['not called', 'handler_error', true]);
  });

  test('only the run phase takes inputs', async () => {
    const w = watchedWorker();
    w.registry.register('h', () => 'run', { inputSchema: { required: ['gone'] }, finalize: () => 'finalized', onAbort: () => 'aborted' });
    assert.deepEqual(await w.run(assignment({ phase: 'finalize' })), { ok: true, body: '"finalized"' });
    assert.deepEqual(await w.run(assignment({ phase: 'abort', token: 2 })), { ok: true, body: '"aborted"' });
  });
});

describe('phases', () => {
  test('a hook that is not there fails for good, by name', async () => {
    const w = watchedWorker();
    w.registry.register('h', () => 1);
    for (const [phase, name] of [
      ['finalize', 'finalize'],
      ['abort', 'onAbort'],
    ] as const) {
      const outcome = await w.run(assignment({ phase, token: w.port.results.length + 1 }));
      assert.ok(!outcome.ok);
      assert.deepEqual([outcome.error.code, outcome.error.retryable], ['handler_not_found', false]);
      assert.match(outcome.error.message, new RegExp(`no method "${name}"`));
    }
  });

  test('the hello says what handlers are and have', () => {
    const { port, registry } = watchedWorker();
    registry.register('h', { call: () => 1, onAbort: () => 1 });
    assert.deepEqual(port.hello.traits?.('h'), { finalize: false, abort: true, cancelable: true });
    assert.deepEqual(
      port.hello.handlers?.().map((h) => [h.id, h.hasOnAbort]),
      [['h', true]],
    );
  });
});

describe('a schema comes from whoever submitted the step, and may not hold up everybody else', () => {
  test('a pattern that backtracks is broken off and fails the step for good', async () => {
    const input = JSON.stringify({ a: `${'a'.repeat(60)}!` });
    for (const inputSchema of [
      { properties: { a: { pattern: '^(a+)+$' } } },
      { additionalProperties: { type: 'string', pattern: '^(a|a)*$' } },
    ] as JsonObject[]) {
      const out = await tryWith(undefined, assignment({ input, inputSchema }));
      assert.deepEqual([out.seen, out.code, out.retryable], ['not called', 'invalid_input_schema', false]);
      assert.match(out.message, /takes longer than 250 ms/);
    }
  });

  test('references that double at every level are broken off as well', async () => {
    const $defs: JsonObject = { d50: { type: 'object' } };
    for (let i = 0; i < 50; i++) $defs[`d${i}`] = { allOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] };
    const out = await tryWith(undefined, assignment({ input: '{}', inputSchema: { $defs, $ref: '#/$defs/d0' } }));
    assert.deepEqual([out.seen, out.code], ['not called', 'invalid_input_schema']);
    assert.match(out.message, /takes longer than 1000 ms/);
  });

  test('a harmless pattern holds as ever', async () => {
    const inputSchema = { properties: { a: { pattern: '^a+$' } } };
    assert.deepEqual((await tryWith(undefined, assignment({ input: '{"a":"aa"}', inputSchema }))).seen, { a: 'aa' });
    assert.equal((await tryWith(undefined, assignment({ input: '{"a":"b"}', inputSchema }))).code, 'invalid_input');
  });
});
