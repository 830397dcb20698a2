/** What steps were given and what they gave, from memory where it is there, else from the store. */
import type { StepError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import { countsFor } from '../core/load-graph.ts';
import { hasOwnInput, keyOf } from '../core/nodes.ts';
import type { NodeFacts } from '../core/shape.ts';
import { Absent, Step, isStepTerminal } from '../core/step-states.ts';
import type { PayloadKey, Store } from '../store/store.ts';
import type { PayloadCache } from './payload-cache.ts';
import type { ChildResult, DependencyResult } from './worker-port.ts';

export interface StepValuesOptions {
  store: Store;
  payloads: PayloadCache;
  stepUuid: (task: number, no: number) => string;
}

export class StepValues {
  readonly #o: StepValuesOptions;

  constructor(o: StepValuesOptions) {
    this.#o = o;
  }

  /** What a step works on: a node's own inputs, else the task's. */
  async inputOf(g: TaskGraph, no: number): Promise<string> {
    if (hasOwnInput(g, no)) {
      return this.#o.payloads.result(g.id, no, 0) ?? (await this.#o.store.payloads([{ task: g.id, no, token: 0 }]))[0] ?? '{}';
    }
    let input = this.#o.payloads.input(g.id);
    if (input === undefined) {
      input = (await this.#o.store.payloads([{ task: g.id, no: -1, token: 0 }]))[0] ?? '{}';
      this.#o.payloads.putInput(g.id, input);
    }
    return input;
  }

  /** What these steps gave, in their order. */
  async results(g: TaskGraph, nos: readonly number[]): Promise<DependencyResult[]> {
    const out = new Array<DependencyResult | undefined>(nos.length);
    const missing: PayloadKey[] = [];
    const places: number[] = [];
    for (let i = 0; i < nos.length; i++) {
      const no = nos[i];
      switch (g.state[no]) {
        case Step.complete: {
          const link = g.shape.facts(no)?.link;
          if (link != null) {
            out[i] = await this.#linked(link);
            break;
          }
          const token = g.resultToken(no);
          const body = this.#o.payloads.result(g.id, no, token);
          if (body !== undefined) out[i] = { state: 'complete', body };
          else {
            missing.push({ task: g.id, no, token });
            places.push(i);
          }
          break;
        }
        case Absent.undecided:
        case Absent.notTaken:
          out[i] = { state: 'not_taken' };
          break;
        case Step.resolvedManually:
          out[i] = { state: 'resolved_manually' };
          break;
        case Step.error:
          out[i] = { state: 'error', error: await this.#errorOf(g.id, no) };
          break;
        default:
          out[i] = { state: 'cancelled', reason: g.reasonOf(no) ?? (isStepTerminal(g.state[no]) ? 'cancelled' : 'not_ended') };
      }
    }
    if (missing.length > 0) {
      const bodies = await this.#o.store.payloads(missing);
      places.forEach((i, k) => (out[i] = { state: 'complete', body: bodies[k] ?? 'null' }));
    }
    return out as DependencyResult[];
  }

  /** A link has no data of its own: it gives what the original gave. */
  async #linked(to: NonNullable<NodeFacts['link']>): Promise<DependencyResult> {
    if (to.token === 0) return { state: 'complete', body: 'null' };
    return { state: 'complete', body: (await this.#o.store.payloads([to]))[0] ?? 'null' };
  }

  /** Tied children that count for their parent, in the order they came. */
  async children(g: TaskGraph, parent: number, from: number, limit: number): Promise<{ children: ChildResult[]; next: number | null }> {
    const all = g.shape.children(parent);
    const nos: number[] = [];
    let at = from;
    for (; at < all.length && nos.length < limit; at++) if (g.shape.isTied(all[at]) && countsFor(g, parent, all[at])) nos.push(all[at]);
    const results = await this.results(g, nos);
    return {
      children: nos.map((no, i) => ({
        stepId: this.#o.stepUuid(g.id, no),
        name: g.shape.names[no],
        key: keyOf(g, no),
        handler: g.shape.rules[no].handler,
        result: results[i],
      })),
      next: at < all.length ? at : null,
    };
  }

  async #errorOf(task: number, no: number): Promise<StepError> {
    const [row] = await this.#o.store.loadSteps({ task, after: no - 1, limit: 1 });
    return row?.error == null ? { code: 'unknown', message: 'The step failed.', retryable: false } : (JSON.parse(row.error) as StepError);
  }
}
