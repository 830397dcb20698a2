import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MAX_SUBTASKS } from '../../../src/core/plan.ts';
import type { PlanCallKind } from '../../../src/engine/plan-port.ts';
import { Breather } from '../../../src/sdk/plans/breather.ts';
import { DEFAULT_ANSWER_LIMITS, readAnswer } from '../../../src/sdk/plans/read-answer.ts';

const read = (kind: PlanCallKind, value: unknown, limits = DEFAULT_ANSWER_LIMITS): Promise<unknown> =>
  readAnswer(kind, value, limits, new Breather(async () => {}));
const batch = (...subtasks: unknown[]): unknown => ({ kind: 'batch', subtasks });

const good: readonly (readonly [what: string, kind: PlanCallKind, value: unknown, answer: unknown])[] = [
  ['a start with no more than a count', 'start', { state: undefined, inputsToProcess: 0 }, { kind: 'started', total: 0 }],
  [
    'a start with everything: numbers and booleans become text',
    'start',
    { state: { cursor: null }, inputsToProcess: 25, inputUnit: 'pages', properties: { size: 10, deep: true }, customStats: { found: '25' } },
    { kind: 'started', total: 25, state: '{"cursor":null}', unit: 'pages', properties: { size: '10', deep: 'true' }, customStats: { found: '25' } },
  ],
  [
    'a batch: names and units have defaults',
    'next',
    batch({ input: { page: 1 } }, { name: 'p 2/é', input: null, units: 0, priority: 3 }),
    {
      kind: 'batch',
      countFailures: true,
      subtasks: [
        { name: 'subtask-0', input: '{"page":1}', units: 1 },
        { name: 'p 2/é', input: 'null', units: 0, priority: 3 },
      ],
    },
  ],
  [
    'a batch with everything; dates become what JSON makes of them',
    'once',
    { ...(batch({ input: 'a' }) as object), state: { at: new Date(0) }, inputsToProcess: 3, customStats: {}, message: 'go', countFailures: false },
    {
      kind: 'batch',
      countFailures: false,
      subtasks: [{ name: 'subtask-0', input: '"a"', units: 1 }],
      state: '{"at":"1970-01-01T00:00:00.000Z"}',
      total: 3,
      customStats: {},
      message: 'go',
    },
  ],
  ['a state of null is a state', 'next', { kind: 'done', state: null }, { kind: 'done', state: 'null' }],
  ['a message is cut and cleaned', 'next', { kind: 'done', message: `\u0000${'x'.repeat(5000)}` }, { kind: 'done', message: `\uFFFD${'x'.repeat(3998)}…` }],
  ['a wait until the next poll', 'next', { kind: 'wait' }, { kind: 'wait', ms: null }],
  ['a wait of a duration', 'next', { kind: 'wait', after: '1m30s', message: 'later' }, { kind: 'wait', ms: 90_000, message: 'later' }],
  ['an abort', 'next', { kind: 'abort', reason: 'no' }, { kind: 'abort', reason: 'no' }],
  ['a finish that says nothing', 'finish', undefined, { kind: 'finished' }],
  [
    'a finish with changes',
    'finish',
    {
      processed: 2,
      changes: {
        put: [
          { key: 'page/1', body: { rows: 1 }, expect: null },
          { key: 'page/2', body: [] },
        ],
        remove: [{ key: 'page/0', expect: 4 }],
      },
    },
    {
      kind: 'finished',
      processed: 2,
      changes: {
        put: [
          { key: 'page/1', body: { rows: 1 }, expect: null },
          { key: 'page/2', body: [] },
        ],
        remove: [{ key: 'page/0', expect: 4 }],
      },
    },
  ],
  ['an end that says nothing', 'end', null, { kind: 'ended' }],
  [
    'an end with a swap',
    'end',
    { message: 'swapped', changes: { put: [{ key: 'current', body: 'b' }] } },
    { kind: 'ended', message: 'swapped', changes: { put: [{ key: 'current', body: 'b' }], remove: [] } },
  ],
];

describe('answers as the engine takes them', () => {
  for (const [what, kind, value, answer] of good) test(what, async () => assert.deepEqual(await read(kind, value), answer));

  test('bodies of items are copies: what happens to the objects later changes nothing', async () => {
    const body = { rows: [1] };
    const answer = (await read('finish', { changes: { put: [{ key: 'a', body }] } })) as { changes: { put: { body: unknown }[] } };
    body.rows.push(2);
    assert.deepEqual(answer.changes.put[0].body, { rows: [1] });
  });

  test('a long answer lets others have the loop', async () => {
    let pauses = 0;
    const breather = new Breather(async () => void pauses++);
    const subtasks = Array.from({ length: 20 }, (_, i) => ({ input: `${i}${'x'.repeat(100_000)}` }));
    await readAnswer('next', { kind: 'batch', subtasks }, DEFAULT_ANSWER_LIMITS, breather);
    assert.equal(pauses, 3);
  });
});

const cyclic: Record<string, unknown> = {};
cyclic.self = cyclic;
const small = { valueBytes: 20, batchBytes: 30 };

const refused: readonly (readonly [what: string, kind: PlanCallKind, value: unknown, says: RegExp, limits?: typeof small])[] = [
  ['no answer', 'next', undefined, /the answer must be an object with a kind, one of batch, done, wait, abort, not nothing/],
  ['an unknown kind', 'next', { kind: 'batches' }, /^kind must be one of .* not "batches"; did you mean batch\?/],
  ['no kind', 'next', { subtasks: [] }, /^kind must be one of .* not nothing/],
  ['a start that is nothing', 'start', undefined, /^the answer must be an object, not nothing/],
  ['a start without a count', 'start', { state: {} }, /^inputsToProcess is missing/],
  ['a count below zero', 'start', { inputsToProcess: -1 }, /^inputsToProcess must be a whole number of 0 or more, not -1/],
  ['half a count', 'start', { inputsToProcess: 0.5 }, /not 0\.5/],
  ['an unknown field', 'start', { inputsToProces: 1 }, /^inputsToProces is nothing that the start of a plan has; did you mean inputsToProcess\?/],
  ['a kind of start', 'start', { kind: 'batch', inputsToProcess: 1 }, /^kind is nothing that the start of a plan has/],
  ['properties that are a list', 'start', { inputsToProcess: 1, properties: [] }, /^properties must be an object of texts, not a list/],
  [
    'a property that is an object',
    'start',
    { inputsToProcess: 1, properties: { a: {} } },
    /^properties\["a"\] must be text, a number, true or false, not an object/,
  ],
  ['a property that is no number', 'start', { inputsToProcess: 1, properties: { a: Number.NaN } }, /^properties\["a"\] must be .* not NaN/],
  ['stats of 64 KiB', 'next', { kind: 'done', customStats: { a: 'x'.repeat(65_536) } }, /^customStats is .* the limit is 65536 bytes/],
  ['stats with U+0000', 'next', { kind: 'done', customStats: { a: '\u0000' } }, /^customStats\.a contains the character U\+0000/],
  ['a state that is a Map', 'next', { kind: 'done', state: { seen: new Map() } }, /^state\.seen is a Map, which JSON cannot express/],
  ['a state in a cycle', 'next', { kind: 'done', state: cyclic }, /^state\.self is part of a cycle/],
  ['a state above the limit', 'next', { kind: 'done', state: 'x'.repeat(19) }, /^state is 21 bytes as JSON; the limit is 20 bytes/, small],
  ['no subtasks', 'next', { kind: 'batch' }, /^subtasks is missing/],
  ['an empty batch', 'next', batch(), /^subtasks is empty: answer \{ kind: "done" \}/],
  ['subtasks that are an object', 'next', { kind: 'batch', subtasks: {} }, /^subtasks must be a list, not an object/],
  [
    'too many subtasks',
    'next',
    batch(...Array.from({ length: MAX_SUBTASKS + 1 }, () => ({ input: 1 }))),
    new RegExp(`^subtasks has ${MAX_SUBTASKS + 1} subtasks; the limit of one batch is ${MAX_SUBTASKS}`),
  ],
  ['a subtask that is text', 'next', batch({ input: 1 }, 'x'), /^subtasks\[1\] must be an object, not "x"/],
  ['a subtask without input', 'next', batch({ name: 'a' }), /^subtasks\[0\]\.input is missing: give null/],
  ['an input that cannot be kept', 'next', batch({ input: 1 }, { input: { rows: [1n] } }), /^subtasks\[1\]\.input\.rows\[0\] is a BigInt/],
  ['an input above the limit', 'next', batch({ input: 'x'.repeat(19) }), /^subtasks\[0\]\.input is 21 bytes/, small],
  [
    'inputs above the limit of a batch',
    'next',
    batch({ input: 'x'.repeat(14) }, { input: 'x'.repeat(14) }),
    /^subtasks have inputs of more than 30 bytes together/,
    small,
  ],
  ['a name twice', 'next', batch({ name: 'a', input: 1 }, { input: 1 }, { name: 'a', input: 1 }), /^subtasks\[2\]\.name is "a", as is that of subtasks\[0\]/],
  ['a default name twice', 'next', batch({ name: 'subtask-1', input: 1 }, { input: 1 }), /^subtasks\[1\]\.name is "subtask-1", as is that of subtasks\[0\]/],
  ['an empty name', 'next', batch({ name: '', input: 1 }), /^subtasks\[0\]\.name must be text of 1 to 255 characters/],
  ['a name of two lines', 'next', batch({ name: 'a\nb', input: 1 }), /^subtasks\[0\]\.name must have no control characters/],
  ['units below zero', 'next', batch({ input: 1, units: -1 }), /^subtasks\[0\]\.units must be a whole number of 0 or more, not -1/],
  ['units beyond numbers', 'next', batch({ input: 1, units: 2 ** 53 - 1 }, { input: 1 }), /^subtasks\[1\]\.units makes the units of the batch more than/],
  ['a priority of 4', 'next', batch({ input: 1, priority: 4 }), /^subtasks\[0\]\.priority must be 0, 1, 2 or 3, not 4/],
  ['an unknown field of a subtask', 'next', batch({ input: 1, unit: 2 }), /^subtasks\[0\]\.unit is nothing that a subtask has; did you mean units\?/],
  ['a flag that is text', 'next', { ...(batch({ input: 1 }) as object), countFailures: 'no' }, /^countFailures must be true or false, not "no"/],
  ['a message that is a number', 'next', { kind: 'done', message: 3 }, /^message must be text, not 3/],
  ['a wait that is none', 'next', { kind: 'wait', after: 'soon' }, /^after must be milliseconds or text such as "30s", not "soon"/],
  ['a wait of ten years', 'next', { kind: 'wait', after: '3650d' }, /^after must be at most/],
  ['an abort without a reason', 'next', { kind: 'abort' }, /^reason is missing/],
  ['an abort with nothing for a reason', 'next', { kind: 'abort', reason: '' }, /^reason is missing/],
  ['a finish that is a number', 'finish', 3, /^the answer must be an object, not 3/],
  ['half a batch processed', 'finish', { processed: 1.5 }, /^processed must be a whole number/],
  ['changes that are a list', 'finish', { changes: [] }, /^changes must be an object, not a list/],
  ['an unknown change', 'finish', { changes: { puts: [] } }, /^changes\.puts is nothing that the changes of items has; did you mean put\?/],
  ['an item without a key', 'finish', { changes: { put: [{ body: 1 }] } }, /^changes\.put\[0\]\.key is missing/],
  ['an item without a body', 'finish', { changes: { put: [{ key: 'a' }] } }, /^changes\.put\[0\]\.body is missing/],
  ['a body that cannot be kept', 'finish', { changes: { put: [{ key: 'a', body: { f: () => 1 } }] } }, /^changes\.put\[0\]\.body\.f is a function/],
  [
    'a version of 0',
    'finish',
    { changes: { put: [{ key: 'a', body: 1, expect: 0 }] } },
    /^changes\.put\[0\]\.expect must be a version of 1 or more, or null, not 0/,
  ],
  [
    'a removal of what must not exist',
    'finish',
    { changes: { remove: [{ key: 'a', expect: null }] } },
    /^changes\.remove\[0\]\.expect must be a version of 1 or more, not null/,
  ],
  [
    'an item twice',
    'end',
    { changes: { put: [{ key: 'a', body: 1 }], remove: [{ key: 'a' }] } },
    /^changes\.remove\[0\]\.key is "a", as is that of changes\.put\[0\]: an item is changed once/,
  ],
  ['a key of 501 characters', 'end', { changes: { remove: [{ key: 'a'.repeat(501) }] } }, /^changes\.remove\[0\]\.key must be text of 1 to 500 characters/],
  [
    'too many changes',
    'end',
    { changes: { remove: Array.from({ length: 10_001 }, (_, i) => ({ key: `${i}` })) } },
    /^changes has 10001 puts and removals; the limit is 10000/,
  ],
  ['a state in an end', 'end', { state: {} }, /^state is nothing that the answer of onPlanEnd has/],
];

describe('an answer that cannot be used is refused, with the path', () => {
  for (const [what, kind, value, says, limits] of refused) test(what, async () => assert.rejects(read(kind, value, limits), { message: says }));
});
