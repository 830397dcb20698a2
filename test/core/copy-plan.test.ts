/** What copies are made of (spec/apflow.md §5). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { elementOf } from '../../src/core/copy-elements.ts';
import { type CopyMode, type CopyOptions, type CopyPlan, type CopySource, planCopy } from '../../src/core/copy-plan.ts';
import type { JsonObject } from '../../src/core/definition.ts';
import type { NewNode } from '../../src/core/grow.ts';
import { spawn } from '../../src/core/grow.ts';
import type { NodeDefinition } from '../../src/core/node.ts';
import { TreeBuilder } from '../../src/core/tree-rules.ts';
import { CoreTask, coreStep as step } from '../support/core-task.ts';

const node = (name: string, o: Partial<NodeDefinition> = {}): NewNode => ({ definition: { name, handler: 'h', ...o }, inputs: `{"of":"${name}"}` });

function sourceOf(t: CoreTask): CopySource {
  const { steps, nodes } = t.rows();
  return {
    graph: t.load(),
    nodes: new Map(nodes.map((n) => [n.no, JSON.parse(n.body) as NodeDefinition])),
    rows: new Map(steps.map((s) => [s.no, s])),
  };
}
const plan = (t: CoreTask, mode: CopyMode, o: Partial<CopyOptions> = {}): CopyPlan =>
  planCopy(sourceOf(t), {
    mode,
    recursive: true,
    includeDependencies: false,
    includeDependents: false,
    link: [],
    override: {},
    overrides: new Map(),
    now: 5,
    ...o,
  });
const names = (p: CopyPlan): string[] => p.nodes.map((n) => n.definition.name);

/** root ─ a, b(a), c(a, b?) filed below it; b has a child of its own. */
const tree = (): CoreTask =>
  new CoreTask({
    nodes: [
      node('root', { handler: '', id: 'r1', userId: 'ann' }),
      node('a', { parent: 0, params: { n: 1 }, priority: 1 }),
      node('b', { parent: 0, deps: [[1, true]] }),
      node('c', {
        parent: 0,
        deps: [
          [1, true],
          [2, false],
        ],
      }),
      node('below-b', { parent: 2 }),
      node('last', { deps: [[3, true]] }),
    ],
  });
const runAll = (t: CoreTask): void => {
  for (let begun = t.startAll(); begun.length > 0; begun = t.startAll()) for (const n of begun) t.ok(n);
};

test('a copy has everything by new numbers, no supplied ids and no state of a run', () => {
  const t = tree();
  runAll(t);
  const p = plan(t, 'copy');
  assert.deepEqual(p.from, [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(p.nodes[3], {
    definition: {
      name: 'c',
      handler: 'h',
      parent: 0,
      deps: [
        [1, true],
        [2, false],
      ],
      origin: { type: 'copy', task: 4096, no: 3 },
    },
    inputs: null,
    inputsFrom: { task: 4096, no: 3 },
  });
  assert.deepEqual([p.nodes[1].definition.params, p.nodes[1].definition.priority], [{ n: 1 }, 1]);
  assert.ok(p.nodes.every((n) => n.preset === undefined && n.definition.id === undefined));
  assert.equal(p.nodes[0].definition.userId, 'ann');
});

test('one element: with what is below it; dependencies that are not taken along are left out', () => {
  const p = plan(tree(), 'copy', { element: 2 });
  assert.deepEqual(names(p), ['b', 'below-b']);
  assert.equal(p.nodes[0].definition.deps, undefined);
  assert.equal(p.nodes[0].definition.parent, undefined);
  assert.equal(p.nodes[1].definition.parent, 0);
  const alone = plan(tree(), 'copy', { element: 2, recursive: false });
  assert.deepEqual(names(alone), ['b']);
});

test('with dependencies and dependants, each once', () => {
  assert.deepEqual(names(plan(tree(), 'copy', { element: 3, includeDependencies: true })), ['a', 'b', 'c', 'below-b']);
  const both = plan(tree(), 'copy', { element: 2, includeDependents: true, includeDependencies: true });
  assert.deepEqual(names(both), ['a', 'b', 'c', 'below-b', 'last']);
  assert.deepEqual(both.nodes[2].definition.deps, [
    [0, true],
    [1, false],
  ]);
  assert.deepEqual(names(plan(tree(), 'copy', { element: 2, includeDependents: true })), ['b', 'c', 'below-b', 'last']);
});

test('row 68: only a fully completed tree can be linked', () => {
  const t = tree();
  t.startAll();
  assert.throws(() => plan(t, 'link'), { code: 'ILLEGAL_STATE', message: /Only a fully completed task tree can be linked/ });
  t.ok('a');
  assert.throws(() => plan(t, 'link', { element: 2 }), /Only a fully completed task tree can be linked: b is/);
});

test('row 70: every node of a link is one, with dependencies by new numbers and no data of its own', () => {
  const t = tree();
  runAll(t);
  const p = plan(t, 'link', { element: 3, includeDependencies: true });
  assert.deepEqual(names(p), ['a', 'b', 'c', 'below-b']);
  for (const [i, n] of p.nodes.entries()) {
    assert.deepEqual(n.definition.origin, { type: 'link', task: 4096, no: p.from[i], token: 1 });
    assert.deepEqual([n.inputs, n.inputsFrom], [null, undefined]);
    assert.deepEqual(n.preset, {
      state: 6,
      token: 0,
      attempts: 0,
      startedAt: null,
      firstStartedAt: null,
      finishedAt: 5,
      reason: null,
      error: null,
      resultToken: 0,
      result: null,
    });
  }
  assert.deepEqual(p.nodes[2].definition.deps, [
    [0, true],
    [1, false],
  ]);
});

test('a link to a link is one to the original, a copy of it has the inputs of the original, and both name the first ancestor', () => {
  const t = new CoreTask({
    nodes: [
      {
        definition: { name: 'l', handler: 'h', params: { p: 1 }, origin: { type: 'link', task: 77, no: 3, token: 2 } },
        inputs: null,
        preset: {
          state: 6,
          token: 0,
          attempts: 0,
          startedAt: null,
          firstStartedAt: null,
          finishedAt: 1,
          reason: null,
          error: null,
          resultToken: 0,
          result: null,
        },
      },
      node('copied', { origin: { type: 'copy', task: 78, no: 4 } }),
    ],
  });
  runAll(t);
  assert.equal(t.task, 'complete');
  const links = plan(t, 'link');
  assert.deepEqual(links.nodes[0].definition.origin, { type: 'link', task: 77, no: 3, token: 2 });
  assert.deepEqual(links.nodes[1].definition.origin, { type: 'link', task: 4096, no: 1, token: 1 }, 'where the result is');
  const copies = plan(t, 'copy');
  assert.deepEqual(copies.nodes[0].inputsFrom, { task: 77, no: 3 });
  assert.deepEqual(copies.nodes[0].definition.params, { p: 1 });
  assert.deepEqual(
    copies.nodes.map((n) => n.definition.origin),
    [
      { type: 'copy', task: 77, no: 3 },
      { type: 'copy', task: 78, no: 4 },
    ],
  );
  const frozen = plan(t, 'archive').nodes[0].preset;
  assert.deepEqual([frozen?.resultToken, frozen?.token, frozen?.result], [2, 2, { task: 77, no: 3, token: 2 }]);
});

test('mixed: what is named is linked with its tied children, the rest copied', () => {
  const t = new CoreTask({ nodes: [node('p'), node('kid', { parent: 0, tied: true }), node('other', { deps: [[0, true]] })] });
  runAll(t);
  const p = plan(t, 'mixed', { link: [0] });
  assert.deepEqual(
    p.nodes.map((n) => n.definition.origin?.type),
    ['link', 'link', 'copy'],
  );
  assert.throws(() => plan(t, 'mixed', { link: [0], element: 2 }), { code: 'INVALID_INPUT', message: /link names p, which is not among/ });
});

test('an archive takes any state as it stands', () => {
  const t = new CoreTask([step('a'), step('b', ['a']), step('c'), step('d', ['c'])]);
  t.startAll();
  t.fail('a');
  const p = plan(t, 'archive');
  assert.deepEqual(
    p.nodes.map((n) => [n.definition.name, n.preset?.state, n.preset?.reason, n.preset?.token]),
    [
      ['a', 7, null, 1],
      ['b', 8, 0, 0],
      ['c', 2, null, 1],
      ['d', 0, null, 0],
    ],
  );
  assert.match(p.nodes[0].preset?.error ?? '', /boom/);
});

test('steps of a template become nodes; branches that are not decided are refused, those not taken left out', () => {
  const t = new CoreTask([
    step('d', [], { type: 'decision', branches: { l: ['left'], r: ['right'] }, timeoutMs: 500, initialization: { x: 1 } }),
    step('left', ['d']),
    step('right', ['d']),
    step('join', ['left', 'right'], { type: 'deferred_convergence' }),
  ]);
  assert.throws(() => plan(t, 'copy'), { code: 'ILLEGAL_STATE', message: /d has branches that are not decided yet/ });
  assert.deepEqual(names(plan(t, 'archive')), ['d']);
  t.startAll();
  t.ok('d', '{"type":"create_steps","step_names":["l"]}');
  const p = plan(t, 'copy');
  assert.deepEqual(names(p), ['d', 'left', 'join']);
  assert.deepEqual(p.nodes[0].definition, {
    name: 'd',
    handler: 'd',
    params: { x: 1 },
    retry: { ...step('x').retry },
    timeoutMs: 500,
    origin: { type: 'copy', task: 4096, no: 0 },
  });
  assert.deepEqual(p.nodes[2].definition.deps, [[1, true]]);
});

test('spawned children are left to the parent that will ask for them again; an archive keeps them', () => {
  const t = new CoreTask([step('p')]);
  t.startAll();
  t.turn((out, g) => spawn(out, g, 0, 1, [{ definition: { name: 'kid', handler: 'k', parent: 0, tied: true, key: 'k1' }, inputs: '{}' }]));
  t.ok('p');
  runAll(t);
  assert.deepEqual(names(plan(t, 'copy')), ['p']);
  assert.deepEqual(names(plan(t, 'archive')), ['p', 'kid']);
  assert.deepEqual(names(plan(t, 'mixed', { link: [1] })), ['p', 'kid']);
  assert.deepEqual(names(plan(t, 'copy', { element: 1 })), ['kid']);
});

test('overrides: of the root, of others by number; the handler stays', () => {
  const t = new CoreTask({ nodes: [node('root', { params: { executor_id: 'h', old: 1 } }), node('a', { parent: 0 })] });
  const p = plan(t, 'copy', {
    override: { inputs: '{"new":1}', params: { fresh: true }, priority: 0 },
    overrides: new Map([[1, { inputs: '{"a":2}' }]]),
  });
  assert.deepEqual([p.nodes[0].inputs, p.nodes[0].definition.params, p.nodes[0].definition.priority], ['{"new":1}', { executor_id: 'h', fresh: true }, 0]);
  assert.deepEqual([p.nodes[1].inputs, p.nodes[1].definition.priority], ['{"a":2}', undefined]);
  assert.throws(() => plan(t, 'copy', { element: 1, overrides: new Map([[0, {}]]) }), { code: 'INVALID_INPUT', message: /root is not among/ });
  const two = new CoreTask({ nodes: [node('x'), node('y', { deps: [[0, true]] })] });
  assert.throws(() => plan(two, 'copy', { override: { inputs: '{}' } }), { code: 'INVALID_INPUT', message: /2 steps at the top/ });
  assert.ok(plan(two, 'copy', { override: { priority: 0 } }));
});

test('a preview is an array that the rules of trees take', () => {
  const t = tree();
  runAll(t);
  const p = plan(t, 'copy');
  const counted = new Map(names(p).map((n) => [n, 1]));
  const elements = p.nodes.map((_n, i): JsonObject => elementOf(p, i, `{"of":${i}}`, { originalId: `o${i}`, names: counted }));
  const builder = new TreeBuilder({ hasHandler: (h) => h === 'h', maxElements: 100 });
  for (const e of elements) builder.add(e);
  const again = builder.finish();
  assert.deepEqual(
    again.nodes.map((n) => [n.definition.name, n.definition.parent, n.definition.deps, n.inputs]),
    p.nodes.map((n, i) => [n.definition.name, n.definition.parent, n.definition.deps, `{"of":${i}}`]),
  );
  assert.deepEqual(elements[3], {
    name: 'c',
    parent_id: 'root',
    dependencies: [
      { name: 'a', required: true },
      { name: 'b', required: false },
    ],
    inputs: { of: 3 },
    handler: 'h',
    status: 'pending',
    origin_type: 'copy',
    original_task_id: 'o3',
  });
});

test('a wide tree is planned in one go', () => {
  const nodes = [
    node('root', { handler: '' }),
    ...Array.from({ length: 20_000 }, (_, i) => node(`n${i}`, { parent: 0, ...(i > 0 ? { deps: [[i, true]] } : {}) })),
  ];
  const t = new CoreTask({ nodes });
  while (t.graph.arriving >= 0) t.arriveMore(nodes);
  assert.equal(plan(t, 'copy', { element: 20_000, includeDependencies: true }).nodes.length, 20_000);
});
