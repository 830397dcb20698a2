/** A plan as lines of text: its inputs and its last batches as bars. */
import type { WirePlan, WirePlanBatch } from '../contract/plan-wire.ts';
import { type BarOptions, type BarStep, drawProgressBars } from './progress-bars.ts';
import { duration, fit, type Paint, printable } from './terminal.ts';

const COLOURS = { ACTIVE: 'blue', ABORTING: 'yellow', COMPLETED: 'green', CANCELLED: 'yellow', FAILED: 'red' } as const;
const PLAN_STATES = { ACTIVE: 'in_progress', ABORTING: 'in_progress', COMPLETED: 'complete', CANCELLED: 'cancelled', FAILED: 'error' } as const;
const BATCH_STATES = {
  NOT_STARTED: 'pending',
  IN_PROGRESS: 'in_progress',
  STOPPED: 'pending',
  COMPLETED: 'complete',
  FAILED: 'error',
  ABORTED: 'cancelled',
  TIMED_OUT: 'error',
} as const;

export const isLive = (p: Pick<WirePlan, 'status'>): boolean => p.status === 'ACTIVE' || p.status === 'ABORTING';

/** How many batches it has had, however many of them are shown. */
export const batchCount = (p: Pick<WirePlan, 'batches'>): number => (p.batches.at(-1)?.batchSequence ?? -1) + 1;

const inputsBar = (p: WirePlan): BarStep => ({
  id: 'plan',
  parentId: null,
  name: p.inputUnit,
  state: PLAN_STATES[p.status],
  fraction: p.inputsToProcess > 0 ? p.inputsProcessed / p.inputsToProcess : p.status === 'COMPLETED' ? 1 : 0,
  done: p.inputsProcessed,
  total: p.inputsToProcess,
  unit: 'items',
  note: p.inputsBeingProcessed > 0 ? `${p.inputsBeingProcessed} in flight` : null,
});

const batchBar = (b: WirePlanBatch): BarStep => {
  const { total, complete, failed } = b.subtasks;
  const notes = [
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(b.taskState === null ? ['its task is gone'] : b.taskState === 'STOPPED' || b.taskState === 'TIMED_OUT' ? [b.taskState.toLowerCase()] : []),
    ...(b.finishedAtMs === null ? [] : [duration(b.finishedAtMs - b.submittedAtMs)]),
  ];
  return {
    id: String(b.batchSequence),
    parentId: 'plan',
    name: `batch ${b.batchSequence}`,
    state: b.taskState === null ? 'error' : BATCH_STATES[b.taskState],
    fraction: total > 0 ? complete / total : 0,
    done: complete,
    total,
    unit: 'items',
    note: notes.join(', ') || null,
  };
};

/** `maxLines` cuts the batches that came first. */
export const drawPlan = (p: WirePlan, o: BarOptions = {}): string[] => {
  const width = o.width ?? 80;
  const paint: Paint = o.paint ?? ((_, t) => t);
  const room = Math.max(1, (o.maxLines ?? Infinity) - 5);
  const shown = p.batches.slice(Math.max(0, p.batches.length - room));
  const earlier = batchCount(p) - shown.length;
  const lines = [
    fit(printable(p.planId), width),
    `${paint(COLOURS[p.status], p.status)}  ${fit(printable(p.blocked === null ? p.statusMessage : `blocked: ${p.blocked}`), Math.max(1, width - p.status.length - 2))}`,
    ...drawProgressBars([inputsBar(p), ...shown.map(batchBar)], { width, paint }),
  ];
  if (earlier > 0) lines.splice(3, 0, paint('dim', fit(`  … ${earlier} earlier ${earlier === 1 ? 'batch' : 'batches'}`, width)));
  return lines;
};
