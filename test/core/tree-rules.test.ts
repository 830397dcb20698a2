import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_RETRY } from '../../src/core/definition.ts';
import { TuttiError } from '../../src/core/errors.ts';
import { nearestName } from '../../src/core/nearest-name.ts';
import { MAX_PARENT_DEPTH, TreeBuilder, type TreeBuilderOptions, type TreePlan } from '../../src/core/tree-rules.ts';
import { NaiveTree, type NaiveElement } from '../support/naive-tree.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const HANDLERS = ['fetch', 'process', 'save', 'work'];
const OPTIONS: TreeBuilderOptions = {
  hasHandler: (name) => HANDLERS.includes(name),
  nearest: (name) => nearestName(name, HANDLERS),
  maxElements: 200_000,
};
const work = (name: string, more: object = {}): Record<string, unknown> => ({ name, params: { executor_id: 'work' }, ...more });

function plan(elements: readonly unknown[], options: Partial<TreeBuilderOptions> = {}): TreePlan {
  const builder = new TreeBuilder({ ...OPTIONS, ...options });
  for (const e of elements) builder.add(e);
  return builder.finish();
}
function refusal(elements: readonly unknown[], options: Partial<TreeBuilderOptions> = {}): TuttiError {
  try {
    plan(elements, options);
  } catch (e) {
    assert.ok(e instanceof TuttiError, String(e));
    return e;
  }
  throw new assert.AssertionError({ message: 'the tree was accepted' });
}
const refused = (elements: readonly unknown[], message: RegExp, field: string, options: Partial<TreeBuilderOptions> = {}): void => {
  const e = refusal(elements, options);
  assert.equal(e.code, 'INVALID_INPUT');
  assert.match(e.message, message);
  assert.equal(e.field, field);
};
const depsOf = (p: TreePlan): unknown[] => p.nodes.map((n) => n.definition.deps ?? []);

test('what the handler brings along is kept where the element leaves it out; folders have none', () => {
  const retry = { ...DEFAULT_RETRY, maxAttempts: 9 };
  const options = { defaultsOf: (handler: string) => (handler === 'work' ? { retry, timeoutMs: 700, onChildFailure: 4, maxChildren: 2 } : undefined) };
  const { nodes } = plan(
    [
      { name: 'root' },
      work('all', { parent_id: 'root' }),
      work('own', { parent_id: 'root', retry: {}, timeout_seconds: 0, on_child_failure: 'fail_fast', max_concurrent_children: 1 }),
      { name: 'save', parent_id: 'root' },
    ],
    options,
  );
  assert.deepEqual(
    nodes.map(({ definition: d }) => [d.retry, d.timeoutMs, d.onChildFailure, d.maxChildren]),
    [
      [undefined, undefined, undefined, undefined],
      [retry, 700, 4, 2],
      [DEFAULT_RETRY, undefined, 'fail_fast', 1],
      [undefined, undefined, undefined, undefined],
    ],
  );
});

describe('creating trees (spec/apflow.md §8.1)', () => {
  test('row 1: supplied ids are kept and parents are linked', () => {
    const p = plan([work('root', { id: 'r' }), work('a', { id: 'x', parent_id: 'r' }), work('b', { parent_id: 'x' })]);
    assert.deepEqual(
      [...p.ids],
      [
        ['r', 0],
        ['x', 1],
      ],
    );
    assert.deepEqual(
      p.nodes.map((n) => n.definition.parent),
      [undefined, 0, 1],
    );
    assert.deepEqual(p.roots, [0]);
    assert.deepEqual(p.nodes[1], { definition: { name: 'a', id: 'x', handler: 'work', params: { executor_id: 'work' }, parent: 0 }, inputs: '{}' });
  });

  test('row 2: references by name, forward ones too, become numbers; an id wins over a name', () => {
    const p = plan([work('a', { parent_id: 'c', dependencies: ['b', { name: 'c' }] }), work('b', { parent_id: 'c' }), work('c')]);
    assert.deepEqual(depsOf(p)[0], [
      [1, true],
      [2, true],
    ]);
    assert.deepEqual(p.roots, [2]);
    const both = plan([work('x'), work('y', { id: 'x', parent_id: 'z' }), work('z', { parent_id: 'w' }), work('w', { dependencies: ['x', { name: 'x' }] })]);
    assert.deepEqual(
      depsOf(both)[3],
      [
        [1, true],
        [0, true],
      ],
      'text: the id x; under `name`: the element called x',
    );
    const parents = plan([work('x'), work('y', { id: 'x', dependencies: [{ name: 'x' }] }), work('z', { parent_id: 'x' })]);
    assert.equal(parents.nodes[2].definition.parent, 1);
  });

  test('row 4: a tree needs no owner, and has at most one', () => {
    assert.equal(plan([work('a')]).userId, undefined);
    assert.equal(plan([work('a'), work('b', { parent_id: 'a', user_id: 'u' }), work('c', { parent_id: 'a', user_id: 'u' })]).userId, 'u');
    refused([work('a', { user_id: 'u' }), work('b', { parent_id: 'a', user_id: 'v' })], /one owner/, '[1].user_id');
  });

  test('row 5: an empty array is refused', () => refused([], /^Tasks array cannot be empty$/, 'tasks'));

  test('row 7: ids and names are unique, and the message says where', () => {
    refused(
      [work('a'), work('b', { id: 'i', parent_id: 'a' }), work('c', { id: 'i', parent_id: 'a' })],
      /Duplicate task id "i" at index \[2\].*\[1\]/,
      '[2].id',
    );
    refused([work('a', { id: '1' }), work('a', { id: '2', parent_id: '1' })], /Duplicate task name "a" at index \[1\].*\[0\]/, '[1].name');
    refused([work('a', { children: [work('b', { children: [work('a')] })] })], /Duplicate task name/, '[0].children[0].children[0].name');
  });

  test('row 10: a dependency that stands for nobody is refused', () => {
    for (const d of ['zz', { id: 'zz' }, { name: 'zz' }, {}, { required: true }, { id: 5 }, '']) {
      refused([work('a'), work('b', { parent_id: 'a', dependencies: ['a', d] })], /not a valid id or name in the task array/, '[1].dependencies[1]');
    }
    refused([work('a', { dependencies: 'b' })], /must be a list/, '[0].dependencies');
    refused([work('a'), work('b', { parent_id: 'zz' })], /"zz", which is not in the task array/, '[1].parent_id');
  });

  test('row 11: elements joined neither by parents nor by dependencies are several trees', () => {
    refused([work('a'), work('b')], /Multiple root tasks found: "a" at \[0\] and "b" at \[1\]/, '[1]');
    refused([work('a'), work('b', { parent_id: 'a' }), work('c'), work('d', { dependencies: ['c'] })], /Multiple root tasks found/, '[2]');
    const joined = plan([work('a'), work('b'), work('c', { dependencies: ['a', { name: 'b', required: false }] }), work('d', { parent_id: 'b' })]);
    assert.deepEqual(joined.roots, [0, 1, 2]);
    refused([work('a', { parent_id: 'b' }), work('b', { parent_id: 'a' })], /^No root task found/, '[0].parent_id');
  });

  test('row 13: a straight chain is accepted', () => {
    assert.deepEqual(depsOf(plan([work('a'), work('b', { dependencies: ['a'] }), work('c', { dependencies: ['b'] })])), [[], [[0, true]], [[1, true]]]);
  });

  test('row 14: `required` and `type` of a dependency are kept', () => {
    const p = plan([
      work('a'),
      work('b', { dependencies: [{ id: 'a', required: false, type: 'x' }] }),
      work('c', { dependencies: [{ id: 'a', type: 'result' }] }),
    ]);
    assert.deepEqual(depsOf(p), [[], [[0, false, 'x']], [[0, true]]]);
  });

  test('row 16: a parent has all its children', () => {
    const p = plan([work('p'), ...['a', 'b', 'c'].map((n) => work(n, { parent_id: 'p' }))]);
    assert.deepEqual(
      p.nodes.map((n) => n.definition.parent),
      [undefined, 0, 0, 0],
    );
  });

  test('row 17: parents that go in a circle are refused beside a valid root', () => {
    refused([work('root'), work('p', { parent_id: 'q' }), work('q', { parent_id: 'p' })], /^Circular parent detected: p -> q -> p$/, '[1].parent_id');
    refused([work('root'), work('p', { parent_id: 'p' })], /^Circular parent detected: p -> p$/, '[1].parent_id');
  });
});

describe('dependencies', () => {
  test('several entries for one target are one, required if any says so', () => {
    const entries = [{ name: 'a', required: false }, { id: 'i', required: true }, 'b', { name: 'b', required: false }, { name: 'c', required: false }];
    const p = plan([work('a', { id: 'i' }), work('b', { dependencies: ['a'] }), work('c', { dependencies: ['a'] }), work('d', { dependencies: entries })]);
    assert.deepEqual(depsOf(p)[3], [
      [0, true],
      [1, true],
      [2, false],
    ]);
  });

  test('an id and a name beside it mean the same element, or the dependency is refused', () => {
    const given = (dependency: object): object[] => [work('a', { id: 'i' }), work('b', { dependencies: ['a'] }), work('c', { dependencies: [dependency] })];
    assert.deepEqual(depsOf(plan(given({ id: 'i', name: 'a', required: false })))[2], [[0, false]]);
    for (const name of ['b', 'nobody']) refused(given({ id: 'i', name }), /is not the element whose id is "i"/, '[2].dependencies[0].name');
    refused(given({ id: 'i', name: 5 }), /must be text/, '[2].dependencies[0].name');
  });

  test('a cycle is shown as the path that is walked, without what leads to it', () => {
    refused([work('a', { dependencies: ['a'] })], /^Circular dependency detected: a -> a$/, '[0].dependencies');
    const ring = [
      work('tail', { dependencies: ['c'] }),
      work('a', { dependencies: ['c'] }),
      work('b', { dependencies: ['a'] }),
      work('c', { dependencies: [{ name: 'b', required: false }] }),
    ];
    refused(ring, /^Circular dependency detected: c -> b -> a -> c$/, '[3].dependencies');
  });

  test('of a long cycle both ends are shown', () => {
    const ring = Array.from({ length: 5000 }, (_, i) => work(`s${i}`, { dependencies: [`s${(i + 1) % 5000}`] }));
    const e = refusal(ring);
    assert.match(e.message, /Circular dependency detected: s0 -> s1 .*\(\d+ more\).* -> s0$/);
    assert.ok(e.message.length < 400);
  });

  test('a tied child that waits for its parent is a cycle; an untied one, or a parent that waits for its child, is none', () => {
    const late = work('child', { dependencies: ['parent'] });
    refused(
      [work('parent', { children: [late] })],
      /Circular dependency detected: parent -> child -> parent, where "parent" waits for its tied child$/,
      '[0].dependencies',
    );
    refused([work('parent', { children: [work('mid', { children: [late] })] })], /parent -> mid -> child -> parent/, '[0].dependencies');
    assert.equal(plan([work('parent'), { ...late, parent_id: 'parent' }]).nodes.length, 2);
    assert.equal(plan([work('parent', { dependencies: ['child'], children: [work('child')] })]).nodes.length, 2);
  });

  test('at most ten per element on average, once there are a thousand', () => {
    const layered = (width: number): unknown[] => {
      const top = Array.from({ length: width }, (_, i) => work(`a${i}`));
      return [...top, ...top.map((_, i) => work(`b${i}`, { dependencies: top.map((t) => t.name) }))];
    };
    assert.equal(plan(layered(20)).nodes.length, 40, '400 dependencies');
    assert.equal(plan(layered(31)).nodes.length, 62, '961 dependencies of 62 elements');
    refused(layered(40), /1600 dependencies; the limit is 10 per element on average/, 'tasks');
    assert.equal(refusal(layered(40)).details?.limit, 10);
    const wide = Array.from({ length: 3000 }, (_, i) => work(`a${i}`));
    assert.equal(plan([...wide, work('join', { dependencies: wide.map((w) => w.name) })]).nodes.length, 3001);
  });

  test('entries are bounded before the whole is known', () => {
    const builder = new TreeBuilder({ ...OPTIONS, maxElements: 10 });
    assert.throws(() => builder.add(work('a', { dependencies: Array.from({ length: 1001 }, () => 'b') })), { code: 'INVALID_INPUT', field: '[0]' });
  });
});

describe('children in the element', () => {
  test('they are numbered in written order, filed under it and tied', () => {
    const p = plan([
      work('a', { children: [work('b', { children: [work('c')] }), work('d', { tied: false, parent_id: 'a' })] }),
      work('e', { parent_id: 'c', tied: true }),
    ]);
    assert.deepEqual(
      p.nodes.map(({ definition: d }) => [d.name, d.parent, d.tied]),
      [
        ['a', undefined, undefined],
        ['b', 0, true],
        ['c', 1, true],
        ['d', 0, undefined],
        ['e', 2, true],
      ],
    );
  });

  test('a tie needs a parent, and the nesting has the last word on which', () => {
    refused([work('a', { tied: true })], /no parent to be tied to/, '[0].tied');
    refused([work('z'), work('a', { children: [work('b', { parent_id: 'z' })] })], /stands in the children of "a"/, '[1].children[0].parent_id');
    refused([work('a', { children: {} })], /must be a list/, '[0].children');
    refused([work('a', { children: ['b'] })], /must be an object/, '[0].children[0]');
  });

  test('keys are unique among the tied children of one parent', () => {
    const twice = [work('x', { key: 'k' }), work('y', { key: 'k' })];
    refused([work('a', { children: twice })], /"k", as is that of another child of "a"/, '[0].children[1].key');
    assert.equal(plan([work('a', { children: [twice[0], work('b', { children: [twice[1]] })] })]).nodes.length, 4);
  });

  test('a hundred parents may stand above an element, one more may not', () => {
    const chain = (n: number): unknown[] => Array.from({ length: n }, (_, i) => work(`s${i}`, i === 0 ? {} : { parent_id: `s${i - 1}` }));
    assert.equal(plan(chain(101)).nodes.length, 101);
    refused(chain(102).reverse(), /limit is 100 parents/, '[0]');
    const nest = (depth: number): object => work(`n${depth}`, depth === 0 ? {} : { children: [nest(depth - 1)] });
    assert.equal(plan([nest(100)]).nodes.length, 101);
    assert.match(refusal([nest(101)]).message, /limit is 100 parents/);
    refused([...chain(60), { ...nest(41), parent_id: 's59' }], /limit is 100 parents/, `[60]${'.children[0]'.repeat(41)}`);
  });

  test('an object that contains itself is no endless tree', () => {
    const self = work('a', { children: [] as unknown[] });
    (self.children as unknown[]).push(self);
    refused([self], /Duplicate task name/, '[0].children[0].name');
  });

  test('elements are counted with their children', () => {
    const three = [work('a', { children: [work('b'), work('c')] })];
    assert.equal(plan(three, { maxElements: 3 }).nodes.length, 3);
    refused(three, /more than 2 elements/, 'tasks', { maxElements: 2 });
  });
});

describe('handlers', () => {
  const handlerOf = (e: object): string =>
    plan([
      { name: 'root', handler: 'work' },
      { parent_id: 'root', ...e },
    ]).nodes[1].definition.handler;

  test('executor_id, then schemas.method, then handler, then a handler of the same name', () => {
    const all = { name: 'save', params: { executor_id: 'fetch' }, schemas: { method: 'process' }, handler: 'work' };
    assert.equal(handlerOf(all), 'fetch');
    assert.equal(handlerOf({ ...all, params: {} }), 'process');
    assert.equal(handlerOf({ ...all, params: null, schemas: { method: null } }), 'work');
    assert.equal(handlerOf({ name: 'save' }), 'save');
  });

  test('without any, an element with children of either kind is a folder', () => {
    const p = plan([{ name: 'top', children: [work('a')] }, { name: 'sub', parent_id: 'top', handler: '' }, work('b', { parent_id: 'sub' })]);
    assert.deepEqual(
      p.nodes.map((n) => n.definition.handler),
      ['', 'work', '', 'work'],
    );
    assert.equal(plan([{ name: 'fetch', children: [work('a')] }]).nodes[0].definition.handler, 'fetch');
  });

  test('without any, an element without children is refused, with what was perhaps meant', () => {
    refused([work('a'), { name: 'proces', parent_id: 'a' }], /no handler: "proces" is no registered handler.*did you mean "process"\?/, '[1]');
  });

  test('one that nobody has registered is refused, unless workers may have it', () => {
    for (const [field, e] of [
      ['params.executor_id', { name: 'a', params: { executor_id: 'fetsh' } }],
      ['schemas.method', { name: 'a', schemas: { method: 'fetsh' } }],
      ['handler', { name: 'a', handler: 'fetsh' }],
    ] as const) {
      const error = refusal([e]);
      assert.equal(error.code, 'UNKNOWN_HANDLER');
      assert.equal(error.field, `[0].${field}`);
      assert.match(error.message, /"fetsh".*did you mean "fetch"\?/);
      assert.equal(plan([e], { openToWorkers: true }).nodes[0].definition.handler, 'fetsh');
    }
  });
});

describe("an element's own fields", () => {
  test('everything that can be said', () => {
    const { definition, inputs } = plan([
      {
        id: 'any text / of ~ 1 to 255 ✓',
        name: 'Step one: “fetch” ✓',
        priority: 0,
        inputs: { at: new Date(0), list: [1] },
        params: { executor_id: 'fetch', depth: 3 },
        schemas: { method: 'old', type: 't', model: 'm', input_schema: { type: 'object' } },
        user_id: 'u',
        expected_bytes: 1e9,
        retry: { max_attempts: 5, backoff: 'linear', baseMs: 0, jitter: 0 },
        timeout_seconds: 1.5,
        heartbeat_seconds: 0,
        allow_failure: true,
        cancelable: false,
        on_child_failure: { tolerate: 2 },
        max_concurrent_children: 4,
        key: 'k',
      },
    ]).nodes[0];
    assert.deepEqual(definition, {
      id: 'any text / of ~ 1 to 255 ✓',
      name: 'Step one: “fetch” ✓',
      handler: 'fetch',
      params: { executor_id: 'fetch', depth: 3 },
      schemas: { method: 'old', type: 't', model: 'm' },
      inputSchema: { type: 'object' },
      priority: 0,
      retry: { retryable: true, maxAttempts: 5, backoff: 'linear', baseMs: 0, maxMs: 30_000, jitter: 0 },
      timeoutMs: 1500,
      allowFailure: true,
      cancelable: false,
      userId: 'u',
      key: 'k',
      expected: 1e9,
      unit: 'bytes',
      onChildFailure: 2,
      maxChildren: 4,
    });
    assert.equal(inputs, '{"at":"1970-01-01T00:00:00.000Z","list":[1]}');
  });

  test('camelCase says the same, null says nothing, defaults leave no trace', () => {
    const snake = { user_id: 'u', expected_items: 5, timeout_seconds: 3, allow_failure: true, on_child_failure: 'wait_all', max_concurrent_children: 1 };
    const camel = { userId: 'u', expectedItems: 5, timeoutSeconds: 3, allowFailure: true, onChildFailure: 'wait_all', maxConcurrentChildren: 1 };
    assert.deepEqual(plan([work('a', camel)]), plan([work('a', snake)]));
    const nothing = {
      id: null,
      parent_id: null,
      dependencies: null,
      priority: undefined,
      inputs: null,
      schemas: null,
      children: null,
      tied: false,
      cancelable: true,
      allow_failure: false,
    };
    assert.deepEqual(plan([work('a', nothing)]), plan([work('a')]));
    refused([work('a', { user_id: 'u', userId: 'u' })], /says user_id a second time/, '[0].userId');
  });

  test('a view may be submitted again: what it says of a run is left out', () => {
    const view = {
      status: 'completed',
      result: { a: 1 },
      error: null,
      progress: 1,
      created_at: 'x',
      completedAt: 'y',
      has_children: false,
      task_tree_id: 't',
      origin_type: 'copy',
    };
    assert.deepEqual(plan([work('a', view)]), plan([work('a')]));
  });

  test('an unknown field is named, with what was perhaps meant', () => {
    refused([work('a', { dependancies: [] })], /unknown field "dependancies"; did you mean dependencies\?/, '[0].dependancies');
    refused([work('a'), work('b', { dependencies: [{ name: 'a', require: true }] })], /did you mean required\?/, '[1].dependencies[0].require');
    refused([work('a', { retry: { attempts: 3 } })], /did you mean max_attempts\?/, '[0].retry.attempts');
    refused([work('a', { zzzzzz: 1 })], /known are id, name, parent_id/, '[0].zzzzzz');
  });

  test('of equal input schemas one is looked at', () => {
    let looked = 0;
    const schemas = (n: number): object => ({ schemas: { input_schema: { type: 'object', minProperties: n } } });
    const elements = Array.from({ length: 3000 }, (_, i) => work(`e${i}`, { ...(i === 0 ? {} : { parent_id: 'e0' }), ...schemas(i % 3) }));
    plan(elements, { schemaProblem: () => (++looked > 0 ? null : null) });
    assert.equal(looked, 3);
  });

  const wrong: [field: string, more: object][] = [
    ['name', { name: '' }],
    ['name', { name: undefined }],
    ['name', { name: 5 }],
    ['name', { name: 'a'.repeat(256) }],
    ['name', { name: 'a\nb' }],
    ['name', { name: 'a\u0085b' }],
    ['name', { name: 'a\ud800' }],
    ['id', { id: '' }],
    ['id', { id: 'a'.repeat(256) }],
    ['id', { id: 7 }],
    ['priority', { priority: 4 }],
    ['priority', { priority: -1 }],
    ['priority', { priority: 1.5 }],
    ['priority', { priority: '1' }],
    ['inputs', { inputs: [] }],
    ['inputs', { inputs: 'x' }],
    ['params', { params: 'work' }],
    ['params.executor_id', { params: { executor_id: 5 } }],
    ['schemas', { schemas: [] }],
    ['schemas.input_schema', { schemas: { input_schema: 'x' } }],
    ['tied', { tied: 'yes' }],
    ['expected_bytes', { expected_bytes: -1 }],
    ['expected_items', { expected_items: 1.5 }],
    ['expected_items', { expected_items: 1, expected_bytes: 1 }],
    ['retry', { retry: 3 }],
    ['retry.max_attempts', { retry: { max_attempts: 101 } }],
    ['retry.backoff', { retry: { backoff: 'fast' } }],
    ['retry.jitter', { retry: { jitter: 2 } }],
    ['timeout_seconds', { timeout_seconds: -1 }],
    ['timeout_seconds', { timeout_seconds: Number.NaN }],
    ['on_child_failure', { on_child_failure: 'ignore' }],
    ['on_child_failure', { on_child_failure: 5 }],
    ['on_child_failure', { on_child_failure: { tolerate: -1 } }],
    ['on_child_failure', { on_child_failure: { tolerate: 1, more: 2 } }],
    ['max_concurrent_children', { max_concurrent_children: 0 }],
    ['cancelable', { cancelable: 1 }],
    ['parent_id', { parent_id: {} }],
  ];
  for (const [field, more] of wrong) {
    test(`refused: ${JSON.stringify(more).slice(0, 60)}`, () => {
      const e = refusal([work('root'), work('x', { parent_id: 'root', ...more })]);
      assert.equal(e.code, 'INVALID_INPUT');
      assert.equal(e.field, `[1].${field}`);
      assert.ok(e.message.includes(`[1].${field}`), e.message);
    });
  }

  test('inputs keep the rules of stored values, and their limits', () => {
    assert.equal(refusal([work('a', { inputs: { m: new Map() } })]).code, 'UNSTORABLE_VALUE');
    refused([work('a', { inputs: { s: 'x'.repeat(11) } })], /the limit is 10/, '[0].inputs.s', { limits: { maxString: 10 } });
    assert.equal(refusal([work('a', { inputs: { s: 'x'.repeat(100) } })], { limits: { maxBytes: 50 } }).field, '[0].inputs');
  });

  test('what was added is kept as it was, whatever the caller does with it later', () => {
    const params = { executor_id: 'work', list: [1] };
    const builder = new TreeBuilder(OPTIONS);
    builder.add({ name: 'a', params });
    params.list.push(2);
    assert.deepEqual(builder.finish().nodes[0].definition.params, { executor_id: 'work', list: [1] });
  });
});

test('random trees are judged as a naive reading of the rules judges them', () => {
  const seen = new Map<string, number>();
  for (let seed = 1; seed <= 3000; seed++) {
    const elements = randomTree(new SeededRandom(seed));
    const naive = new NaiveTree(elements);
    const expected = naive.problem();
    seen.set(expected ?? 'accepted', (seen.get(expected ?? 'accepted') ?? 0) + 1);
    if (expected === null) {
      const p = plan(elements);
      assert.deepEqual(
        p.nodes.map(({ definition: d }) => ({ name: d.name, parent: d.parent ?? -1, tied: d.tied === true, deps: d.deps ?? [] })),
        naive.nodes(),
        `seed ${seed}`,
      );
    } else {
      const e = refusal(elements);
      assert.ok(e.message.includes(expected), `seed ${seed}: ${e.message}, expected ${expected}`);
    }
  }
  for (const outcome of ['accepted', 'No root', 'Multiple root', 'Circular parent', 'Circular dependency', 'not in the task array', 'not a valid id or name']) {
    assert.ok((seen.get(outcome) ?? 0) >= 20, `too few of the trees are ${outcome}: ${JSON.stringify([...seen])}`);
  }
});

/** Up to ten elements whose references go anywhere, now and then nowhere. */
function randomTree(random: SeededRandom): NaiveElement[] {
  const size = random.int(1, 10);
  const wild = random.chance(0.3);
  const elements: NaiveElement[] = [];
  const all: NaiveElement[] = [];
  const ref = (no: number): string => {
    if (random.chance(0.01)) return 'nobody';
    const to = wild ? random.int(0, size - 1) : Math.max(0, random.int(0, no - 1));
    return random.chance(0.5) ? `n${to}` : `i${to}`;
  };
  for (let no = 0; no < size; no++) {
    const e: NaiveElement = { name: `n${no}`, id: `i${no}`, params: { executor_id: 'work' } };
    const outer = all.length > 0 && random.chance(0.2) ? random.pick(all) : undefined;
    if (outer !== undefined) (outer.children ??= []).push(e);
    else {
      if (no > 0 ? random.chance(0.7) : wild && random.chance(0.3)) {
        e.parent_id = ref(no);
        if (random.chance(0.2)) e.tied = true;
      }
      elements.push(e);
    }
    if (no > 0 || wild) {
      const deps = Array.from({ length: random.chance(0.6) ? random.int(0, 3) : 0 }, () =>
        random.chance(0.5) ? ref(no) : { id: ref(no), required: random.chance(0.5) },
      );
      if (deps.length > 0) e.dependencies = deps;
    }
    all.push(e);
  }
  return elements;
}

describe('100,000 elements', () => {
  const SIZE = 100_000;
  const shapes: [what: string, element: (i: number) => object][] = [
    ['one chain of dependencies, last first', (i) => (i === SIZE - 1 ? work(`s${i}`) : work(`s${i}`, { dependencies: [`s${i + 1}`], inputs: { i } }))],
    [
      'a hundred folders of a thousand, each pair joined',
      (i) =>
        i === 0
          ? work('s0')
          : work(`s${i}`, {
              parent_id: i <= 100 ? 's0' : `s${(i % 100) + 1}`,
              dependencies: i > 101 ? [`s${i - 1}`, { name: `s${i - 101}`, required: false }] : [],
              inputs: { i },
            }),
    ],
    [
      'one parent of all',
      (i) =>
        i === SIZE - 1 ? work(`s${i}`, { dependencies: Array.from({ length: SIZE - 1 }, (_, k) => `s${k}`) }) : work(`s${i}`, { parent_id: `s${SIZE - 1}` }),
    ],
  ];
  for (const [what, element] of shapes) {
    // About 0.4 s where it was written; the bound is for what is not linear, which would take minutes.
    test(`${what}: planned within 10 s`, (t) => {
      const elements = Array.from({ length: SIZE }, (_, i) => element(i));
      const start = performance.now();
      const p = plan(elements);
      const took = performance.now() - start;
      assert.equal(p.nodes.length, SIZE);
      t.diagnostic(`${Math.round(took)} ms`);
      assert.ok(took < 10_000, `took ${Math.round(took)} ms`);
    });
  }

  test('the end may be taken in slices', () => {
    const builder = new TreeBuilder(OPTIONS);
    for (let i = 0; i < SIZE; i++) builder.add(work(`s${i}`, i === 0 ? {} : { dependencies: [`s${i - 1}`] }));
    let pauses = 0;
    const steps = builder.finishing();
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) pauses++;
    assert.equal(step.value.nodes.length, SIZE);
    assert.ok(pauses >= 10, `${pauses} pauses`);
  });

  test('children of one element, in one go', () => {
    assert.equal(plan([work('p', { children: Array.from({ length: SIZE }, (_, i) => work(`s${i}`)) })]).nodes.length, SIZE + 1);
  });
});

describe('limits of what a stranger may ask for', () => {
  test('children nested deeper than parents may stand are refused at the first that is too deep, not after all of them', () => {
    const nested = (levels: number): object => {
      let element: object = work('leaf');
      for (let i = 0; i < levels; i++) element = { name: `n${i}`, children: [element] };
      return element;
    };
    const builder = new TreeBuilder(OPTIONS);
    assert.throws(() => builder.add(nested(50_000)), { code: 'INVALID_INPUT', message: /the limit is 100 parents/ });
    assert.equal(builder.size, MAX_PARENT_DEPTH + 1);
    assert.equal(plan([nested(MAX_PARENT_DEPTH)]).nodes.length, MAX_PARENT_DEPTH + 1);
  });

  test('waits that no clock could be added to, and schemas that would take seconds to compile, are refused', () => {
    for (const field of ['backoff_base_ms', 'max_backoff_ms']) {
      refused([work('a', { retry: { [field]: 2 ** 53 - 1 } })], /whole number from 0 to/, `[0].retry.${field}`);
    }
    assert.ok(Number.isSafeInteger(Date.UTC(9999, 0) + 2 ** 52));
    const schema = { enum: Array.from({ length: 999 }, (_, i) => `${i}`.padStart(80)) };
    refused([work('a', { schemas: { input_schema: schema } })], /the limit is 65536 bytes/, '[0].schemas.input_schema');
    plan([work('a', { retry: { max_backoff_ms: 2 ** 52 }, schemas: { input_schema: { enum: schema.enum.slice(0, 700) } } })]);
  });
});
