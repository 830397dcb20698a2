/**
 * From the links of a builder to the steps of a definition: which steps are branches of which decision, and which may not come to be and
 * so make a convergence of what follows them.
 */
import type { StepDefinition } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import type { StepHooks } from './handler-meta.ts';
import type { GivenHandler } from './step-options.ts';
import type { StepFunction } from './step-types.ts';

/** One call of the builder, and those before it. */
export interface Link {
  readonly before: Link | null;
  readonly step: StepDefinition;
  readonly fn: StepFunction | null;
  readonly hooks?: StepHooks;
  /** Its handler, where it was given as it is. */
  readonly given?: GivenHandler;
  /** Of a batch worker: its batchable step. */
  readonly of?: string;
  /** Of a decision. */
  readonly branches?: readonly { name: string; links: readonly Link[] }[];
}

/** Links up to this one, first one first, without `after` and what is before it; undefined: `after` is none of them. */
export function linksAfter(after: Link | null, last: Link | null): Link[] | undefined {
  const links: Link[] = [];
  for (let link = last; link !== after; link = link.before) {
    if (link === null) return undefined;
    links.push(link);
  }
  return links.reverse();
}

/** Code by handler name, of branches as well. */
export function collectHandlers(links: readonly Link[], map: Map<string, StepFunction>): Map<string, StepFunction> {
  for (const { step, fn, branches } of links) {
    if (fn !== null) map.set(step.handler, fn);
    for (const branch of branches ?? []) collectHandlers(branch.links, map);
  }
  return map;
}

/** By name the handlers that were given as they are, each with the first step that has it; of branches as well. */
export function collectGiven(links: readonly Link[], map: Map<string, Map<GivenHandler, string>>): Map<string, Map<GivenHandler, string>> {
  for (const { step, given, branches } of links) {
    if (given !== undefined) {
      const same = map.get(given.name) ?? new Map<GivenHandler, string>();
      if (!same.has(given)) same.set(given, step.name);
      map.set(given.name, same);
    }
    for (const branch of branches ?? []) collectGiven(branch.links, map);
  }
  return map;
}

/** Hooks by handler name, of branches as well. */
export function collectHooks(links: readonly Link[], map: Map<string, StepHooks>): Map<string, StepHooks> {
  for (const { step, hooks, branches } of links) {
    if (hooks !== undefined) map.set(step.handler, hooks);
    for (const branch of branches ?? []) collectHooks(branch.links, map);
  }
  return map;
}

/** The steps in the order they were added. Throws INVALID_TEMPLATE for what no step of its kind can depend on. */
export function placeSteps(templateId: string, links: readonly Link[]): StepDefinition[] {
  const steps: StepDefinition[] = [];
  const batchables = new Map<string, StepDefinition>();
  const top = new Scope(null, null);
  for (const link of links) place(link, top, { templateId, steps, batchables });
  for (const { name, batch } of batchables.values()) {
    if (batch?.workerTemplate === '') throw wrong(templateId, name, 'batch', 'has no worker: add .batchWorker(…, { of: … }, …)');
  }
  return steps;
}

interface Target {
  templateId: string;
  steps: StepDefinition[];
  batchables: Map<string, StepDefinition>;
}

/** The template itself, or one branch of a decision. */
class Scope {
  /** The decision whose branch it is. */
  readonly decision: string | null;
  readonly parent: Scope | null;
  /** Names of all steps in it, branches within it included. */
  readonly own = new Set<string>();
  /** Of these, steps that may not come to be though the scope does. */
  readonly absent = new Set<string>();
  readonly workers = new Set<string>();
  readonly decisions = new Set<string>();
  /** Steps that do not come with the scope but later, by what they depend on. */
  readonly later = new Set<string>();
  /** Steps that come with it. */
  readonly listed: string[] = [];

  constructor(decision: string | null, parent: Scope | null) {
    this.decision = decision;
    this.parent = parent;
  }

  /** May the step not come to be, seen from outside of this branch? */
  isAbsentOutside(name: string): boolean {
    for (let scope = this.parent; scope !== null; scope = scope.parent) if (scope.absent.has(name)) return true;
    return false;
  }
}

function place(link: Link, scope: Scope, target: Target): void {
  const step: StepDefinition = { ...link.step };
  const { name } = step;
  const names = step.dependencies.map((d) => d.name);
  const absent = names.some((d) => scope.absent.has(d));
  if (step.type === 'standard' && (absent || names.some((d) => scope.workers.has(d)))) step.type = 'deferred_convergence';
  checkDependencies(step, names, scope, target.templateId);
  if (step.type !== 'deferred_convergence' && scope.decision !== null && !names.some((d) => d === scope.decision || scope.own.has(d))) {
    step.dependencies = [...step.dependencies, { name: scope.decision, required: true }];
  }
  const later = step.type === 'deferred_convergence' || step.type === 'batch_worker' || names.some((d) => scope.later.has(d));
  scope.own.add(name);
  if (absent) scope.absent.add(name);
  if (later) scope.later.add(name);
  else scope.listed.push(name);
  if (step.type === 'decision') scope.decisions.add(name);
  if (step.type === 'batch_worker') scope.workers.add(name);
  target.steps.push(step);
  if (step.type === 'batchable') target.batchables.set(name, step);
  if (link.of !== undefined) joinBatch(target, name, link.of);
  if (link.branches === undefined) return;
  const branches: [string, string[]][] = [];
  for (const { name: branch, links } of link.branches) {
    const inner = new Scope(name, scope);
    for (const each of links) place(each, inner, target);
    branches.push([branch, inner.listed]);
    for (const own of inner.own) {
      scope.own.add(own);
      scope.absent.add(own);
      scope.later.add(own);
    }
  }
  step.branches = Object.fromEntries(branches);
}

function checkDependencies(step: StepDefinition, names: readonly string[], scope: Scope, templateId: string): void {
  if (step.type === 'deferred_convergence') {
    const outside = scope.decision === null ? undefined : names.find((d) => scope.isAbsentOutside(d));
    if (outside === undefined) return;
    const problem = `${JSON.stringify(outside)} may not come to be, and neither may another of them within this branch: put a step for each between`;
    throw wrong(templateId, step.name, 'after', problem);
  }
  const decision = names.find((d) => scope.decisions.has(d));
  if (decision === undefined) return;
  const problem = `${JSON.stringify(decision)} is a decision: what follows it is one of its branches, or follows steps of these`;
  throw wrong(templateId, step.name, 'after', problem);
}

function joinBatch({ templateId, batchables }: Target, worker: string, of: string): void {
  const batchable = batchables.get(of);
  if (batchable?.batch === undefined) throw wrong(templateId, worker, 'of', `${JSON.stringify(of)} is no batchable step before it`);
  const other = batchable.batch.workerTemplate;
  if (other !== '') throw wrong(templateId, worker, 'of', `${JSON.stringify(of)} has the worker ${JSON.stringify(other)} already`);
  batchable.batch = { ...batchable.batch, workerTemplate: worker };
}

const wrong = (templateId: string, step: string, field: string, message: string): TuttiError =>
  new TuttiError('INVALID_TEMPLATE', `template ${templateId}: step ${JSON.stringify(step)}: ${field}: ${message}`, { field, details: { step } });
