/**
 * Started attempts on their way to their workers, each with everything its handler is given.
 *
 * - Only what a durable commit has started is sent (I1). What is in memory goes at once, in the same tick as the commit's end; what needs
 *   the store follows, and nothing waits for it.
 * - While inputs are read the attempt may end, or be told to stop. So after every wait it is looked for again, and sent only if it is
 *   still the one that holds the slot; a stop that came before the worker knew the attempt is repeated after it.
 * - What a step depends on has ended and does not change, so the graph as it was at the start may be read, though it left the cache.
 */
import type { Start } from '../core/decisions.ts';
import type { StepError } from '../core/errors.ts';
import { hasOwnInput } from '../core/nodes.ts';
import { edgeRequired, edgeStep } from '../core/shape.ts';
import { Step, isAbsent } from '../core/step-states.ts';
import type { Active, Dispatcher, DispatcherOptions } from './dispatcher.ts';
import { LocalAssignment } from './local-assignment.ts';
import type { StepValues } from './step-values.ts';
import type { Assignment, DependencyResult } from './worker-port.ts';
import type { Session } from './worker-session.ts';

/** Results of a step's dependencies above this many bytes in all are streamed (design.md §5). */
const RESULTS_INLINE_BYTES = 2 ** 20;
const RESULTS_PAGE = 500;
/** How often, and how long apart, the inputs of a started attempt are read before it is given up. */
const READS = 60;
const READ_AGAIN_MS = 500;

export class AssignmentSender {
  readonly #d: Dispatcher;
  readonly #o: DispatcherOptions;
  readonly #values: StepValues;

  constructor(d: Dispatcher) {
    this.#d = d;
    this.#o = d.o;
    this.#values = d.values;
  }

  /** Sends what has been started and committed. Whatever needs the store goes a little later than what does not. */
  send(starts: readonly Start[]): void {
    if (starts.length === 0) return;
    const batches = new Map<Session, Assignment[]>();
    const late: { a: Active; s: Start }[] = [];
    for (const s of starts) {
      const a = this.#d.active(s.graph.id, s.no);
      if (a === undefined || a.token !== s.token) continue;
      const ready = this.#assignment(s);
      if (ready === null) {
        if (this.#wantsInput(s)) late.push({ a, s });
        else void this.#assignSlowly(a, s);
        continue;
      }
      const batch = batches.get(a.session);
      if (batch === undefined) batches.set(a.session, [ready]);
      else batch.push(ready);
    }
    for (const [session, batch] of batches) session.sink.assign(batch);
    if (late.length > 0) void this.#assignTogether(late);
  }

  /** Of many children or elements the inputs do not stay in memory: nothing but they may be missing here. */
  #wantsInput({ graph: g, no, phase }: Start): boolean {
    return phase === 0 && g.attempts[no] === 1 && hasOwnInput(g, no) && this.#o.payloads.result(g.id, no, 0) === undefined;
  }

  /** One read for the inputs of all that started together, instead of one each. */
  async #assignTogether(late: readonly { a: Active; s: Start }[]): Promise<void> {
    try {
      const bodies = await this.#o.store.payloads(late.map(({ s }) => ({ task: s.graph.id, no: s.no, token: 0 })));
      bodies.forEach((body, i) => this.#o.payloads.putResult(late[i].s.graph.id, late[i].s.no, 0, body ?? '{}'));
    } catch {
      // Each by itself asks again, for as long as it takes.
    }
    for (const { a, s } of late) {
      if (this.#d.active(s.graph.id, s.no) !== a) continue;
      const ready = this.#assignment(s);
      if (ready === null) {
        void this.#assignSlowly(a, s);
        continue;
      }
      a.session.sink.assign([ready]);
      if (a.stop !== undefined) a.session.sink.stop({ task: s.graph.id, no: s.no, token: s.token, reason: a.stop });
    }
  }

  /** Everything from memory, or null. */
  #assignment(s: Start): Assignment | null {
    const { graph: g, no } = s;
    if (g.attempts[no] > 1 || s.phase !== 0) return null;
    const input = hasOwnInput(g, no) ? this.#o.payloads.result(g.id, no, 0) : this.#o.payloads.input(g.id);
    if (input === undefined) return null;
    const { deps, names } = g.shape;
    const results: [string, boolean, DependencyResult][] = [];
    let bytes = 0;
    if (deps[no].length > RESULTS_PAGE) return null;
    for (const e of deps[no]) {
      const dep = edgeStep(e);
      if (isAbsent(g.state[dep])) {
        results.push([names[dep], edgeRequired(e), { state: 'not_taken' }]);
        continue;
      }
      if (g.state[dep] !== Step.complete || g.shape.facts(dep)?.link != null) return null;
      const body = this.#o.payloads.result(g.id, dep, g.resultToken(dep));
      if (body === undefined) return null;
      bytes += body.length;
      if (bytes > RESULTS_INLINE_BYTES) return null;
      results.push([names[dep], edgeRequired(e), { state: 'complete', body }]);
    }
    return new LocalAssignment(this.#o, s, { input, results, checkpoint: null, own: null });
  }

  async #assignSlowly(a: Active, s: Start, reads = 1): Promise<void> {
    const { graph: g, no } = s;
    try {
      const { names } = g.shape;
      const deps = g.shape.deps[no];
      const input = await this.#values.inputOf(g, no);
      let results: [string, boolean, DependencyResult][] | null = [];
      let bytes = 0;
      for (let from = 0; from < deps.length && results !== null; from += RESULTS_PAGE) {
        const page = deps.slice(from, from + RESULTS_PAGE);
        const values = await this.#values.results(g, page.map(edgeStep));
        for (let i = 0; i < page.length; i++) {
          const r = values[i];
          bytes += r.state === 'complete' ? r.body.length : 64;
          results.push([names[edgeStep(page[i])], edgeRequired(page[i]), r]);
        }
        if (bytes > RESULTS_INLINE_BYTES) results = null;
        // A store that answers at once would hold the loop for a page of reads after the other.
        else if (from + RESULTS_PAGE < deps.length) await this.#o.pause();
      }
      const { phase } = s;
      const checkpoint = g.attempts[no] > 1 || phase !== 0 ? ((await this.#o.store.checkpoint({ task: g.id, no }))?.body ?? null) : null;
      const result = g.results.get(no);
      const own = phase === 0 || result === undefined ? null : (await this.#o.store.payloads([{ task: g.id, no, token: result }]))[0];
      if (this.#d.active(g.id, no) !== a) return;
      a.session.sink.assign([new LocalAssignment(this.#o, s, { input, results, checkpoint, own })]);
      // Told to stop while its inputs were read: the worker did not know the attempt then.
      if (a.stop !== undefined) a.session.sink.stop({ task: g.id, no, token: s.token, reason: a.stop });
    } catch (e) {
      if (this.#d.active(g.id, no) !== a) return;
      if (reads < READS) {
        this.#o.later(READ_AGAIN_MS, () => void this.#assignSlowly(a, s, reads + 1));
        return;
      }
      // The store cannot be read for long: the attempt fails like any other and is retried by its policy.
      const error: StepError = {
        code: 'inputs_unavailable',
        message: `The inputs could not be read: ${e instanceof Error ? e.message : 'unknown'}`,
        retryable: true,
      };
      a.session.result({ task: g.id, no, token: s.token, outcome: { ok: false, error } });
    }
  }
}
