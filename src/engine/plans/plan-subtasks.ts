/** The subtasks of a batch, for the generator that is told of its end. */
import type { TaskGraph } from '../../core/graph.ts';
import { Step } from '../../core/step-states.ts';
import type { Store, StoredTask } from '../../store/store.ts';
import type { SubtaskRow } from '../plan-port.ts';
import type { DependencyResult } from '../worker-port.ts';

export interface PlanSubtasksParts {
  store: Store;
  graphOf: (row: StoredTask) => Promise<TaskGraph>;
  results: (g: TaskGraph, nos: readonly number[]) => Promise<DependencyResult[]>;
}

/** Those from `from` on; none where the task is gone. */
export async function subtasksOf(q: { task: number; from: number; limit: number }, p: PlanSubtasksParts): Promise<SubtaskRow[]> {
  const row = await p.store.loadTask(q.task);
  if (row === null) return [];
  const g = await p.graphOf(row);
  const nos: number[] = [];
  for (let no = q.from; no < g.size && nos.length < q.limit; no++) nos.push(no);
  const [results, inputs] = await Promise.all([p.results(g, nos), p.store.payloads(nos.map((no) => ({ task: q.task, no, token: 0 })))]);
  return nos.map((no, i) => ({
    no,
    name: g.shape.names[no],
    input: inputs[i] ?? 'null',
    units: g.shape.facts(no)?.expected ?? 1,
    ...outcome(g, no, results[i]),
  }));
}

function outcome(g: TaskGraph, no: number, r: DependencyResult): Pick<SubtaskRow, 'state' | 'result' | 'error'> {
  switch (r.state) {
    case 'complete':
      return { state: 'complete', result: r.body, error: null };
    case 'resolved_manually':
      return { state: 'complete', result: null, error: null };
    case 'error':
      return { state: 'error', result: null, error: { code: r.error.code, message: r.error.message } };
    default:
      if (g.state[no] !== Step.cancelled) return { state: 'running', result: null, error: null };
      return { state: 'cancelled', result: null, error: { code: 'cancelled', message: `The subtask was cancelled: ${g.reasonOf(no) ?? 'by request'}.` } };
  }
}
