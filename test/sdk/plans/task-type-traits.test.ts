import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isTuttiError } from '../../../src/core/errors.ts';
import type { AnyTaskType } from '../../../src/sdk/plans/task-type.ts';
import { traitsOf } from '../../../src/sdk/plans/task-type-traits.ts';

const least: AnyTaskType = { name: 'Backfill', nextBatch: () => ({ kind: 'done' }), subtask: () => null };

describe('what the engine is told of a task type', () => {
  test('of the least there can be: every default', () => {
    assert.deepEqual(traitsOf(least), {
      name: 'Backfill',
      aliases: [],
      description: null,
      supportsOrchestration: true,
      orchestratedOnly: false,
      inputUnit: 'inputs',
      hasStart: false,
      hasFinish: false,
      hasEnd: false,
      failurePolicy: { thresholdPercent: 100, maxFailedBatches: 3, maxBarrenBatches: 3 },
      callTimeoutMs: 60_000,
      // What it throws is final (oneTry); these are for processes that die.
      retry: { retryable: true, maxAttempts: 3, backoff: 'none', baseMs: 1000, maxMs: 30_000, jitter: 0 },
    });
  });

  test('of one that says everything', () => {
    const traits = traitsOf({
      ...least,
      aliases: ['Fill', 'StarTree-Fill.2'],
      description: 'fills',
      orchestratedOnly: true,
      inputUnit: 'pages',
      validate: () => [],
      startPlan: () => ({ state: null, inputsToProcess: 0 }),
      generateOnce: () => ({ kind: 'done' }),
      onBatchFinished: () => undefined,
      onPlanEnd: () => undefined,
      failurePolicy: { maxFailedPercent: 12.5, maxFailedBatches: 1 },
      callTimeout: '2m',
      retry: { maxAttempts: 5, baseMs: '2s' },
      timeout: '1h',
    });
    assert.deepEqual(traits, {
      name: 'Backfill',
      aliases: ['Fill', 'StarTree-Fill.2'],
      description: 'fills',
      supportsOrchestration: true,
      orchestratedOnly: true,
      inputUnit: 'pages',
      hasStart: true,
      hasFinish: true,
      hasEnd: true,
      failurePolicy: { thresholdPercent: 12.5, maxFailedBatches: 1, maxBarrenBatches: 3 },
      callTimeoutMs: 120_000,
      retry: { retryable: true, maxAttempts: 5, backoff: 'exponential', baseMs: 2000, maxMs: 30_000, jitter: 0.1 },
      timeoutMs: 3_600_000,
    });
  });

  test('an instance of a class may have fields of its own', () => {
    class Paged {
      name = 'Paged';
      client = { url: 'x' };
      nextBatch(): { kind: 'done' } {
        return { kind: 'done' };
      }
      subtask(): null {
        return null;
      }
    }
    assert.equal(traitsOf(new Paged()).name, 'Paged');
  });
});

const refused: readonly (readonly [what: string, type: unknown, field: string, says: RegExp])[] = [
  ['nothing', null, 'taskTypes', /must be an object.*not null/],
  ['no name', { ...least, name: undefined }, 'name', /task type nothing: name must be 1 to 100/],
  ['a name with _', { ...least, name: 'A_B' }, 'name', /"A_B": name must be .*"_" separates/],
  ['a name that begins with a digit', { ...least, name: '1A' }, 'name', /the first a letter/],
  ['a long name', { ...least, name: 'A'.repeat(101) }, 'name', /1 to 100/],
  ['no nextBatch', { ...least, nextBatch: undefined }, 'nextBatch', /nextBatch must be a function, not nothing/],
  ['a subtask that is text', { ...least, subtask: 'x' }, 'subtask', /subtask must be a function, not "x"/],
  ['a startPlan that is an object', { ...least, startPlan: {} }, 'startPlan', /startPlan must be a function, not an object/],
  ['a slip of the pen', { ...least, onBatchFinish: () => undefined }, 'onBatchFinish', /is nothing that a task type has; did you mean onBatchFinished\?/],
  ['an unknown field', { ...least, zzz: 1 }, 'zzz', /zzz is nothing that a task type has$/],
  ['aliases that are no list', { ...least, aliases: 'Fill' }, 'aliases', /must be a list of names, not "Fill"/],
  ['an alias with _', { ...least, aliases: ['Fill', 'A_B'] }, 'aliases[1]', /aliases\[1\] must be .* not "A_B"/],
  ['its own name as alias', { ...least, aliases: ['Backfill'] }, 'aliases[0]', /is a name of this type already/],
  ['an alias twice', { ...least, aliases: ['A', 'A'] }, 'aliases[1]', /is a name of this type already/],
  ['a flag that is text', { ...least, supportsOrchestration: 'yes' }, 'supportsOrchestration', /must be true or false, not "yes"/],
  ['what can never run', { ...least, supportsOrchestration: false, orchestratedOnly: true }, 'orchestratedOnly', /nothing could ever run/],
  ['an empty unit', { ...least, inputUnit: '' }, 'inputUnit', /text of 1 to 50 characters/],
  ['a description that is a number', { ...least, description: 3 }, 'description', /text of 1 to 2000 characters/],
  ['a policy that is a number', { ...least, failurePolicy: 3 }, 'failurePolicy', /must be an object, not 3/],
  ['an unknown policy', { ...least, failurePolicy: { maxFailedBatch: 1 } }, 'failurePolicy.maxFailedBatch', /did you mean maxFailedBatches\?/],
  ['more than all', { ...least, failurePolicy: { maxFailedPercent: 101 } }, 'failurePolicy.maxFailedPercent', /from 0 to 100, not 101/],
  ['a percentage that is no number', { ...least, failurePolicy: { maxFailedPercent: Number.NaN } }, 'failurePolicy.maxFailedPercent', /not NaN/],
  ['no failed batch at all', { ...least, failurePolicy: { maxFailedBatches: 0 } }, 'failurePolicy.maxFailedBatches', /from 1 to 1000000, not 0/],
  ['half a batch', { ...least, failurePolicy: { maxBarrenBatches: 1.5 } }, 'failurePolicy.maxBarrenBatches', /not 1\.5/],
  ['a time limit of nothing', { ...least, callTimeout: 0 }, 'callTimeout', /from 1 to 86400000 ms, not 0/],
  ['a time limit of two days', { ...least, callTimeout: '2d' }, 'callTimeout', /not "2d"/],
  ['a time limit that is none', { ...least, callTimeout: 'soon' }, 'callTimeout', /milliseconds or text such as "30s", not "soon"/],
  ['a timeout below zero', { ...least, timeout: -1 }, 'timeout', /milliseconds or text/],
  ['a retry that is a number', { ...least, retry: 3 }, 'retry', /must be an object of retry options, not 3/],
  ['an unknown retry option', { ...least, retry: { attempts: 3 } }, 'retry.attempts', /retry\.attempts is no retry option/],
  ['101 attempts', { ...least, retry: { maxAttempts: 101 } }, 'retry.maxAttempts', /from 0 to 100, not 101/],
  ['an unknown backoff', { ...least, retry: { backoff: 'quadratic' } }, 'retry.backoff', /one of none, linear, exponential, fibonacci/],
  ['a base that is none', { ...least, retry: { baseMs: 'x' } }, 'retry.baseMs', /retry\.baseMs must be milliseconds/],
  ['jitter of 2', { ...least, retry: { jitter: 2 } }, 'retry.jitter', /from 0 to 1, not 2/],
];

describe('a definition that cannot be used is refused, with type and field', () => {
  for (const [what, type, field, says] of refused) {
    test(what, () => {
      assert.throws(
        () => traitsOf(type as AnyTaskType),
        (e) => isTuttiError(e) && e.code === 'INVALID_INPUT' && e.field === field && says.test(e.message) && !/undefined/.test(e.message),
      );
    });
  }
});
