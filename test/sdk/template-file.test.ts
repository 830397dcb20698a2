import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { DEFAULT_BATCH, DEFAULT_RETRY } from '../../src/core/definition.ts';
import { isTuttiError } from '../../src/core/errors.ts';
import { loadTemplateFile } from '../../src/sdk/template-file.ts';
import type { FileProblem } from '../../src/sdk/yaml-fields.ts';

const schema = JSON.parse(readFileSync(path.resolve(import.meta.dirname, '../../schemas/template.json'), 'utf8')) as object;
const published = new Ajv2020({ strict: false }).compile(schema);

const FULL = `
name: order_fulfillment
namespace_name: orders
version: "1.0.0"
description: From cart to door
metadata: { author: shop, tags: [a, b] }
system_dependencies: { primary: default, secondary: [] }
on_failure: block
priority: 1
returns: [ship]
input_schema:
  type: object
  required: [orderId]
  properties:
    orderId: { type: string }
    email: { type: string, format: email }
    amount: { type: number, default: 5 }
lifecycle: { max_duration_minutes: 30, staleness_action: dlq, auto_fail_on_timeout: true }
steps:
  - name: validate
    type: standard
    description: first
    handler: { callable: orders.validate, initialization: { strict: true, region: eu } }
    timeout_seconds: 1.5
  - name: notify
    handler: { callable: mail.send, method: order }
    dependencies: [validate]
    retry: { retryable: false, max_attempts: 0, backoff: linear, backoff_base_ms: 100, max_backoff_ms: 1000, jitter: 0 }
    allow_failure: true
    heartbeat_seconds: 10
    cancelable: false
  - name: ship
    handler: { callable: orders.ship, method: call }
    depends_on:
      - validate
      - { name: notify, required: false }
    priority: 0
    merged_inputs: true
environments:
  production:
    steps:
      - name: ALL
        timeout_seconds: 60
      - name: validate
        handler: { initialization: { region: us, extra: 1 } }
        timeout_seconds: 0
      - name: ship
        retry: { max_attempts: 9 }
  test:
    steps: []
`;

function problemsOf(text: string, env?: string): FileProblem[] {
  try {
    loadTemplateFile(text, 'orders.yaml', env);
  } catch (e) {
    assert.ok(isTuttiError(e), String(e));
    assert.equal(e.code, 'INVALID_TEMPLATE');
    const problems = e.details?.problems as FileProblem[];
    assert.ok(problems.length > 0);
    assert.equal(e.field, problems[0].field);
    assert.ok(e.message.startsWith(problems[0].file));
    return problems;
  }
  return assert.fail('the file was accepted');
}
const brief = (p: FileProblem): string => `${p.line ?? '-'} ${p.step ?? '-'} ${p.field}`;

test('every field of a full file arrives', () => {
  const { definition } = loadTemplateFile(FULL, 'orders.yaml');
  assert.equal(published(parse(FULL)), true, JSON.stringify(published.errors));
  const { inputSchema, ...rest } = definition;
  assert.equal(inputSchema?.type, 'object');
  assert.deepEqual(rest, {
    namespace: 'orders',
    name: 'order_fulfillment',
    version: '1.0.0',
    description: 'From cart to door',
    metadata: { author: 'shop', tags: ['a', 'b'] },
    policy: 'block',
    priority: 1,
    returns: ['ship'],
    deadlineMs: 1_800_000,
    lifecycle: { maxDurationMinutes: 30, stalenessAction: 'dlq', autoFailOnTimeout: true },
    steps: [
      {
        name: 'validate',
        type: 'standard',
        description: 'first',
        handler: 'orders.validate',
        initialization: { strict: true, region: 'eu' },
        timeoutMs: 1500,
        dependencies: [],
        retry: DEFAULT_RETRY,
      },
      {
        name: 'notify',
        type: 'standard',
        handler: 'mail.send',
        method: 'order',
        dependencies: [{ name: 'validate', required: true }],
        allowFailure: true,
        heartbeatMs: 10_000,
        cancelable: false,
        retry: { retryable: false, maxAttempts: 0, backoff: 'linear', baseMs: 100, maxMs: 1000, jitter: 0 },
      },
      {
        name: 'ship',
        type: 'standard',
        handler: 'orders.ship',
        priority: 0,
        mergedInputs: true,
        retry: DEFAULT_RETRY,
        dependencies: [
          { name: 'validate', required: true },
          { name: 'notify', required: false },
        ],
      },
    ],
  });
});

test('JSON is a template file as well, and gives the same', () => {
  assert.deepEqual(loadTemplateFile(JSON.stringify(parse(FULL)), 'orders.json').definition, loadTemplateFile(FULL, 'orders.yaml').definition);
});

test('an environment lays its overrides over the steps; an unknown one changes nothing', () => {
  const { steps } = loadTemplateFile(FULL, 'orders.yaml', 'production').definition;
  assert.deepEqual(
    steps.map((s) => s.timeoutMs),
    [undefined, 60_000, 60_000],
  );
  assert.deepEqual(steps[0].initialization, { strict: true, region: 'us', extra: 1 });
  assert.deepEqual(steps[2].retry, { ...DEFAULT_RETRY, maxAttempts: 9 });
  assert.deepEqual(steps[1].retry.maxAttempts, 0);
  assert.deepEqual(loadTemplateFile(FULL, 'f', 'nowhere').definition, loadTemplateFile(FULL, 'f').definition);
  assert.deepEqual(loadTemplateFile(FULL, 'f', 'toString').definition, loadTemplateFile(FULL, 'f').definition);
});

test('the input schema is enforced, with paths, and fills in defaults', () => {
  const { validate } = loadTemplateFile(FULL, 'orders.yaml');
  const input = { orderId: 'A1' };
  assert.deepEqual(validate?.(input), { ok: true, value: { orderId: 'A1', amount: 5 } });
  assert.deepEqual(input, { orderId: 'A1' });
  const bad = validate?.({ amount: 'x', email: 'nobody' }) as { ok: false; issues: { path: string }[] };
  assert.deepEqual([bad.ok, bad.issues.map((i) => i.path).toSorted()], [false, ['amount', 'email', 'orderId']]);
  assert.equal(loadTemplateFile('name: a\nversion: "1.0.0"\nsteps: [{ name: s, handler: { callable: c } }]', 'f').validate, undefined);
});

test('all problems are told at once, in the order of the file, each with line, step and field', () => {
  const bad = `name: 7
namespace_name: 9x
version: 1.0
handlr: 3
steps:
  - name: a
    handler: { callable: x, initialisation: {} }
    depends_on: [b, nope, a]
    priority: 7
    retry:
      max_atempts: 3
      backoff: fast
  - name: b
    handlr: { callable: x }
    timeout_seconds: -1
  - name: b
    type: choice
    handler: { callable: x }
  - oops
environments:
  prod: { steps: [{ name: zz, timeout_second: 3 }] }
`;
  assert.deepEqual(problemsOf(bad).map(brief), [
    '1 - name',
    '2 - namespace_name',
    '3 - version',
    '4 - handlr',
    '7 a handler.initialisation',
    '8 a depends_on[1]',
    '8 a depends_on[2]',
    '9 a priority',
    '11 a retry.max_atempts',
    '12 a retry.backoff',
    '13 b handler',
    '14 b handlr',
    '15 b timeout_seconds',
    '16 b name',
    '17 b type',
    '19 #4 step',
    '21 - environments.prod.steps[0].timeout_second',
    '21 - environments.prod.steps[0].name',
  ]);
  const messages = problemsOf(bad).map((p) => p.message);
  assert.match(messages[4], /did you mean initialization\?/);
  assert.match(messages[8], /did you mean max_attempts\?/);
  assert.match(messages[2], /quotes/);
});

describe('one mistake, one problem', () => {
  const step = (more: string): string => `name: t\nversion: "1.0.0"\nsteps:\n  - name: s\n    handler: { callable: c }\n    ${more}\n`;
  const top = (more: string): string => `name: t\nversion: "1.0.0"\nsteps: [{ name: s, handler: { callable: c } }]\n${more}\n`;
  const cases: [what: string, text: string, expected: string, says: RegExp, hiddenFromSchema?: true][] = [
    ['priority above 3', step('priority: 4'), '6 s priority', /0 to 3, not 4/],
    ['101 attempts', step('retry: { max_attempts: 101 }'), '6 s retry.max_attempts', /0 to 100/],
    ['a short base', step('retry: { backoff_base_ms: 99 }'), '6 s retry.backoff_base_ms', /100 to 3600000/],
    ['a short cap', step('retry: { max_backoff_ms: 999 }'), '6 s retry.max_backoff_ms', /1000 to 3600000/],
    ['attempts as text', step('retry: { max_attempts: "3" }'), '6 s retry.max_attempts', /not "3"/],
    ['a negative timeout', step('timeout_seconds: -5'), '6 s timeout_seconds', /not -5/],
    ['a flag as text', step('allow_failure: "yes"'), '6 s allow_failure', /true or false/],
    ['dependencies as text', step('dependencies: s'), '6 s dependencies', /list/],
    ['itself', step('dependencies: [s]'), '6 s dependencies[0]', /itself/, true],
    ['a stranger', step('dependencies: [{ name: zz }]'), '6 s dependencies[0]', /"zz"/, true],
    ['dependencies twice', step('dependencies: []\n    depends_on: []'), '7 s depends_on', /another name/],
    ['what comes later', step('publishes_events: []'), '6 s publishes_events', /not supported yet/],
    ['a type that is none', step('type: choice\n    branches: {}\n    batch_config: { worker_template: x }'), '6 s type', /decision, deferred_convergence/],
    ['two types', step('type: standard\n    step_type: standard'), '7 s step_type', /another name/],
    ['a decision that follows nothing', step('step_type: decision'), '4 s dependencies', /at least one/],
    ['a decision that follows an empty list', step('type: decision\n    depends_on: []'), '7 s depends_on', /at least one/],
    ['a convergence of nothing', step('type: deferred_convergence'), '4 s dependencies', /at least one/],
    ['branches of a standard step', step('branches: {}'), '6 s branches', /type standard/],
    ['a batch of a standard step', step('batch_config: { worker_template: w }'), '6 s batch_config', /type standard/],
    ['a batch of no kind', step('type: batchable\n    batch_config: 3'), '7 s batch_config', /mapping/],
    ['a batchable step without', step('type: batchable'), '4 s batch_config', /is missing/],
    ['unknown failure policy of children', step('on_child_failure: shrug'), '6 s on_child_failure', /wait_all/],
    ['children that tolerate less than none', step('on_child_failure: { tolerate: -1 }'), '6 s on_child_failure.tolerate', /-1/],
    ['no children at once', step('max_concurrent_children: 0'), '6 s max_concurrent_children', /1 to 1000000/],
    ['a resolver', 'name: t\nversion: "1.0.0"\nsteps: [{ name: s, handler: { callable: c, resolver: r } }]', '3 s handler.resolver', /not supported yet/],
    ['an empty callable', 'name: t\nversion: "1.0.0"\nsteps: [{ name: s, handler: { callable: "" } }]', '3 s handler.callable', /1 to 500/],
    ['a bad step name', 'name: t\nversion: "1.0.0"\nsteps: [{ name: "a b", handler: { callable: c } }]', '3 a b name', /letter/],
    ['no steps', 'name: t\nversion: "1.0.0"\nsteps: []', '3 - steps', /at least one/],
    ['no name', 'version: "1.0.0"\nsteps: [{ name: s, handler: { callable: c } }]', '1 - name', /missing/],
    ['both namespaces', top('namespace: a\nnamespace_name: b'), '4 - namespace', /one of them/],
    ['a version that is none', 'name: t\nversion: "1.0"\nsteps: [{ name: s, handler: { callable: c } }]', '2 - version', /semantic/],
    ['a policy that is none', top('on_failure: shrug'), '4 - on_failure', /fail_fast/],
    ['too long a life', top('lifecycle: { max_duration_minutes: 43201 }'), '4 - lifecycle.max_duration_minutes', /43200/],
    ['an unusable input schema', top('input_schema: { type: text }'), '4 - input_schema', /JSON Schema/, true],
    ['a reference to nowhere', top('input_schema: { $ref: "#/nowhere" }'), '4 - input_schema', /nowhere/, true],
    ['events', top('domain_events: []'), '4 - domain_events', /not supported yet/],
    ['an override of a stranger', top('environments: { prod: { steps: [{ name: zz }] } }'), '4 - environments.prod.steps[0].name', /no step/, true],
    ['returns of a stranger', top('returns: zz'), '4 - returns', /"zz"/, true],
    ['a list', '- a\n', '1 - file', /mapping/],
    ['nothing', '', '- - file', /mapping/],
  ];
  for (const [what, text, expected, says, hidden] of cases) {
    test(what, () => {
      const problems = problemsOf(text);
      assert.deepEqual(problems.map(brief), [expected]);
      assert.match(problems[0].message, says);
      // The published schema refuses it too, where a schema can.
      assert.equal(published(parse(text)), hidden === true);
    });
  }
});

const BRANCHING = `
name: approvals
version: "1.0.0"
steps:
  - name: validate
    handler: { callable: v }
  - name: route
    type: decision
    handler: { callable: r }
    depends_on: [validate]
    branches: { auto: [approve], manager: [split], nothing: [] }
  - name: approve
    handler: { callable: a }
    dependencies: [route]
    on_child_failure: { tolerate: 2 }
    max_concurrent_children: 5
  - name: split
    step_type: batchable
    handler: { callable: s }
    depends_on: [route]
    batch_config: { batch_size: 200, parallelism: 5, cursor_field: row, worker_template: check, failure_strategy: isolate }
    on_child_failure: wait_all
  - name: check
    type: batch_worker
    handler: { callable: c, initialization: { strict: true } }
    dependencies: [split]
    on_child_failure: fail_fast
  - name: finish
    type: deferred_convergence
    handler: { callable: f }
    dependencies: [approve, { name: check, required: false }]
`;

test('decisions and batches arrive, and the published schema knows them', () => {
  const { steps } = loadTemplateFile(BRANCHING, 'approvals.yaml').definition;
  assert.equal(published(parse(BRANCHING)), true, JSON.stringify(published.errors));
  const on = (...names: string[]): object[] => names.map((name) => ({ name: name.replace('?', ''), required: !name.endsWith('?') }));
  const retry = DEFAULT_RETRY;
  const batch = { workerTemplate: 'check', batchSize: 200, parallelism: 5, failureStrategy: 'isolate', cursorField: 'row' };
  assert.deepEqual(steps, [
    { name: 'validate', type: 'standard', handler: 'v', dependencies: [], retry },
    { name: 'route', type: 'decision', handler: 'r', dependencies: on('validate'), retry, branches: { auto: ['approve'], manager: ['split'], nothing: [] } },
    { name: 'approve', type: 'standard', handler: 'a', dependencies: on('route'), retry, onChildFailure: 2, maxChildren: 5 },
    { name: 'split', type: 'batchable', handler: 's', dependencies: on('route'), retry, batch, onChildFailure: 'wait_all' },
    { name: 'check', type: 'batch_worker', handler: 'c', dependencies: on('split'), retry, initialization: { strict: true } },
    { name: 'finish', type: 'deferred_convergence', handler: 'f', dependencies: on('approve', 'check?'), retry },
  ]);
});

test('a batch says what it leaves out by default', () => {
  const text = BRANCHING.replace(/batch_config: .*/, 'batch_config: { worker_template: check }');
  assert.deepEqual(loadTemplateFile(text, 'f').definition.steps[3].batch, { ...DEFAULT_BATCH, workerTemplate: 'check' });
});

describe('mistakes with decisions and batches name line, step and field', () => {
  const batch = (more: string): string => BRANCHING.replace(/batch_config: .*/, `batch_config: { worker_template: check, ${more} }`);
  const cases: [what: string, text: string, expected: string, says: RegExp, hiddenFromSchema?: true][] = [
    ['a branch of a stranger', BRANCHING.replace('[approve],', '[aprove],'), '11 route branches.auto', /"aprove"/, true],
    ['a branch that is no list', BRANCHING.replace('[approve],', 'approve,'), '11 route branches.auto', /list/],
    ['a branch of no descendant', BRANCHING.replace('[approve],', '[validate],'), '11 route branches.auto', /does not depend/, true],
    ['batches of 0', batch('batch_size: 0'), '21 split batch_config.batch_size', /1 to 100000, not 0/],
    ['batches of 100,001', batch('batch_size: 100001'), '21 split batch_config.batch_size', /not 100001/],
    ['parallelism of 1,001', batch('parallelism: 1001'), '21 split batch_config.parallelism', /1 to 1000/],
    ['an unknown strategy', batch('failure_strategy: shrug'), '21 split batch_config.failure_strategy', /isolate/],
    ['no cursor field', batch('cursor_field: ""'), '21 split batch_config.cursor_field', /1 to 255/],
    ['a misspelt field', batch('paralelism: 3'), '21 split batch_config.paralelism', /did you mean parallelism/],
    [
      'a worker that is a stranger',
      BRANCHING.replace('worker_template: check', 'worker_template: chek'),
      '21 split batch_config.worker_template',
      /"chek"/,
      true,
    ],
  ];
  for (const [what, text, expected, says, hidden] of cases) {
    test(what, () => {
      const [p] = problemsOf(text);
      assert.equal(brief(p), expected);
      assert.match(p.message, says);
      assert.equal(published(parse(text)), hidden === true);
    });
  }
});

test('a cycle is shown as a path, with the line of its first step', () => {
  const steps = [
    ['a', 'c'],
    ['b', 'a'],
    ['c', 'b'],
  ].map(([n, d]) => `  - { name: ${n}, handler: { callable: h }, depends_on: [${d}] }`);
  const [p, ...more] = problemsOf(`name: t\nversion: "1.0.0"\nsteps:\n${steps.join('\n')}\n`);
  assert.deepEqual([brief(p), more.length], ['4 a depends_on', 0]);
  assert.match(p.message, /a -> c -> b -> a/);
});

test('what is no YAML names the line', () => {
  assert.equal(problemsOf('name: t\nsteps: [\nversion: x')[0].field, 'file');
  assert.deepEqual(brief(problemsOf('name: t\nname: u\n')[0]), '2 - file');
  assert.match(problemsOf('name: t\nname: u\n')[0].message, /unique/);
});

test('aliases and merges are read; aliases that explode are refused', () => {
  const shared = 'name: t\nversion: "1.0.0"\nsteps:\n  - &s { name: a, handler: { callable: c }, priority: 1 }\n  - { <<: *s, name: b }\n';
  assert.deepEqual(
    loadTemplateFile(shared, 'f').definition.steps.map((s) => [s.name, s.priority]),
    [
      ['a', 1],
      ['b', 1],
    ],
  );
  const bomb = Array.from({ length: 9 }, (_, i) => `x${i}: &x${i} [${i === 0 ? '1,1,1,1,1,1,1,1,1' : `*x${i - 1},`.repeat(9)}]`).join('\n');
  assert.match(problemsOf(bomb)[0].message, /cannot be read/);
});
