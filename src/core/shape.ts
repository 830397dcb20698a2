/**
 * The immutable, compiled form of a graph: names, rules and edges in compressed rows. All tasks of a template share one shape,
 * so a task itself costs a few small integers per step (spec/turn-loop.md §5).
 */
import type { FailurePolicy, JsonObject, RetryPolicy, TemplateDefinition } from './definition.ts';

/** What holds for a step, whatever task it is in. */
export interface StepRules {
  readonly handler: string;
  readonly method: string | undefined;
  readonly config: JsonObject | undefined;
  /** -1: the task's. */
  readonly priority: number;
  readonly retry: RetryPolicy;
  /** 0: none. */
  readonly timeoutMs: number;
  /** 0: none. */
  readonly heartbeatMs: number;
  readonly allowFailure: boolean;
  readonly cancelable: boolean;
  readonly mergedInputs: boolean;
}

export interface Shape {
  readonly size: number;
  readonly names: readonly string[];
  readonly rules: readonly StepRules[];
  /** Dependencies of step i: deps[depStart[i] .. depStart[i + 1]), in declared order. */
  readonly depStart: Int32Array;
  readonly deps: Int32Array;
  readonly depRequired: Uint8Array;
  /** Dependants of step i: outs[outStart[i] .. outStart[i + 1]). */
  readonly outStart: Int32Array;
  readonly outs: Int32Array;
  readonly outRequired: Uint8Array;
  /** 1: its result is worth keeping in memory, since a dependant of few dependencies will want it at once, or the task's result is made of it. */
  readonly wanted: Uint8Array;
  /** Steps without dependencies. */
  readonly roots: readonly number[];
  /** Steps nobody depends on. */
  readonly leaves: readonly number[];
  readonly numberOf: ReadonlyMap<string, number>;
  readonly policy: FailurePolicy;
  readonly priority: number | undefined;
  readonly deadlineMs: number;
  readonly returns: string | readonly string[] | undefined;
}

/** A join of more dependencies than this reads them from the store: keeping 100,000 results for one reader only feeds the collector. */
const WIDE = 256;

/** Compiles a definition that template-rules.ts has found valid. */
export function compileShape(def: TemplateDefinition): Shape {
  const size = def.steps.length;
  const names = def.steps.map((s) => s.name);
  const numberOf = new Map(names.map((name, no) => [name, no]));
  const depStart = new Int32Array(size + 1);
  const outStart = new Int32Array(size + 1);
  const edges = def.steps.reduce((sum, s) => sum + s.dependencies.length, 0);
  const deps = new Int32Array(edges);
  const depRequired = new Uint8Array(edges);
  const outs = new Int32Array(edges);
  const outRequired = new Uint8Array(edges);
  let at = 0;
  def.steps.forEach((step, no) => {
    depStart[no] = at;
    for (const d of step.dependencies) {
      const from = numberOf.get(d.name);
      if (from === undefined) throw new Error(`step ${step.name}: unknown dependency ${d.name}`);
      deps[at] = from;
      depRequired[at] = d.required ? 1 : 0;
      at++;
      outStart[from + 1]++;
    }
  });
  depStart[size] = at;
  for (let i = 0; i < size; i++) outStart[i + 1] += outStart[i];
  const next = outStart.slice(0, size);
  for (let no = 0; no < size; no++) {
    for (let e = depStart[no]; e < depStart[no + 1]; e++) {
      const slot = next[deps[e]]++;
      outs[slot] = no;
      outRequired[slot] = depRequired[e];
    }
  }
  const wanted = new Uint8Array(size);
  for (let no = 0; no < size; no++) {
    if (outStart[no] === outStart[no + 1]) wanted[no] = 1;
    if (depStart[no + 1] - depStart[no] > WIDE) continue;
    for (let e = depStart[no]; e < depStart[no + 1]; e++) wanted[deps[e]] = 1;
  }
  const all = [...names.keys()];
  return {
    size,
    names,
    numberOf,
    depStart,
    deps,
    depRequired,
    outStart,
    outs,
    outRequired,
    wanted,
    rules: def.steps.map((s) => ({
      handler: s.handler,
      method: s.method,
      config: s.initialization,
      priority: s.priority ?? -1,
      retry: s.retry,
      timeoutMs: s.timeoutMs ?? 0,
      heartbeatMs: s.heartbeatMs ?? 0,
      allowFailure: s.allowFailure ?? false,
      cancelable: s.cancelable ?? true,
      mergedInputs: s.mergedInputs ?? false,
    })),
    roots: all.filter((no) => depStart[no] === depStart[no + 1]),
    leaves: all.filter((no) => outStart[no] === outStart[no + 1]),
    policy: def.policy,
    priority: def.priority,
    deadlineMs: def.deadlineMs ?? 0,
    returns: def.returns,
  };
}
