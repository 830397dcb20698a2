/** Generators' answers as the engine takes them: checked field by field, values as JSON text. Throws what AnswerFields throws. */
import { MAX_SUBTASKS } from '../../core/plan.ts';
import { nearestName } from '../../core/nearest-name.ts';
import { showValue } from '../../core/show-value.ts';
import { serialise } from '../../core/values.ts';
import type { PlanAnswer, PlanCallKind, PlanSubtask } from '../../engine/plan-port.ts';
import { parseDuration } from '../duration.ts';
import { AnswerFields, isWhole, unusable } from './answer-fields.ts';
import type { Breather } from './breather.ts';
import { readChanges } from './read-changes.ts';

export interface AnswerLimits {
  /** Bytes of a state, of the input of a subtask. */
  valueBytes: number;
  /** Bytes of all inputs of a batch: they arrive in one commit. */
  batchBytes: number;
}

export const DEFAULT_ANSWER_LIMITS: AnswerLimits = { valueBytes: 1_048_576, batchBytes: 64 * 2 ** 20 };

const KINDS = ['batch', 'done', 'wait', 'abort'];
const MAX_NAME = 255;
/** A plan that waits longer waits for a person. */
const MAX_WAIT_MS = 366 * 86_400_000;

export async function readAnswer(kind: PlanCallKind, value: unknown, limits: AnswerLimits, breather: Breather): Promise<PlanAnswer> {
  switch (kind) {
    case 'start':
      return readStart(value, limits);
    case 'next':
    case 'once':
      return readNext(value, limits, breather);
    case 'finish':
      return readFinish(value, limits, breather);
    case 'end':
      return readEnd(value, breather);
    default:
      return kind satisfies never;
  }
}

function readStart(value: unknown, limits: AnswerLimits): PlanAnswer {
  const f = new AnswerFields(value, { what: 'the start of a plan', known: ['state', 'inputsToProcess', 'inputUnit', 'properties', 'customStats'] });
  const total = f.count('inputsToProcess');
  if (total === undefined) throw unusable('inputsToProcess', 'is missing: say 0 where it is not known');
  return {
    kind: 'started',
    total,
    ...given({
      state: f.json('state', limits.valueBytes),
      unit: f.text('inputUnit', 50),
      properties: f.texts('properties'),
      customStats: f.texts('customStats'),
    }),
  };
}

async function readNext(value: unknown, limits: AnswerLimits, breather: Breather): Promise<PlanAnswer> {
  const kind: unknown = typeof value === 'object' && value !== null ? (value as { kind?: unknown }).kind : undefined;
  switch (kind) {
    case 'batch': {
      const known = ['kind', 'subtasks', 'state', 'inputsToProcess', 'customStats', 'message', 'countFailures'];
      const f = new AnswerFields(value, { what: 'a batch', known });
      return {
        kind,
        subtasks: await readSubtasks(f.list('subtasks'), limits, breather),
        countFailures: f.flag('countFailures') ?? true,
        ...given({
          state: f.json('state', limits.valueBytes),
          total: f.count('inputsToProcess'),
          customStats: f.texts('customStats'),
          message: f.message('message'),
        }),
      };
    }
    case 'done': {
      const f = new AnswerFields(value, { what: 'the answer "done"', known: ['kind', 'message', 'state', 'customStats'] });
      return { kind, ...given({ message: f.message('message'), state: f.json('state', limits.valueBytes), customStats: f.texts('customStats') }) };
    }
    case 'wait': {
      const f = new AnswerFields(value, { what: 'the answer "wait"', known: ['kind', 'after', 'message'] });
      return { kind, ms: readWait(f.get('after')), ...given({ message: f.message('message') }) };
    }
    case 'abort': {
      const f = new AnswerFields(value, { what: 'the answer "abort"', known: ['kind', 'reason'] });
      const reason = f.message('reason');
      if (reason === undefined || reason === '') throw unusable('reason', 'is missing: say why the plan must not go on');
      return { kind, reason };
    }
    default: {
      if (typeof value !== 'object' || value === null)
        throw unusable('the answer', `must be an object with a kind, one of ${KINDS.join(', ')}, not ${showValue(value)}`);
      const near = typeof kind === 'string' ? nearestName(kind, KINDS) : null;
      throw unusable('kind', `must be one of ${KINDS.join(', ')}, not ${showValue(kind)}${near === null ? '' : `; did you mean ${near}?`}`);
    }
  }
}

function readWait(after: unknown): number | null {
  if (after === undefined) return null;
  const ms = typeof after === 'number' || typeof after === 'string' ? parseDuration(after) : null;
  if (ms === null) throw unusable('after', `must be milliseconds or text such as "30s", not ${showValue(after)}`);
  if (ms > MAX_WAIT_MS) throw unusable('after', `must be at most ${MAX_WAIT_MS} ms (366 days), not ${showValue(after)}`);
  return ms;
}

async function readSubtasks(list: readonly unknown[] | undefined, limits: AnswerLimits, breather: Breather): Promise<PlanSubtask[]> {
  if (list === undefined) throw unusable('subtasks', 'is missing');
  if (list.length === 0) throw unusable('subtasks', 'is empty: answer { kind: "done" } when nothing is left, or "wait" when there is nothing yet');
  if (list.length > MAX_SUBTASKS) throw unusable('subtasks', `has ${list.length} subtasks; the limit of one batch is ${MAX_SUBTASKS} (ctx.maxSubtasks)`);
  const subtasks: PlanSubtask[] = [];
  const places = new Map<string, number>();
  let bytes = 0;
  let units = 0;
  for (const [i, one] of list.entries()) {
    const at = `subtasks[${i}]`;
    const f = new AnswerFields(one, { at, what: 'a subtask', known: ['name', 'input', 'units', 'priority'] });
    const name = f.text('name', MAX_NAME) ?? `subtask-${i}`;
    const other = places.get(name);
    if (other !== undefined) throw unusable(`${at}.name`, `is ${showValue(name)}, as is that of subtasks[${other}]`);
    places.set(name, i);
    if (f.get('input') === undefined) throw unusable(`${at}.input`, 'is missing: give null where there is nothing to say');
    const input = serialise(f.get('input'), { name: `${at}.input`, maxBytes: limits.valueBytes });
    bytes += input.length;
    if (bytes > limits.batchBytes)
      throw unusable('subtasks', `have inputs of more than ${limits.batchBytes} bytes together; give fewer in one batch, or say where the data is`);
    const own = f.count('units') ?? 1;
    units += own;
    if (!Number.isSafeInteger(units)) throw unusable(`${at}.units`, 'makes the units of the batch more than 2^53 - 1');
    const priority = f.get('priority');
    if (priority !== undefined && !isWhole(priority, 0, 3)) throw unusable(`${at}.priority`, `must be 0, 1, 2 or 3, not ${showValue(priority)}`);
    subtasks.push({ name, input, units: own, ...(priority === undefined ? {} : { priority }) });
    await breather.after(input.length);
  }
  return subtasks;
}

async function readFinish(value: unknown, limits: AnswerLimits, breather: Breather): Promise<PlanAnswer> {
  if (value === undefined || value === null) return { kind: 'finished' };
  const known = ['state', 'processed', 'inputsToProcess', 'customStats', 'changes'];
  const f = new AnswerFields(value, { what: 'the answer of onBatchFinished', known });
  return {
    kind: 'finished',
    ...given({
      state: f.json('state', limits.valueBytes),
      processed: f.count('processed'),
      total: f.count('inputsToProcess'),
      customStats: f.texts('customStats'),
      changes: await readChanges(f.get('changes'), breather),
    }),
  };
}

async function readEnd(value: unknown, breather: Breather): Promise<PlanAnswer> {
  if (value === undefined || value === null) return { kind: 'ended' };
  const f = new AnswerFields(value, { what: 'the answer of onPlanEnd', known: ['message', 'customStats', 'changes'] });
  return {
    kind: 'ended',
    ...given({ message: f.message('message'), customStats: f.texts('customStats'), changes: await readChanges(f.get('changes'), breather) }),
  };
}

/** Without what is absent: absent means "as it was". */
function given<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const kept: Partial<Record<string, unknown>> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) kept[name] = value;
  return kept as { [K in keyof T]?: Exclude<T[K], undefined> };
}
