import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_BATCH, DEFAULT_RETRY, type StepDefinition, type TemplateDefinition } from '../../src/core/definition.ts';
import { checkTemplate, describeProblem } from '../../src/core/template-rules.ts';

const step = (name: string, deps: string[] = [], more: object = {}): StepDefinition => ({
  name,
  type: 'standard',
  handler: 'h',
  dependencies: deps.map((d) => ({ name: d, required: true })),
  retry: DEFAULT_RETRY,
  ...more,
});
const template = (steps: StepDefinition[], more: object = {}): TemplateDefinition => ({
  namespace: 'n',
  name: 't',
  version: '1.0.0',
  policy: 'fail',
  steps,
  ...more,
});
const found = (def: TemplateDefinition): string[] => checkTemplate(def).map((p) => `${p.path} ${p.step ?? '-'} ${p.field}`);

test('a template that keeps the rules has no problems', () => {
  const full = step('b', ['a'], { priority: 0, timeoutMs: 0, heartbeatMs: 5, method: 'go', retry: { ...DEFAULT_RETRY, maxAttempts: 0, baseMs: 0, jitter: 1 } });
  assert.deepEqual(checkTemplate(template([step('a'), full], { priority: 3, deadlineMs: 1, returns: ['a', 'b'], version: '1.2.3-rc.1+build.5' })), []);
});

describe('each rule names path, step and field', () => {
  const cases: [what: string, def: TemplateDefinition, expected: string[]][] = [
    ['no steps', template([]), ['steps - steps']],
    ['namespace with a dash', template([step('a')], { namespace: 'a-b' }), ['namespace - namespace']],
    ['namespace of 30', template([step('a')], { namespace: 'a'.repeat(30) }), ['namespace - namespace']],
    ['empty name', template([step('a')], { name: '' }), ['name - name']],
    ['version 1.0', template([step('a')], { version: '1.0' }), ['version - version']],
    ['version 01.0.0', template([step('a')], { version: '01.0.0' }), ['version - version']],
    ['unknown policy', template([step('a')], { policy: 'ignore' }), ['policy - policy']],
    ['returns a stranger', template([step('a')], { returns: ['a', 'zz'] }), ['returns - returns']],
    ['step name with a space', template([step('a b')]), ['steps[0].name a b name']],
    ['step name that starts with a digit', template([step('1a')]), ['steps[0].name 1a name']],
    ['step name of 129', template([step('a'.repeat(129))]), [`steps[0].name ${'a'.repeat(128)} name`]],
    ['duplicate step', template([step('a'), step('b'), step('a')]), ['steps[2].name a name']],
    ['missing dependency', template([step('a', ['zz'])]), ['steps[0].dependencies[0] a dependencies']],
    ['self dependency', template([step('a', ['a'])]), ['steps[0].dependencies[0] a dependencies']],
    ['dependency named twice', template([step('a'), step('b', ['a', 'a'])]), ['steps[1].dependencies[1] b dependencies']],
    ['priority 7', template([step('a', [], { priority: 7 })]), ['steps[0].priority a priority']],
    ['priority 1.5', template([step('a', [], { priority: 1.5 })]), ['steps[0].priority a priority']],
    ['negative timeout', template([step('a', [], { timeoutMs: -1 })]), ['steps[0].timeoutMs a timeoutMs']],
    ['heartbeat NaN', template([step('a', [], { heartbeatMs: Number.NaN })]), ['steps[0].heartbeatMs a heartbeatMs']],
    ['maxAttempts 101', template([step('a', [], { retry: { ...DEFAULT_RETRY, maxAttempts: 101 } })]), ['steps[0].retry.maxAttempts a retry.maxAttempts']],
    ['unknown backoff', template([step('a', [], { retry: { ...DEFAULT_RETRY, backoff: 'fast' } })]), ['steps[0].retry.backoff a retry.backoff']],
    ['jitter 2', template([step('a', [], { retry: { ...DEFAULT_RETRY, jitter: 2 } })]), ['steps[0].retry.jitter a retry.jitter']],
    ['no handler', template([step('a', [], { handler: '' })]), ['steps[0].handler a handler']],
    ['no type', template([step('a', [], { type: 'choice' })]), ['steps[0].type a type']],
    ['negative deadline', template([step('a')], { deadlineMs: -5 }), ['deadlineMs - deadlineMs']],
  ];
  for (const [what, def, expected] of cases) test(what, () => assert.deepEqual(found(def), expected));
});

describe('decisions and batches', () => {
  const batch = { ...DEFAULT_BATCH, workerTemplate: 'w' };
  const route = (branches?: object): StepDefinition => step('route', ['in'], { type: 'decision', ...(branches === undefined ? {} : { branches }) });
  const split = (more: object = {}): StepDefinition => step('split', [], { type: 'batchable', batch: { ...batch, ...more } });
  const worker = (name = 'w', deps = ['split']): StepDefinition => step(name, deps, { type: 'batch_worker' });
  const join = (name: string, deps: string[]): StepDefinition => step(name, deps, { type: 'deferred_convergence' });
  const long = 'w'.repeat(125);
  const full = template([
    step('in'),
    route({ small: ['a'], big: ['b2', 'b'], none: [] }),
    step('a', ['route']),
    step('b', ['route', 'in']),
    step('b2', ['b']),
    join('end', ['a', 'b2']),
    split(),
    worker(),
    join('sum', ['w', 'end']),
  ]);
  test('a template with both has no problems', () => assert.deepEqual(checkTemplate(full), []));
  const cases: [what: string, def: TemplateDefinition, expected: string[]][] = [
    ['branches of a standard step', template([step('a', [], { branches: {} })]), ['steps[0].branches a branches']],
    ['branches that are no mapping', template([step('in'), route(3 as never)]), ['steps[1].branches route branches']],
    ['a branch that is no list', template([step('in'), route({ a: 'x' })]), ['steps[1].branches.a route branches.a']],
    ['a branch of a stranger', template([step('in'), route({ x: ['zz'] })]), ['steps[1].branches.x route branches.x']],
    ['a branch of a step above', template([step('in'), route({ x: ['in'] })]), ['steps[1].branches.x route branches.x']],
    ['a branch of a step beside', template([step('in'), route({ x: ['b'] }), step('b', ['in'])]), ['steps[1].branches.x route branches.x']],
    ['a branch called like another step', template([step('in'), route({ in: ['b'] }), step('b', ['route'])]), ['steps[1].branches.in route branches.in']],
    [
      'a branch of 101',
      template([step('in'), route({ x: Array.from({ length: 101 }, (_, i) => `s${i}`) }), ...Array.from({ length: 101 }, (_, i) => step(`s${i}`, ['route']))]),
      ['steps[1].branches.x route branches.x'],
    ],
    [
      'a branch of a batch worker',
      template([step('in'), route({ x: ['split', 'w'] }), step('split', ['route'], { type: 'batchable', batch }), worker()]),
      ['steps[1].branches.x route branches.x'],
    ],
    ['a convergence of nothing', template([join('a', [])]), ['steps[0].dependencies a dependencies']],
    ['a convergence of what is there anyway', template([step('in'), join('a', ['in'])]), ['steps[1].dependencies a dependencies']],
    ['a convergence of a decision alone', template([step('in'), route(), join('a', ['route'])]), ['steps[2].dependencies a dependencies']],
    ['no batch', template([step('split', [], { type: 'batchable' })]), ['steps[0].batch split batch']],
    ['a batch of a standard step', template([step('a', [], { batch: { ...batch, workerTemplate: 'a' } })]), ['steps[0].batch a batch']],
    ['batches of 0', template([split({ batchSize: 0 }), worker()]), ['steps[0].batch.batchSize split batch.batchSize']],
    ['batches of 100,001', template([split({ batchSize: 100_001 }), worker()]), ['steps[0].batch.batchSize split batch.batchSize']],
    ['parallelism of 1,001', template([split({ parallelism: 1001 }), worker()]), ['steps[0].batch.parallelism split batch.parallelism']],
    ['an unknown strategy', template([split({ failureStrategy: 'retry' }), worker()]), ['steps[0].batch.failureStrategy split batch.failureStrategy']],
    ['no cursor field', template([split({ cursorField: '' }), worker()]), ['steps[0].batch.cursorField split batch.cursorField']],
    ['a worker that is none', template([split({ workerTemplate: 'zz' })]), ['steps[0].batch.workerTemplate split batch.workerTemplate']],
    ['a worker of another type', template([split(), step('w', ['split'])]), ['steps[0].batch.workerTemplate split batch.workerTemplate']],
    ['a worker that does not follow', template([split(), worker('w', [])]), ['steps[1].dependencies w dependencies']],
    ['a worker of nobody', template([split(), worker(), worker('v')]), ['steps[2].type v type']],
    [
      'a worker of two',
      template([split(), step('again', [], { type: 'batchable', batch }), worker('w', ['split', 'again'])]),
      ['steps[1].batch.workerTemplate again batch.workerTemplate'],
    ],
    ['a worker whose workers’ names do not fit', template([split({ workerTemplate: long }), worker(long)]), [`steps[1].name ${long} name`]],
    ['a standard step after workers', template([split(), worker(), step('b', ['w'])]), ['steps[2].dependencies b dependencies']],
  ];
  for (const [what, def, expected] of cases) test(what, () => assert.deepEqual(found(def), expected));

  const nested = (n: number): StepDefinition[] => [
    step('d0', [], { type: 'decision' }),
    ...Array.from({ length: n - 1 }, (_, i) => step(`d${i + 1}`, [`d${i}`], { type: 'decision' })),
  ];
  test('twenty decisions may lie below one another, a twenty-first may not', () => {
    assert.deepEqual(checkTemplate(template(nested(20))), []);
    assert.deepEqual(found(template(nested(23))), ['steps[20].dependencies d20 dependencies']);
  });

  test('decisions that follow one another are not below one another', () => {
    const steps = [step('e0')];
    for (let i = 1; i <= 60; i++) {
      steps.push(step(`d${i}`, [`e${i - 1}`], { type: 'decision' }), step(`a${i}`, [`d${i}`]), step(`in${i}`, [`d${i}`], { type: 'decision' }));
      steps.push(step(`b${i}`, [`in${i}`]), join(`e${i}`, [`a${i}`, `b${i}`]));
    }
    assert.deepEqual(checkTemplate(template(steps)), []);
  });
});

test('a cycle is shown as the path that is walked, without what only leads to it', () => {
  const [p, ...rest] = checkTemplate(template([step('tail', ['c']), step('a', ['c']), step('b', ['a']), step('c', ['b']), step('root')]));
  assert.deepEqual(rest, []);
  assert.match(p.message, /: c -> b -> a -> c$/);
  assert.equal(describeProblem(p), `step "c": dependencies: ${p.message}`);
});

test('several problems are all told, at most about a hundred', () => {
  assert.equal(checkTemplate(template([step('a', ['x', 'y'], { priority: 9 }), step('a')])).length, 4);
  assert.ok(checkTemplate(template(Array.from({ length: 5000 }, () => step('a')))).length <= 110);
});

test('a graph is refused exactly when it has a cycle', () => {
  const graphs = fc
    .integer({ min: 2, max: 12 })
    .chain((n) => fc.tuple(fc.constant(n), fc.uniqueArray(fc.tuple(fc.nat(n - 1), fc.nat(n - 1)), { selector: String, maxLength: 20 })));
  fc.assert(
    fc.property(graphs, ([n, pairs]) => {
      const edges = pairs.filter(([a, b]) => a !== b);
      const reach = Array.from({ length: n }, (_, i) => new Set(edges.filter(([a]) => a === i).map(([, b]) => b)));
      for (let round = 0; round < n; round++) for (const r of reach) for (const mid of [...r]) for (const end of reach[mid]) r.add(end);
      const cyclic = reach.some((r, i) => r.has(i));
      const def = template(
        Array.from({ length: n }, (_, i) =>
          step(
            `s${i}`,
            edges.filter(([a]) => a === i).map(([, b]) => `s${b}`),
          ),
        ),
      );
      const problems = checkTemplate(def);
      assert.equal(problems.length, cyclic ? 1 : 0);
      if (!cyclic) return;
      const path = (/: ([^:]*)$/.exec(problems[0].message)?.[1] ?? '').split(' -> ');
      assert.equal(path[0], path.at(-1));
      for (let i = 1; i < path.length; i++) assert.ok(edges.some(([a, b]) => `s${a}` === path[i - 1] && `s${b}` === path[i]));
    }),
  );
});

test('100,000 steps, in a chain or around one, take linear time', () => {
  const chain = (n: number): TemplateDefinition => template(Array.from({ length: n }, (_, i) => step(`s${i}`, i === 0 ? [] : [`s${i - 1}`])));
  const time = (def: TemplateDefinition): number => {
    // Of the processor, not of the wall: other tests run beside this one.
    const start = process.cpuUsage();
    assert.deepEqual(checkTemplate(def), []);
    return process.cpuUsage(start).user / 1000;
  };
  time(chain(10_000));
  const small = time(chain(10_000));
  assert.ok(time(chain(100_000)) < Math.max(60 * small, 1500));
  const join = template([
    ...Array.from({ length: 99_999 }, (_, i) => step(`s${i}`)),
    step(
      'join',
      Array.from({ length: 99_999 }, (_, i) => `s${i}`),
    ),
  ]);
  assert.ok(time(join) < Math.max(60 * small, 1500));
});
