import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as v from 'valibot';
import { z } from 'zod';
import { DEFAULT_RETRY } from '../../src/core/definition.ts';
import { isTuttiError } from '../../src/core/errors.ts';
import { parseDuration } from '../../src/sdk/duration.ts';
import { HandlerRegistry, handler } from '../../src/sdk/handler-registry.ts';
import { template } from '../../src/sdk/template.ts';
import { formatTemplateId, parseOpenTemplateId, parseTemplateId } from '../../src/sdk/template-id.ts';

function refused(make: () => unknown): { code: string; field: string | undefined; message: string } {
  try {
    make();
  } catch (e) {
    assert.ok(isTuttiError(e), String(e));
    return { code: e.code, field: e.field, message: e.message };
  }
  return assert.fail('it was accepted');
}
const retry = DEFAULT_RETRY;

describe('definition', () => {
  test('of the sample: steps in order, defaults left out, handlers named after template and step', () => {
    const order = template('orders/fulfilment@1.0.0', {
      input: z.object({ id: z.string(), n: z.number().default(1) }),
      onFailure: 'block',
      deadline: '2h',
      priority: 1,
    })
      .step('validate', () => true)
      .step(
        'notify',
        { after: ['validate'], retry: { maxAttempts: 1, baseMs: '2s' }, timeout: '30s', heartbeat: 500, allowFailure: true, cancelable: false },
        () => 'x',
      )
      .step('ship', {
        after: { validate: 'required', notify: 'optional' },
        handler: 'ship',
        method: 'go',
        config: { a: 1 },
        mergedInputs: true,
        description: 'd',
        priority: 0,
      });
    const { inputSchema, ...rest } = order.definition();
    assert.deepEqual(rest, {
      namespace: 'orders',
      name: 'fulfilment',
      version: '1.0.0',
      policy: 'block',
      deadlineMs: 7_200_000,
      priority: 1,
      steps: [
        { name: 'validate', type: 'standard', handler: 'orders/fulfilment@1.0.0:validate', dependencies: [], retry },
        {
          name: 'notify',
          type: 'standard',
          handler: 'orders/fulfilment@1.0.0:notify',
          dependencies: [{ name: 'validate', required: true }],
          retry: { ...retry, maxAttempts: 1, baseMs: 2000 },
          timeoutMs: 30_000,
          heartbeatMs: 500,
          allowFailure: true,
          cancelable: false,
        },
        {
          name: 'ship',
          type: 'standard',
          handler: 'ship',
          method: 'go',
          initialization: { a: 1 },
          mergedInputs: true,
          description: 'd',
          priority: 0,
          retry,
          dependencies: [
            { name: 'validate', required: true },
            { name: 'notify', required: false },
          ],
        },
      ],
    });
    assert.deepEqual(Object.keys((inputSchema?.properties ?? {}) as object), ['id', 'n']);
    assert.deepEqual(inputSchema?.required, ['id']);
    assert.deepEqual([...order.handlers().keys()], ['orders/fulfilment@1.0.0:validate', 'orders/fulfilment@1.0.0:notify']);
    assert.equal(order.definition(), order.definition());
  });

  test('returns is part of it, and survives steps added later', () => {
    const t = template('a/b@1.0.0')
      .step('x', () => 1)
      .returns('x')
      .step('y', () => 2);
    assert.equal(t.definition().returns, 'x');
    assert.deepEqual(t.returns(['x', 'y']).definition().returns, ['x', 'y']);
    assert.equal(
      template('a/b@1.0.0')
        .step('x', () => 1)
        .definition().returns,
      undefined,
    );
  });

  test('two templates may grow from the same beginning', () => {
    const base = template('a/b@1.0.0').step('x', () => 1);
    const left = base.step('left', { after: ['x'] }, () => 1);
    const right = base.step('right', { after: ['x'] }, () => 2);
    assert.deepEqual(
      left.definition().steps.map((s) => s.name),
      ['x', 'left'],
    );
    assert.deepEqual(
      right.definition().steps.map((s) => s.name),
      ['x', 'right'],
    );
    assert.deepEqual([...base.handlers().keys()], ['a/b@1.0.0:x']);
  });
});

describe('what the types would refuse is refused without them, too', () => {
  const t = (): ReturnType<ReturnType<typeof template>['untyped']> =>
    template('a/b@1.0.0')
      .step('x', () => 1)
      .untyped();
  const cases: [what: string, make: () => unknown, says: RegExp][] = [
    [
      'a duplicate name',
      () =>
        t()
          .step('x', () => 1)
          .definition(),
      /step "x": name: another step/,
    ],
    [
      'an unknown dependency',
      () =>
        t()
          .step('y', { after: ['zz'] }, () => 1)
          .definition(),
      /step "y": dependencies: names "zz"/,
    ],
    [
      'a dependency named twice',
      () =>
        t()
          .step('y', { after: ['x', 'x'] }, () => 1)
          .definition(),
      /twice/,
    ],
    ['neither required nor optional', () => t().step('y', { after: { x: 'maybe' as 'required' } }, () => 1), /step "y": after: "x" must be/],
    [
      'priority 7',
      () =>
        t()
          .step('y', { priority: 7 }, () => 1)
          .definition(),
      /step "y": priority: must be 0, 1, 2 or 3, not 7/,
    ],
    ['a negative timeout', () => t().step('y', { timeout: -1 }, () => 1), /step "y": timeout: .*not -1/],
    ['a timeout in no unit', () => t().step('y', { timeout: '30 parsecs' }, () => 1), /30 parsecs/],
    ['a misspelt option', () => t().step('y', { timeOut: 1 } as never, () => 1), /step "y": timeOut: is no option/],
    ['a misspelt retry option', () => t().step('y', { retry: { attempts: 1 } as never }, () => 1), /retry\.attempts: is no retry option/],
    ['no function', () => t().step('y', {}), /handler: is missing/],
    ['a function and a handler', () => t().step('y', { handler: 'h' }, () => 1), /not both/],
    ['something else as function', () => t().step('y', {}, 3 as never), /must be a function/],
    ['returns of a stranger', () => t().returns('zz').definition(), /returns: names "zz"/],
    ['no steps', () => template('a/b@1.0.0').definition(), /at least one step/],
    [
      'a deadline in no unit',
      () =>
        template('a/b@1.0.0', { deadline: 'soon' })
          .step('x', () => 1)
          .definition(),
      /deadline/,
    ],
  ];
  for (const [what, make, says] of cases) {
    test(what, () => {
      const e = refused(make);
      assert.equal(e.code, 'INVALID_TEMPLATE');
      assert.match(e.message, says);
      assert.match(e.message, /^template a\/b@1\.0\.0: /);
    });
  }
});

test('10,000 steps and more are added in linear time', () => {
  const build = (n: number): number => {
    const start = performance.now();
    let t = template('a/b@1.0.0').untyped();
    for (let i = 0; i < n; i++) t = t.step(`s${i}`, { after: i === 0 ? [] : [`s${i - 1}`] }, () => i);
    assert.equal(t.definition().steps.length, n);
    assert.equal(t.handlers().size, n);
    return performance.now() - start;
  };
  build(2000);
  const small = build(5000);
  assert.ok(build(50_000) < Math.max(60 * small, 2000));
});

describe('id', () => {
  test('is taken apart and put together again', () => {
    assert.deepEqual(parseTemplateId('orders/order.v2@1.0.0-rc.1'), { namespace: 'orders', name: 'order.v2', version: '1.0.0-rc.1' });
    assert.equal(formatTemplateId(parseTemplateId('a/b@1.2.3')), 'a/b@1.2.3');
    assert.deepEqual(parseOpenTemplateId('a/b'), { namespace: 'a', name: 'b' });
  });
  const cases: [id: string, part: string][] = [
    ['order@1.0.0', 'namespace'],
    ['/b@1.0.0', 'namespace'],
    ['a-b/c@1.0.0', 'namespace'],
    ['a/@1.0.0', 'name'],
    ['a/b c@1.0.0', 'name'],
    ['a/b/c@1.0.0', 'name'],
    ['a/b', 'version'],
    ['a/b@', 'version'],
    ['a/b@1.0', 'version'],
    ['a/b@latest', 'version'],
    ['', 'namespace'],
  ];
  for (const [id, part] of cases) {
    test(`${JSON.stringify(id)}: the ${part} is wrong`, () => {
      const e = refused(() => template(id));
      assert.deepEqual([e.code, e.field], ['INVALID_TEMPLATE', part]);
    });
  }
});

describe('validators', () => {
  const check = (t: { validator(): ((x: unknown) => unknown) | undefined }, input: unknown): unknown => t.validator()?.(input);

  test('zod: issues with paths, completed values', () => {
    const t = template('a/b@1.0.0', { input: z.object({ id: z.string(), items: z.array(z.object({ n: z.number() })).default([]) }) });
    assert.deepEqual(check(t, { id: 'x' }), { ok: true, value: { id: 'x', items: [] } });
    const bad = check(t, { id: 3, items: [{ n: 'x' }] }) as { ok: false; issues: { path: string }[] };
    assert.deepEqual([bad.ok, bad.issues.map((i) => i.path)], [false, ['id', 'items[0].n']]);
  });

  test('valibot: any Standard Schema will do', () => {
    const t = template('a/b@1.0.0', { input: v.object({ deep: v.object({ n: v.number() }) }) }).step('s', ({ input }) => input.deep.n);
    const bad = check(t, { deep: { n: 'x' } }) as { ok: false; issues: { path: string }[] };
    assert.deepEqual([bad.ok, bad.issues.map((i) => i.path)], [false, ['deep.n']]);
    assert.equal(t.definition().inputSchema, undefined);
  });

  test('asynchronous ones, and libraries that offer a JSON Schema', async () => {
    const schema = {
      '~standard': {
        version: 1 as const,
        vendor: 'own',
        types: undefined as { input: { n: string }; output: { n: number } } | undefined,
        validate: async (x: unknown) => (typeof x === 'object' ? { value: { n: 1 } } : { issues: [{ message: 'no', path: [{ key: 'n' }, 0] }] }),
        jsonSchema: { input: ({ target }: { target: string }) => ({ $comment: target, type: 'object', drop: undefined }) },
      },
    };
    const t = template('a/b@1.0.0', { input: schema }).step('s', ({ input }) => input.n.toFixed());
    assert.deepEqual(await check(t, {}), { ok: true, value: { n: 1 } });
    assert.deepEqual(await check(t, 3), { ok: false, issues: [{ path: 'n[0]', message: 'no' }] });
    assert.deepEqual(t.definition().inputSchema, { $comment: 'draft-2020-12', type: 'object' });
  });

  test('what has no JSON form does not cost the rest of the schema', () => {
    const t = template('a/b@1.0.0', { input: z.object({ at: z.date(), id: z.string() }) }).step('s', () => 1);
    assert.deepEqual(t.definition().inputSchema?.properties, { at: {}, id: { type: 'string' } });
    assert.equal(template('a/b@1.0.0').validator(), undefined);
  });
});

test('durations', () => {
  const cases: [given: string | number, ms: number | null][] = [
    [0, 0],
    [1.6, 2],
    ['30s', 30_000],
    ['1.5m', 90_000],
    ['1h30m', 5_400_000],
    ['1h 30m', 5_400_000],
    [' 250 ms ', 250],
    ['7d', 604_800_000],
    ['', null],
    ['30', null],
    ['s', null],
    ['30s!', null],
    ['-3s', null],
    ['1e3s', null],
    [-1, null],
    [Number.NaN, null],
    [Infinity, null],
  ];
  for (const [given, ms] of cases) assert.equal(parseDuration(given), ms, String(given));
});

test('the registry refuses what cannot be called', () => {
  const registry = new HandlerRegistry();
  assert.deepEqual(refused(() => registry.register('', () => 1)).field, 'name');
  assert.deepEqual(refused(() => registry.register('x'.repeat(501), () => 1)).field, 'name');
  assert.match(refused(() => registry.register('x', class Mail {})).message, /instance/);
  assert.match(refused(() => registry.register('x', 3 as never)).message, /function/);
  assert.equal(registry.has('x'), false);
  registry.registerAll([handler('mail', () => 1, { description: 'sends' })]);
  assert.deepEqual(registry.list(), [{ name: 'mail', meta: { description: 'sends' } }]);
  assert.equal(registry.resolve('mail', 'apply'), null);
  assert.equal(registry.resolve('nobody', undefined), null);
});
