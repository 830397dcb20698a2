/**
 * Derives live tasks again and compares (design.md §3). It should never find anything: every repair is counted, logged, and fails a
 * test run.
 */
import type { TaskGraph } from '../core/graph.ts';
import { countFamily, recount, recountOpen } from '../core/load-graph.ts';
import { isReady } from '../core/readiness.ts';
import { Step, isStepTerminal } from '../core/step-states.ts';
import { isTaskTerminal } from '../core/task-states.ts';
import type { EngineParts } from './engine-parts.ts';

const EVERY_MS = 5000;
const STEPS_PER_SLICE = 2000;

export class Reconciler {
  readonly #p: EngineParts;
  readonly #wake: () => void;
  #cancel: (() => void) | null = null;
  #walk: IterableIterator<TaskGraph> | null = null;
  /** The graph in hand, and its next step to look at. */
  #current: TaskGraph | null = null;
  #at = 0;
  repairs = 0;

  constructor(o: { parts: EngineParts; wake: () => void }) {
    this.#p = o.parts;
    this.#wake = o.wake;
  }

  start(): void {
    this.#cancel = this.#p.host.timer(EVERY_MS, () => {
      this.slice();
      this.start();
    });
  }

  stop(): void {
    this.#cancel?.();
  }

  /** Looks at about 2,000 steps; goes on where it left off, within a large graph too. Runs between turns, so no graph is half decided. */
  slice(): void {
    for (let steps = 0; steps < STEPS_PER_SLICE; ) {
      if (this.#current === null) {
        this.#walk ??= this.#p.graphs.values();
        const next = this.#walk.next();
        if (next.done) {
          this.#walk = null;
          return;
        }
        this.#current = next.value;
        this.#at = 0;
        this.#counters(next.value);
      }
      const g = this.#current;
      const from = this.#at;
      const to = Math.min(g.size, from + STEPS_PER_SLICE);
      if (this.#p.graphs.get(g.id) === g) this.#steps(g, from, to);
      steps += to - from + 1;
      this.#at = to;
      if (to === g.size) this.#current = null;
    }
  }

  #counters(g: TaskGraph): void {
    if (isTaskTerminal(g.taskState) || g.arriving >= 0) return;
    const counters = [g.remaining, g.running, g.complete, g.errors, g.unhandled, g.cancelled, g.resolved];
    recount(g);
    const again = [g.remaining, g.running, g.complete, g.errors, g.unhandled, g.cancelled, g.resolved];
    if (counters.some((c, i) => c !== again[i])) this.#repair(g, `counters ${counters.join(',')} should be ${again.join(',')}`);
  }

  #steps(g: TaskGraph, from: number, to: number): void {
    if (isTaskTerminal(g.taskState) || g.arriving >= 0) return;
    for (let no = from; no < to; no++) {
      const open = g.open[no];
      recountOpen(g, no);
      if (g.state[no] === Step.pending && open !== g.open[no]) this.#repair(g, `step ${no}: ${open} open dependencies should be ${g.open[no]}`);
      if (g.families.size > 0 && !isStepTerminal(g.state[no])) this.#family(g, no);
      if (g.backlog.length === 0 && isReady(g, no) && !g.ready.has(no)) {
        this.#repair(g, `step ${no} is ready and was not queued`);
        g.ready.set(no, this.#p.host.now());
        this.#p.queue.push({ graph: g, no, rank: this.#p.host.now() });
        this.#wake();
      }
    }
  }

  #family(g: TaskGraph, no: number): void {
    const family = g.families.get(no);
    if (family === undefined) return;
    const { open, failed, running } = family;
    const again = countFamily(g, no);
    if (open === again.open && failed === again.failed && running === again.running) return;
    this.#repair(g, `family of step ${no}: ${open},${failed},${running} should be ${again.open},${again.failed},${again.running}`);
    Object.assign(family, again);
  }

  #repair(g: TaskGraph, what: string): void {
    this.repairs++;
    this.#p.host.log('error', 'the reconciler repaired a task: this is a defect, please report it', { task: g.id, what });
  }
}
