/** The way of a spawn to its inbox: what a running handler asks for, checked and made a node, before anything is decided. */
import { TuttiError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import { type NewNode, SPAWN_CHUNK, spawn } from '../core/grow.ts';
import type { Decisions } from '../core/decisions.ts';
import { MAX_STEPS } from '../core/ids.ts';
import { MAX_DEPTH, depthOf } from '../core/nodes.ts';
import { Phase } from '../core/phases.ts';
import { checkRetry } from '../core/template-rules.ts';
import { checkContext } from '../core/values.ts';
import type { SpawnRequest, SpawnedChild } from './worker-port.ts';

export interface SpawnCommand {
  kind: 'spawn';
  task: number;
  no: number;
  token: number;
  children: readonly SpawnRequest[];
  done(children: SpawnedChild[], e: TuttiError | null): void;
}

/** A year: a longer wait is a mistake, and the sum of a time and a much longer one is no time any more. */
const MAX_MS = 31_536_000_000;

/** Throws INVALID_INPUT, UNSTORABLE_VALUE or UNKNOWN_HANDLER; nothing is stored then. What passes can be kept, and is safe to decide about. */
export function checkSpawn(children: readonly SpawnRequest[], hasHandler: (handler: string) => boolean, openToWorkers: boolean): void {
  if (children.length > SPAWN_CHUNK) throw new TuttiError('INVALID_INPUT', `at most ${SPAWN_CHUNK} children are spawned at once`, { field: 'children' });
  for (const [i, c] of children.entries()) {
    const wrong = (field: string, message: string): TuttiError =>
      new TuttiError('INVALID_INPUT', `children[${i}].${field}: ${message}`, { field: `children[${i}].${field}` });
    if (typeof c.handler !== 'string' || c.handler === '') throw wrong('handler', 'must be the name of a handler');
    if (!openToWorkers && !hasHandler(c.handler)) {
      throw new TuttiError('UNKNOWN_HANDLER', `nobody here has the handler ${c.handler}`, { field: `children[${i}].handler`, details: { handler: c.handler } });
    }
    if (typeof c.inputs !== 'string' || !c.inputs.startsWith('{')) throw wrong('inputs', 'must be a JSON object');
    if (c.key !== undefined && !isText(c.key)) throw wrong('key', 'must be a text of 1 to 255 characters that can be kept');
    if (c.name !== undefined && !(isText(c.name) && !/\p{Cc}/u.test(c.name)))
      throw wrong('name', 'must be a text of 1 to 255 characters without control characters');
    if (c.method !== undefined && !isText(c.method)) throw wrong('method', 'must be a text of 1 to 255 characters');
    if (c.params !== undefined) checkContext(c.params, { name: `children[${i}].params` });
    if (c.priority !== undefined && !(Number.isInteger(c.priority) && c.priority >= 0 && c.priority <= 3)) throw wrong('priority', 'must be 0, 1, 2 or 3');
    for (const field of ['timeoutMs', 'heartbeatMs'] as const)
      if (c[field] !== undefined && !isCount(c[field], 0, MAX_MS)) throw wrong(field, `must be a whole number of milliseconds from 0 to ${MAX_MS}`);
    for (const field of ['allowFailure', 'cancelable'] as const)
      if (c[field] !== undefined && typeof c[field] !== 'boolean') throw wrong(field, 'must be true or false');
    if (c.retry !== undefined) {
      checkRetry(c.retry, (field, message) => {
        throw wrong(field, message);
      });
    }
    if (c.maxChildren !== undefined && !isCount(c.maxChildren, 1)) throw wrong('maxConcurrentChildren', 'must be a whole number of 1 or more');
    if (c.onChildFailure !== undefined && c.onChildFailure !== 'fail_fast' && c.onChildFailure !== 'wait_all' && !isCount(c.onChildFailure, 0))
      throw wrong('onChildFailure', "must be 'fail_fast', 'wait_all' or { tolerate: n }, n a whole number of 0 or more");
    if (c.expected !== undefined && !(Number.isFinite(c.expected) && c.expected >= 0)) throw wrong('expected', 'must be a size of 0 or more');
  }
}

const isText = (value: unknown): boolean =>
  typeof value === 'string' && value.length >= 1 && value.length <= 255 && !value.includes('\u0000') && value.isWellFormed();

const isCount = (value: unknown, least: number, most = Number.MAX_SAFE_INTEGER): boolean =>
  Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;

/** Decides a spawn; the reply leaves after the commit. */
export function decideSpawn(out: Decisions, g: TaskGraph, c: SpawnCommand, stepUuid: (task: number, no: number) => string): () => void {
  const live = g.live.get(c.no);
  const refuse = (e: TuttiError) => () => c.done([], e);
  if (live === undefined || live.token !== c.token || live.stopping || live.phase !== Phase.run)
    return refuse(new TuttiError('ILLEGAL_STATE', 'The attempt is no longer live: it has no children.'));
  const type = g.shape.types[c.no];
  if (type === 'decision' || type === 'batchable')
    return refuse(
      new TuttiError('INVALID_INPUT', `a step of type ${type} has no children of its own; let a step that follows it spawn them`, { field: 'children' }),
    );
  if (depthOf(g, c.no) >= MAX_DEPTH)
    return refuse(new TuttiError('INVALID_INPUT', `children stand at most ${MAX_DEPTH} deep`, { field: 'children', details: { max: MAX_DEPTH } }));
  if (g.size + c.children.length > MAX_STEPS) return refuse(new TuttiError('INVALID_INPUT', `a task has at most ${MAX_STEPS} steps`, { field: 'children' }));
  const named = new Set<string>();
  for (const { name } of c.children) if (name !== undefined) named.add(name);
  const first = g.shape.children(c.no).length + 1;
  const nodes = c.children.map((r, i): NewNode => {
    const name = r.name ?? freeName(madeUpName(g.shape.names[c.no], r, first + i), (n) => named.has(n) || g.shape.numberOf.has(n));
    named.add(name);
    return nodeOf(name, c.no, r);
  });
  const spawned = spawn(out, g, c.no, c.token, nodes);
  const wrong = spawned.find((s) => !s.ok);
  if (wrong !== undefined && !wrong.ok) return refuse(new TuttiError('SPAWN_MISMATCH', wrong.message));
  const children = spawned.map((s, i): SpawnedChild => {
    const { no, adopted } = s as { no: number; adopted: boolean };
    return { stepId: stepUuid(g.id, no), name: g.shape.names[no], key: c.children[i].key ?? null, adopted };
  });
  return () => c.done(children, null);
}

const LONGEST_NAME = 255;

/** Of a child that was given none: after its parent, with its key, or the place it has among the children. */
function madeUpName(parent: string, r: SpawnRequest, ordinal: number): string {
  const own = `${parent}.${r.key !== undefined && /^[\w.-]{1,64}$/.test(r.key) ? r.key : ordinal}`;
  return own.length <= LONGEST_NAME ? own : `${r.handler}.${ordinal}`.slice(-LONGEST_NAME).toWellFormed();
}

/** Steps are found by name: one that we make up is never one that another step has, or is given along with it. */
function freeName(wanted: string, isTaken: (name: string) => boolean): string {
  let name = wanted;
  for (let n = 2; isTaken(name); n++) {
    const suffix = `.${n}`;
    name = wanted.slice(0, LONGEST_NAME - suffix.length).toWellFormed() + suffix;
  }
  return name;
}

function nodeOf(name: string, parent: number, r: SpawnRequest): NewNode {
  return {
    definition: {
      name,
      handler: r.handler,
      parent,
      tied: true,
      ...(r.key === undefined ? { position: r.position ?? 0, hash: hashOf(`${r.handler}\n${r.inputs}`) } : { key: r.key }),
      ...(r.method === undefined ? {} : { method: r.method }),
      ...(r.params === undefined ? {} : { params: r.params }),
      ...(r.priority === undefined ? {} : { priority: r.priority }),
      ...(r.retry === undefined ? {} : { retry: r.retry }),
      ...(r.timeoutMs === undefined ? {} : { timeoutMs: r.timeoutMs }),
      ...(r.heartbeatMs === undefined ? {} : { heartbeatMs: r.heartbeatMs }),
      ...(r.allowFailure === undefined ? {} : { allowFailure: r.allowFailure }),
      ...(r.cancelable === undefined ? {} : { cancelable: r.cancelable }),
      ...(r.onChildFailure === undefined ? {} : { onChildFailure: r.onChildFailure }),
      ...(r.maxChildren === undefined ? {} : { maxChildren: r.maxChildren }),
      ...(r.expected === undefined ? {} : { expected: r.expected, unit: r.unit ?? 'bytes' }),
    },
    inputs: r.inputs,
  };
}

/** 53 bits: tells apart what a retry asks for, and is no protection against somebody who wants it to be the same. */
function hashOf(text: string): number {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    a = Math.imul(a ^ c, 0x9e3779b1);
    b = Math.imul(b ^ c, 0x5f356495);
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return (b & 0x1fffff) * 4294967296 + (a >>> 0);
}
