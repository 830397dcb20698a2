/** What is said beside a task, a tree, a copy, a list or a template and means nothing is refused, and nothing is done. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { template, Tutti } from '../../src/main.ts';

const one = template('t/one@1.0.0').step('a', () => 1);
const CORRELATION = '018f5c2e-7c1a-7abc-8def-0123456789ab';

type Call = (tutti: Tutti, id: string) => unknown;
const CASES: [what: string, call: Call, field: string, message: RegExp][] = [
  ['submit', (t) => t.submit(one, {}, { foo: 1 } as never), 'foo', /^submit: foo is no option; there are .*whenFull/],
  ['submit', (t) => t.submit(one, {}, { deadline: '5s' } as never), 'deadline', /deadline is no option/],
  ['submit', (t) => t.submit(one, {}, { prority: 1 } as never), 'prority', /did you mean priority\?$/],
  ['submit', (t) => t.submit(one, {}, { whenFull: 'maybe' } as never), 'whenFull', /^submit: whenFull must be 'wait' or 'reject'$/],
  ['submit', (t) => t.submit(one, {}, { correlationId: 'order-7' }), 'correlationId', /^submit: correlationId must be a UUID$/],
  ['submit', (t) => t.submit(one, {}, { parentCorrelationId: 7 } as never), 'parentCorrelationId', /must be a UUID$/],
  ['submit', (t) => t.submit(one, {}, null as never), 'options', /the options must be an object$/],
  ['submitMany', (t) => t.submitMany(one, [{}], { foo: 1 } as never), 'foo', /^submitMany: foo is no option/],
  ['submitTree', (t) => t.submitTree([{ name: 'a' }], { foo: 1 } as never), 'foo', /^submitTree: foo is no option/],
  ['submitTree', (t) => t.submitTree([{ name: 'a' }], { execute: 'false' } as never), 'execute', /must be true or false$/],
  ['submitTree', (t) => t.submitTree([{ name: 'a' }], { whenFull: 'maybe' } as never), 'whenFull', /must be 'wait' or 'reject'$/],
  ['copy', (t, id) => t.copy(id, { foo: 1 } as never), 'foo', /^copy: foo is no option/],
  ['copy', (t, id) => t.copy(id, { save: 'no' } as never), 'save', /must be true or false$/],
  ['copy', (t, id) => t.copy(id, { overrides: { foo: 1 } } as never), 'overrides.foo', /^copy: overrides\.foo is no option/],
  ['copy', (t, id) => t.copy(id, { overrides: { elements: { a: { prio: 1 } } } } as never), 'overrides.elements.a.prio', /is no option/],
  ['archive', (t, id) => t.archive(id, { foo: 1 } as never), 'foo', /^archive: foo is no option/],
  ['list', (t) => t.list({ foo: 1 } as never), 'foo', /^list: foo is no option/],
  ['list', (t) => t.list({ status: 'error' } as never), 'status', /^list: status is no option/],
  ['list', (t) => t.list({ limit: 0 }), 'limit', /^list: limit must be a whole number from 1 to 100$/],
  ['list', (t) => t.list({ page: 1, perPage: 101 }), 'perPage', /from 1 to 100$/],
  ['list', (t) => t.list({ page: 0 }), 'page', /^list: page must be/],
];

for (const [i, [what, call, field, message]] of CASES.entries()) {
  test(`${what} refuses ${field} (${i})`, async (t) => {
    const tutti = await Tutti.open({ store: ':memory:', templates: [one], logger: () => {} });
    t.after(() => tutti.close());
    const { id } = await tutti.submit(one, {});
    await assert.rejects(async () => call(tutti, id), { code: 'INVALID_INPUT', field, message });
    assert.equal((await tutti.list()).tasks.length, 1);
  });
}

test('all that there are, and those that are undefined, are taken', async (t) => {
  const tutti = await Tutti.open({ store: ':memory:', templates: [one], logger: () => {} });
  t.after(() => tutti.close());
  const task = await tutti.submit(
    one,
    {},
    {
      priority: 1,
      tags: ['x'],
      initiator: 'i',
      sourceSystem: 's',
      reason: 'r',
      correlationId: CORRELATION.toUpperCase(),
      parentCorrelationId: CORRELATION,
      options: { o: 1 },
      expectedItems: 1,
      expectedBytes: undefined,
      key: 'k',
      whenFull: 'reject',
    },
  );
  await task.done();
  await tutti.copy(task.id, { element: 'a', recursive: true, overrides: { priority: 0, elements: { a: { priority: 0 } } }, save: true, execute: false });
  assert.equal((await tutti.list({ page: 1, perPage: 100, states: undefined })).total, 2);
});

test('template refuses an option that there is not', () => {
  assert.throws(() => template('t/one@1.0.0', { foo: 1 } as never), {
    code: 'INVALID_TEMPLATE',
    field: 'foo',
    message: /^template t\/one@1\.0\.0: foo is no option; there are onFailure, deadline, priority, description, metadata, input$/,
  });
  assert.throws(() => template('t/one@1.0.0', { onfailure: 'fail' } as never), { code: 'INVALID_TEMPLATE', message: /did you mean onFailure\?$/ });
});
