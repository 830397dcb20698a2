import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { TuttiError } from '../../src/core/errors.ts';
import type { HandlerMeta } from '../../src/sdk/handler-meta.ts';
import { handler, HandlerRegistry } from '../../src/sdk/handler-registry.ts';
import type { UntypedStepContext } from '../../src/sdk/step-types.ts';

const ctx = {} as UntypedStepContext;

class Upload {
  part = 7;
  call(): number {
    return this.part;
  }
  verify(): string {
    return 'ok';
  }
  finalize(): number {
    return this.part * 2;
  }
  onAbort(): number {
    return -this.part;
  }
}

describe('hooks and traits', () => {
  test('an object has them as methods, bound to it', () => {
    const r = new HandlerRegistry();
    r.register('upload', new Upload());
    assert.deepEqual(r.traits('upload'), { finalize: true, abort: true, cancelable: true });
    assert.equal(r.hook('upload', 'finalize')?.(ctx as never, [] as never), 14);
    assert.equal(r.hook('upload', 'onAbort')?.(ctx as never), -7);
  });

  test('a function has them in its meta', () => {
    const r = new HandlerRegistry();
    r.register('f', () => 1, { finalize: () => 2, cancelable: false });
    assert.deepEqual(r.traits('f'), { finalize: true, abort: false, cancelable: false });
    assert.equal(r.hook('f', 'finalize')?.(ctx as never, [] as never), 2);
    assert.equal(r.hook('f', 'onAbort'), null);
  });

  test('what a function has as properties is no hook', () => {
    const r = new HandlerRegistry();
    r.register(
      'f',
      Object.assign(() => 1, { finalize: () => 2 }),
    );
    assert.equal(r.traits('f').finalize, false);
  });

  test('nobody there: no hooks, and it can be cancelled', () => {
    const r = new HandlerRegistry();
    assert.deepEqual(r.traits('nobody'), { finalize: false, abort: false, cancelable: true });
    assert.equal(r.hook('nobody', 'finalize'), null);
    assert.equal(r.meta('nobody'), undefined);
  });
});

describe('aliases', () => {
  test('find what the name has now, and give way to a registration of their own', () => {
    const r = new HandlerRegistry();
    r.register('a', () => 'old', { cancelable: false });
    let told = 0;
    r.onChange(() => told++);
    r.alias('b', 'a');
    assert.equal(told, 1);
    assert.ok(r.has('b'));
    assert.equal(r.resolve('b', undefined)?.(ctx), 'old');
    assert.equal(r.traits('b').cancelable, false);
    r.register('a', () => 'new');
    assert.equal(r.resolve('b', undefined)?.(ctx), 'new');
    r.register('b', () => 'own');
    assert.equal(r.resolve('b', undefined)?.(ctx), 'own');
    assert.deepEqual(
      r.describe().map((h) => [h.id, h.aliases]),
      [
        ['a', []],
        ['b', []],
      ],
    );
    assert.equal(r.resolve('a', undefined)?.(ctx), 'new');
  });

  test('an alias of an alias leads to the handler; meta may name aliases', () => {
    const r = new HandlerRegistry();
    r.register('a', () => 1, { aliases: ['b'] });
    r.alias('c', 'b');
    assert.equal(r.resolve('c', undefined)?.(ctx), 1);
    assert.deepEqual(
      r.describe().map((h) => [h.id, h.aliases]),
      [['a', ['b', 'c']]],
    );
    assert.throws(() => r.alias('a', 'c'), /alias of itself/);
    assert.throws(() => r.alias('d', 'nobody'), /no handler "nobody"/);
    assert.equal(r.has('d'), false);
  });
});

test('describe: every handler once, in order, with its schemas as JSON and nothing run to look', () => {
  const r = new HandlerRegistry();
  const touchy = {
    call: () => 1,
    get danger(): never {
      throw new Error('looked');
    },
  };
  r.register('z', touchy);
  r.register('upload', new Upload(), {
    description: 'Uploads',
    tags: ['s3'],
    source: 'files.ts',
    inputSchema: z.object({ path: z.string() }),
    outputSchema: { type: 'integer' },
  });
  const [upload, last] = r.describe();
  assert.deepEqual(upload, {
    id: 'upload',
    aliases: [],
    description: 'Uploads',
    tags: ['s3'],
    inputSchema: { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object', properties: { path: { type: 'string' } }, required: ['path'] },
    outputSchema: { type: 'integer' },
    cancelable: true,
    hasFinalize: true,
    hasOnAbort: true,
    source: 'files.ts',
    methods: ['call', 'verify'],
  });
  assert.deepEqual([last.id, last.description, last.inputSchema, last.methods], ['z', null, null, ['call']]);
});

test('meta that makes no sense is refused, by handler and field, and changes nothing', () => {
  const cases: [unknown, string, RegExp][] = [
    [{ tag: [] }, 'tag', /did you mean tags/],
    [{ tags: 'x' }, 'tags', /array of texts/],
    [{ aliases: [''] }, 'aliases', /1 to 500/],
    [{ description: 1 }, 'description', /text/],
    [{ inputSchema: { type: 'nonsense' } }, 'inputSchema', /no JSON Schema/],
    [{ inputSchema: [] }, 'inputSchema', /JSON Schema or a validator/],
    [{ outputSchema: { $ref: '#/nowhere' } }, 'outputSchema', /no JSON Schema/],
    [{ cancelable: 'no' }, 'cancelable', /true or false/],
    [{ finalize: {} }, 'finalize', /function/],
    [{ onAbort: 1 }, 'onAbort', /function/],
    [{ retry: 3 }, 'retry', /object/],
    [{ timeout: 'soon' }, 'timeout', /30s/],
    [{ onChildFailure: { tolerate: -1 } }, 'onChildFailure', /tolerate/],
    [{ onChildFailure: 'never' }, 'onChildFailure', /tolerate/],
    [{ maxConcurrentChildren: 0 }, 'maxConcurrentChildren', /1 or more/],
  ];
  const r = new HandlerRegistry();
  for (const [meta, field, message] of cases) {
    assert.throws(
      () => r.registerAll([handler('good', () => 1), handler('bad', () => 1, meta as HandlerMeta)]),
      (e) => e instanceof TuttiError && e.code === 'INVALID_INPUT' && e.field === field && message.test(e.message) && e.message.includes('"bad"'),
      field,
    );
  }
  for (const wrong of [null, 5, 'work'])
    assert.throws(() => r.registerAll([handler('good', () => 1), wrong as never]), { code: 'INVALID_INPUT', field: 'handlers' });
  assert.deepEqual(r.list(), []);
  r.register('fine', () => 1, { retry: { maxAttempts: 2 }, timeout: '30s', onChildFailure: { tolerate: 0 }, maxConcurrentChildren: 1 });
  assert.equal(r.meta('fine')?.timeout, '30s');
});
