/** What is said beside a task, a tree, a copy or a list is checked by name, and by value where nothing behind it looks at that. */
import { TuttiError } from '../core/errors.ts';
import type { CopyOverrides, ListRequest } from '../engine/views.ts';
import type { CopyOptions, SubmitOptions, SubmitTreeOptions } from './tutti.ts';
import { refuseUnknownOptions } from './unknown-options.ts';

/** All there are, and the compiler sees to it. */
const names = <T>(all: Record<keyof T, true>): readonly string[] => Object.keys(all);

const ATTRIBUTION = {
  tags: true,
  initiator: true,
  sourceSystem: true,
  reason: true,
  correlationId: true,
  parentCorrelationId: true,
  options: true,
} as const;
const TASK = { ...ATTRIBUTION, priority: true, expectedBytes: true, expectedItems: true, key: true, whenFull: true } as const;
const SUBMIT = names<SubmitOptions>(TASK);
const TREE = names<SubmitTreeOptions>({ ...TASK, execute: true, policy: true });
const COPY = names<CopyOptions & { link?: string[] }>({
  ...ATTRIBUTION,
  element: true,
  recursive: true,
  includeDependencies: true,
  includeDependents: true,
  overrides: true,
  execute: true,
  save: true,
  link: true,
});
const CHANGES = { inputs: true, params: true, priority: true } as const;
const CHANGE = names<CopyOverrides>(CHANGES);
const OVERRIDES = names<NonNullable<CopyOptions['overrides']>>({ ...CHANGES, userId: true, elements: true });
const LIST = names<ListRequest>({
  states: true,
  namespace: true,
  name: true,
  version: true,
  initiator: true,
  sourceSystem: true,
  tag: true,
  key: true,
  cursor: true,
  limit: true,
  page: true,
  perPage: true,
});

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function checkSubmitOptions(what: string, o: SubmitOptions): void {
  refuseUnknownOptions(what, o, SUBMIT);
  checkCorrelation(what, o);
  checkWhenFull(what, o);
}

export function checkTreeOptions(what: string, o: SubmitTreeOptions): void {
  refuseUnknownOptions(what, o, TREE);
  checkCorrelation(what, o);
  checkWhenFull(what, o);
  checkFlag(what, 'execute', o.execute);
}

export function checkCopyOptions(what: string, o: CopyOptions & { link?: string[] }): void {
  refuseUnknownOptions(what, o, COPY);
  checkCorrelation(what, o);
  const { overrides, recursive, includeDependencies, includeDependents, execute, save } = o;
  for (const [field, value] of Object.entries({ recursive, includeDependencies, includeDependents, execute, save })) checkFlag(what, field, value);
  if (overrides === undefined) return;
  refuseUnknownOptions(what, overrides, OVERRIDES, 'overrides');
  for (const [ref, change] of Object.entries(overrides.elements ?? {})) refuseUnknownOptions(what, change, CHANGE, `overrides.elements.${ref}`);
}

export function checkListRequest(what: string, r: ListRequest): void {
  refuseUnknownOptions(what, r, LIST);
  checkWhole(what, 'limit', r.limit, 100);
  checkWhole(what, 'perPage', r.perPage, 100);
  checkWhole(what, 'page', r.page, 1_000_000);
}

function checkCorrelation(what: string, o: Pick<SubmitOptions, 'correlationId' | 'parentCorrelationId'>): void {
  for (const field of ['correlationId', 'parentCorrelationId'] as const) {
    const id: unknown = o[field];
    if (id === undefined || (typeof id === 'string' && UUID.test(id))) continue;
    throw wrong(what, field, 'must be a UUID');
  }
}

function checkWhenFull(what: string, { whenFull }: { whenFull?: unknown }): void {
  if (whenFull !== undefined && whenFull !== 'wait' && whenFull !== 'reject') throw wrong(what, 'whenFull', "must be 'wait' or 'reject'");
}

function checkFlag(what: string, field: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') throw wrong(what, field, 'must be true or false');
}

function checkWhole(what: string, field: string, value: unknown, max: number): void {
  if (value === undefined || (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= max)) return;
  throw wrong(what, field, `must be a whole number from 1 to ${max}`);
}

const wrong = (what: string, field: string, message: string): TuttiError => new TuttiError('INVALID_INPUT', `${what}: ${field} ${message}`, { field });
