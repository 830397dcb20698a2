/** The tied children of a step as its handler deals with them: asking for them while it runs, seeing how they ended in its finalizer. */
import type { JsonObject } from '../../core/definition.ts';
import { TuttiError, isTuttiError } from '../../core/errors.ts';
import { freezeDeep, parseFrozen, serialise } from '../../core/values.ts';
import type { ChildResult as StoredChild, SpawnRequest, SpawnedChild } from '../../engine/worker-port.ts';
import { parseDuration } from '../duration.ts';
import { PermanentError, RetryableError } from '../handler-errors.ts';
import type { ChildResult, HandlerMeta } from '../handler-meta.ts';
import { retryPolicyOf } from '../step-options.ts';
import type { ChildRef, SpawnItem, SpawnOptions } from '../step-types.ts';
import type { Attempt } from './attempt.ts';

/** Children asked for in one message. */
const CHUNK = 500;
/** Characters of inputs in one message, or little more: each message is one commit. */
const CHUNK_CHARS = 4 * 1024 * 1024;
const PAGE = 100;

const OPTIONS = new Set<string>([
  'key',
  'priority',
  'name',
  'method',
  'params',
  'retry',
  'timeout',
  'expectedBytes',
  'expectedItems',
  'allowFailure',
  'cancelable',
  'onChildFailure',
  'maxConcurrentChildren',
] satisfies (keyof SpawnOptions)[]);

export class Children {
  readonly #attempt: Attempt;
  /** What is known of a handler, for the defaults of steps it runs. */
  readonly #metaOf: (handler: string) => HandlerMeta | undefined;
  /** Spawns without a key so far: their identity is their place among them (design.md §2). */
  #position = 0;

  constructor(attempt: Attempt, metaOf: (handler: string) => HandlerMeta | undefined) {
    this.#attempt = attempt;
    this.#metaOf = metaOf;
  }

  /** Durable when it resolves. In chunks: after a crash between two of them the retry finds the first and asks for the rest. */
  async spawn(items: Iterable<SpawnItem>): Promise<ChildRef[]> {
    const { session, given } = this.#attempt;
    this.#attempt.spawned = true;
    const refs: ChildRef[] = [];
    let chunk: SpawnRequest[] = [];
    let chars = 0;
    const send = async (): Promise<void> => {
      if (this.#attempt.ended) throw new TuttiError('ILLEGAL_STATE', `the attempt of step ${JSON.stringify(given.stepName)} is over: it has no more children`);
      try {
        for (const c of await session.spawn({ task: given.task, no: given.no, token: given.token, children: chunk })) refs.push(refOf(c));
      } catch (e) {
        throw refusal(e);
      }
      chunk = [];
      chars = 0;
    };
    if (typeof items === 'string' || typeof (items as Partial<Iterable<unknown>> | null | undefined)?.[Symbol.iterator] !== 'function')
      throw invalid('the children must be a list');
    for (const item of items) {
      const request = this.#request(item);
      chunk.push(request);
      chars += request.inputs.length;
      if (chunk.length === CHUNK || chars >= CHUNK_CHARS) await send();
    }
    if (chunk.length > 0) await send();
    return refs;
  }

  /** In the order they came, read in pages while one walks. */
  async *results(): AsyncGenerator<ChildResult> {
    const { session, given } = this.#attempt;
    for (let from: number | null = 0; from !== null; ) {
      const page: { children: StoredChild[]; next: number | null } = await session.fetchChildren({ task: given.task, no: given.no, from, limit: PAGE });
      for (const child of page.children) yield resultOf(child);
      if (page.next !== null && page.next <= from) throw new RetryableError('the children cannot be read at the moment');
      from = page.next;
    }
  }

  #request(item: SpawnItem): SpawnRequest {
    if (typeof item !== 'object' || (item as SpawnItem | null) === null) throw invalid('a child must be an object with a handler');
    const { handler, inputs, ...opts } = item;
    for (const name of Object.keys(opts)) if (!OPTIONS.has(name)) throw invalid(`${JSON.stringify(name)} is no option`);
    if (this.#attempt.given.phase !== 'run')
      throw new PermanentError('children are spawned while a step runs, not by its finalize or onAbort', { code: 'spawn_refused' });
    if (typeof handler !== 'string' || handler === '') throw invalid('handler must be the name of a handler');
    try {
      const request: SpawnRequest = { handler, inputs: serialise(inputs ?? {}, { name: 'inputs' }) };
      if (opts.key === undefined) request.position = this.#position++;
      return Object.assign(request, optionsOf(this.#metaOf(handler), opts));
    } catch (e) {
      throw refusal(e);
    }
  }
}

/** The handler's own defaults, and over them what the spawn says. */
function optionsOf(meta: HandlerMeta | undefined, o: SpawnOptions): Partial<SpawnRequest> {
  const found: Partial<SpawnRequest> = {};
  const retry = o.retry ?? meta?.retry;
  const timeout = o.timeout ?? meta?.timeout;
  const onChildFailure = o.onChildFailure ?? meta?.onChildFailure;
  const maxChildren = o.maxConcurrentChildren ?? meta?.maxConcurrentChildren;
  if (o.key !== undefined) found.key = o.key;
  if (o.name !== undefined) found.name = o.name;
  if (o.method !== undefined) found.method = o.method;
  // As it is now: what the handler does with the object later is its own affair.
  if (o.params !== undefined) found.params = parseFrozen(serialise(o.params, { name: 'params' })) as JsonObject;
  if (o.priority !== undefined) found.priority = o.priority;
  if (o.allowFailure !== undefined) found.allowFailure = o.allowFailure;
  if (o.cancelable !== undefined) found.cancelable = o.cancelable;
  if (retry !== undefined) found.retry = retryPolicyOf(retry);
  if (timeout !== undefined) {
    const ms = parseDuration(timeout);
    if (ms === null) throw invalid(`timeout must be milliseconds or text such as "30s", not ${JSON.stringify(timeout)}`);
    found.timeoutMs = ms;
  }
  if (onChildFailure !== undefined) found.onChildFailure = typeof onChildFailure === 'object' ? onChildFailure.tolerate : onChildFailure;
  if (maxChildren !== undefined) found.maxChildren = maxChildren;
  const expected = o.expectedBytes ?? o.expectedItems;
  if (expected !== undefined) {
    found.expected = expected;
    found.unit = o.expectedBytes === undefined ? 'items' : 'bytes';
  }
  return found;
}

const invalid = (what: string): PermanentError => new PermanentError(`spawn: ${what}`, { code: 'invalid_spawn' });

const refOf = (c: SpawnedChild): ChildRef => Object.freeze({ stepId: c.stepId, name: c.name, key: c.key });

/** What asking again will not change fails the step for good. */
function refusal(e: unknown): unknown {
  if (!isTuttiError(e) || e.code === 'ILLEGAL_STATE') return e;
  if (e.code === 'BACKPRESSURE' || e.code === 'STORE_UNAVAILABLE' || e.code === 'SHUTTING_DOWN') return new RetryableError(e.message, { cause: e });
  return new PermanentError(e.message, { code: e.code.toLowerCase(), cause: e });
}

function resultOf({ stepId, name, key, handler, result }: StoredChild): ChildResult {
  const head = { stepId, name, key, handler };
  switch (result.state) {
    case 'complete':
      return Object.freeze({ ...head, state: 'complete', value: parseFrozen(result.body) });
    case 'error':
      return freezeDeep({ ...head, state: 'error', error: { ...result.error } });
    case 'cancelled':
      return Object.freeze({ ...head, state: 'cancelled', reason: result.reason });
    default:
      return Object.freeze({ ...head, state: 'resolved_manually' });
  }
}
