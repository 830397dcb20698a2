/**
 * The rules every template keeps, however it was written: by the builder, in a file or over the API. Pure and linear in the number
 * of steps and dependencies; it looks at types too, since definitions also come from code without types.
 */
import { checkBranches, checkStepType } from './branch-rules.ts';
import { type RetryPolicy, STEP_TYPES, type StepDefinition, type TemplateDefinition } from './definition.ts';

export interface TemplateProblem {
  /** Where in the definition: `version`, `steps[3].retry.maxAttempts`. */
  path: string;
  /** Name of the step it concerns. */
  step?: string;
  /** Last part of the path that a person would call a field: `version`, `retry.maxAttempts`, `dependencies`. */
  field: string;
  message: string;
}

export const STEP_NAME = /^[A-Za-z][\w.-]{0,127}$/;
export const TEMPLATE_NAME = /^[A-Za-z_][\w.-]{0,254}$/;
export const NAMESPACE_NAME = /^[A-Za-z_]\w{0,28}$/;
export const SEMVER = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/;

export const STEP_NAME_RULE = 'must start with a letter and hold at most 128 letters, digits, "_", "." or "-"';
export const TEMPLATE_NAME_RULE = 'must start with a letter or "_" and hold at most 255 letters, digits, "_", "." or "-"';
export const NAMESPACE_RULE = 'must start with a letter or "_" and hold at most 29 letters, digits or "_"';
export const VERSION_RULE = 'must be a semantic version such as 1.0.0';

/** Longest time that is kept: about 142,000 years, still exact when added to a clock. */
const MAX_MS = 2 ** 52;
/** A template with thousands of mistakes is one mistake made thousands of times. */
const MAX_PROBLEMS = 100;
/** Above this a limit of children that run at once is none. */
export const MAX_CHILDREN_AT_ONCE = 1_000_000;
const BACKOFFS = ['none', 'linear', 'exponential', 'fibonacci'];
export const POLICIES: readonly string[] = ['fail', 'fail_fast', 'block', 'record'];

/** Everything that is wrong with a definition, at most 100 problems; empty: it may be compiled (shape.ts). */
export function checkTemplate(def: TemplateDefinition): TemplateProblem[] {
  const problems: TemplateProblem[] = [];
  const add = (field: string, message: string): void => void problems.push({ path: field, field, message });
  if (!matches(def.namespace, NAMESPACE_NAME)) add('namespace', `${NAMESPACE_RULE}, not ${show(def.namespace)}`);
  if (!matches(def.name, TEMPLATE_NAME)) add('name', `${TEMPLATE_NAME_RULE}, not ${show(def.name)}`);
  if (!matches(def.version, SEMVER) || def.version.length > 100) add('version', `${VERSION_RULE}, not ${show(def.version)}`);
  if (!POLICIES.includes(def.policy)) add('policy', `must be one of ${POLICIES.join(', ')}, not ${show(def.policy)}`);
  if (def.priority !== undefined && !isWhole(def.priority, 0, 3)) add('priority', `must be 0, 1, 2 or 3, not ${show(def.priority)}`);
  if (def.deadlineMs !== undefined && !isTime(def.deadlineMs)) add('deadlineMs', `must be a time of 0 ms or more, not ${show(def.deadlineMs)}`);
  if (!Array.isArray(def.steps) || def.steps.length === 0) {
    add('steps', 'a template has at least one step');
    return problems;
  }
  const numberOf = checkSteps(def.steps, problems);
  for (const name of typeof def.returns === 'string' ? [def.returns] : (def.returns ?? [])) {
    if (!numberOf.has(name)) add('returns', `names ${show(name)}, which is no step of this template`);
  }
  if (problems.length === 0) {
    const cycle = findCycle(def.steps, numberOf);
    if (cycle !== null) {
      const first = def.steps[cycle[0]].name;
      const names = cycle.map((no) => def.steps[no].name);
      problems.push({
        path: `steps[${cycle[0]}].dependencies`,
        step: first,
        field: 'dependencies',
        message: `form a cycle, each waiting for the next: ${shorten([...names, first])}`,
      });
    } else {
      checkBranches(def.steps, numberOf, (no, field, message) => {
        if (problems.length < MAX_PROBLEMS) problems.push({ path: `steps[${no}].${field}`, step: def.steps[no].name, field, message });
      });
    }
  }
  return problems;
}

/** One line for an error message: the step, the field and what is wrong with it. */
export const describeProblem = (p: TemplateProblem): string => `${p.step === undefined ? '' : `step ${show(p.step)}: `}${p.field}: ${p.message}`;

function checkSteps(steps: readonly StepDefinition[], problems: TemplateProblem[]): Map<string, number> {
  const numberOf = new Map<string, number>();
  steps.forEach((step, no) => {
    if (!numberOf.has(step.name)) numberOf.set(step.name, no);
  });
  for (let no = 0; no < steps.length && problems.length < MAX_PROBLEMS; no++) {
    const step = steps[no];
    const add = (field: string, message: string, index?: number): void =>
      void problems.push({
        path: `steps[${no}].${field}${index === undefined ? '' : `[${index}]`}`,
        step: typeof step.name === 'string' ? step.name.slice(0, 128) : `#${no}`,
        field,
        message,
      });
    if (!matches(step.name, STEP_NAME)) add('name', `${STEP_NAME_RULE}, not ${show(step.name)}`);
    else if (numberOf.get(step.name) !== no) add('name', `another step is called ${show(step.name)} too`);
    checkStep(step, add);
    const seen = new Set<string>();
    step.dependencies.forEach((d, i) => {
      if (d.name === step.name) add('dependencies', 'the step depends on itself', i);
      else if (!numberOf.has(d.name)) add('dependencies', `names ${show(d.name)}, which is no step of this template`, i);
      else if (seen.has(d.name)) add('dependencies', `names ${show(d.name)} twice`, i);
      seen.add(d.name);
    });
  }
  return numberOf;
}

function checkStep(step: StepDefinition, add: (field: string, message: string) => void): void {
  const { retry } = step;
  if (STEP_TYPES.includes(step.type)) checkStepType(step, add);
  else add('type', `must be one of ${STEP_TYPES.join(', ')}, not ${show(step.type)}`);
  if (typeof step.handler !== 'string' || step.handler.length < 1 || step.handler.length > 500) add('handler', 'must be a name of 1 to 500 characters');
  if (step.method !== undefined && (typeof step.method !== 'string' || step.method === '')) add('method', 'must be the name of a method');
  if (step.priority !== undefined && !isWhole(step.priority, 0, 3)) add('priority', `must be 0, 1, 2 or 3, not ${show(step.priority)}`);
  if (step.timeoutMs !== undefined && !isTime(step.timeoutMs)) add('timeoutMs', `must be a time of 0 ms or more, not ${show(step.timeoutMs)}`);
  if (step.heartbeatMs !== undefined && !isTime(step.heartbeatMs)) add('heartbeatMs', `must be a time of 0 ms or more, not ${show(step.heartbeatMs)}`);
  if (step.maxChildren !== undefined && !isWhole(step.maxChildren, 1, MAX_CHILDREN_AT_ONCE)) {
    add('maxChildren', `must be a whole number from 1 to ${MAX_CHILDREN_AT_ONCE}, not ${show(step.maxChildren)}`);
  }
  const bears = step.onChildFailure;
  if (bears !== undefined && bears !== 'fail_fast' && bears !== 'wait_all' && !isWhole(bears, 0, Number.MAX_SAFE_INTEGER)) {
    add('onChildFailure', 'must be fail_fast, wait_all or the number of failures that are tolerated');
  }
  checkRetry(retry, add);
}

/** Of a step however it came to be: in a template, spawned, or from what its handler says of itself. */
export function checkRetry(retry: RetryPolicy, add: (field: string, message: string) => void): void {
  if (typeof retry.retryable !== 'boolean') add('retry.retryable', `must be true or false, not ${show(retry.retryable)}`);
  if (!isWhole(retry.maxAttempts, 0, 100)) add('retry.maxAttempts', `must be a whole number from 0 to 100, not ${show(retry.maxAttempts)}`);
  if (!BACKOFFS.includes(retry.backoff)) add('retry.backoff', `must be one of ${BACKOFFS.join(', ')}, not ${show(retry.backoff)}`);
  if (!isTime(retry.baseMs)) add('retry.baseMs', `must be a time of 0 ms or more, not ${show(retry.baseMs)}`);
  if (!isTime(retry.maxMs)) add('retry.maxMs', `must be a time of 0 ms or more, not ${show(retry.maxMs)}`);
  if (!(typeof retry.jitter === 'number' && retry.jitter >= 0 && retry.jitter <= 1)) {
    add('retry.jitter', `must be a number from 0 to 1, not ${show(retry.jitter)}`);
  }
}

/** Numbers of the steps of one cycle, in the order in which each depends on the next; null: there is none. */
function findCycle(steps: readonly StepDefinition[], numberOf: ReadonlyMap<string, number>): number[] | null {
  const waiting = new Int32Array(steps.length);
  const dependants: number[][] = steps.map(() => []);
  steps.forEach((step, no) => {
    waiting[no] = step.dependencies.length;
    for (const d of step.dependencies) dependants[numberOf.get(d.name) as number].push(no);
  });
  const free: number[] = [];
  for (let no = 0; no < steps.length; no++) if (waiting[no] === 0) free.push(no);
  for (let at = 0; at < free.length; at++) {
    for (const no of dependants[free[at]]) if (--waiting[no] === 0) free.push(no);
  }
  if (free.length === steps.length) return null;
  // Every step left waits for another one left, so walking from one to the next must meet a step again.
  const metAt = new Map<number, number>();
  const walk: number[] = [];
  let no = waiting.findIndex((n) => n > 0);
  while (!metAt.has(no)) {
    metAt.set(no, walk.length);
    walk.push(no);
    no = steps[no].dependencies.map((d) => numberOf.get(d.name) as number).find((dep) => waiting[dep] > 0) as number;
  }
  return walk.slice(metAt.get(no));
}

/** A path of at most 20 names; a longer one keeps both ends. */
const shorten = (names: string[]): string =>
  names.length <= 20 ? names.join(' -> ') : [...names.slice(0, 10), `(${names.length - 15} more)`, ...names.slice(-5)].join(' -> ');

const matches = (value: unknown, rule: RegExp): value is string => typeof value === 'string' && rule.test(value);
const isWhole = (value: unknown, low: number, high: number): boolean => Number.isInteger(value) && (value as number) >= low && (value as number) <= high;
const isTime = (value: unknown): boolean => isWhole(value, 0, MAX_MS);

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return String(value);
}
