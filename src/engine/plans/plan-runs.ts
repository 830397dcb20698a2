/** The last calls of each pair's generator, for whoever looks for a fault: five good and five bad ones. In memory only. */
import type { Plan } from '../../core/plan.ts';
import type { PlanAnswer, PlanCallKind } from '../plan-port.ts';
import type { GenerationRun } from '../plan-views.ts';
import { pairKey } from './plan-book.ts';

const KEPT = 5;
const PAIRS = 1000;
const NAMES: Record<PlanCallKind, string> = { start: 'startPlan', next: 'nextBatch', once: 'generateOnce', finish: 'onBatchFinished', end: 'onPlanEnd' };

export class PlanRuns {
  readonly #pairs = new Map<string, { good: GenerationRun[]; bad: GenerationRun[] }>();

  add(plan: Plan, kind: PlanCallKind, answer: PlanAnswer, atMs: number): void {
    const key = pairKey(plan.resource, plan.taskType);
    let runs = this.#pairs.get(key);
    if (runs === undefined) {
      // The pair that was heard of least recently makes room.
      if (this.#pairs.size >= PAIRS) this.#pairs.delete(this.#pairs.keys().next().value!);
      this.#pairs.set(key, (runs = { good: [], bad: [] }));
    }
    const ok = answer.kind !== 'failed';
    const list = ok ? runs.good : runs.bad;
    list.unshift({ atMs, ok, call: NAMES[kind], message: said(answer) });
    list.length = Math.min(list.length, KEPT);
  }

  of(resource: string, taskType: string): GenerationRun[] {
    const runs = this.#pairs.get(pairKey(resource, taskType));
    return runs === undefined ? [] : [...runs.good, ...runs.bad].sort((a, b) => b.atMs - a.atMs);
  }
}

function said(a: PlanAnswer): string {
  switch (a.kind) {
    case 'batch':
      return `${a.subtasks.length} subtasks`;
    case 'abort':
      return a.reason;
    case 'failed':
      return a.message;
    case 'started':
      return `${a.total} to process`;
    case 'finished':
      return 'the batch is finished';
    default:
      return a.message ?? a.kind;
  }
}
