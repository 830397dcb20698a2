/** What the result of a decision or of a batchable step makes of the graph (spec/tasker.md §4.3, §4.4). */
import { chooseBranches, openBatch, parseDecision } from './branches.ts';
import { parseBatches, planBatches } from './batches.ts';
import type { Decisions } from './decisions.ts';
import { leaveOut } from './failure.ts';
import type { TaskGraph } from './graph.ts';
import { type NewNode, addNodes, createTemplateSteps } from './grow.ts';

/** `error`: the outcome is wrong, and the step fails for good (G9). Else `apply` changes the graph, once the step has left `run`. */
export interface BranchDecision {
  error?: string;
  apply: (out: Decisions) => void;
}

const nothing = (): void => undefined;

/** Reads the outcome without changing anything. `body`: JSON text of what the handler returned. */
export function decide(g: TaskGraph, no: number, body: string): BranchDecision {
  const value: unknown = JSON.parse(body);
  return g.shape.types[no] === 'decision' ? decideDecision(g, no, value) : decideBatches(g, no, value);
}

function decideDecision(g: TaskGraph, no: number, value: unknown): BranchDecision {
  const outcome = parseDecision(value);
  if ('error' in outcome) return { error: outcome.error, apply: nothing };
  const choice = chooseBranches(g.shape, (n) => g.state[n], no, outcome.names);
  if ('error' in choice) return { error: choice.error, apply: nothing };
  return {
    apply: (out) => {
      leaveOut(out, g, choice.notTaken);
      createTemplateSteps(out, g, choice.create);
    },
  };
}

function decideBatches(g: TaskGraph, no: number, value: unknown): BranchDecision {
  const config = g.shape.batch(no);
  const worker = config === undefined ? undefined : g.shape.numberOf.get(config.workerTemplate);
  if (config === undefined || worker === undefined) return { error: 'the step has no batch settings', apply: nothing };
  const plan = parseBatches(value, config);
  if ('error' in plan) return { error: plan.error, apply: nothing };
  const rules = g.shape.rules[worker];
  const planned = planBatches(plan, config, rules.config, (name) => g.shape.numberOf.has(name));
  if ('error' in planned) return { error: planned.error, apply: nothing };
  const nodes = planned.workers.map(
    (w): NewNode => ({ definition: { name: w.name, handler: rules.handler, params: w.inputs, parent: no, of: worker, deps: [[no, true]] }, inputs: null }),
  );
  return {
    apply: (out) => {
      const choice = openBatch(g.shape, (n) => g.state[n], no);
      // Workers first: what waits for them is created with them among its dependencies.
      addNodes(out, g, nodes, 0);
      leaveOut(out, g, choice.notTaken);
      createTemplateSteps(out, g, choice.create);
    },
  };
}
