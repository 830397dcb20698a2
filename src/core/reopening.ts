/**
 * A reset of more steps than one turn writes (design.md §3). What runs again is decided at once, in memory, and noted on the task's row
 * in the same commit; the rows of the steps follow in slices. Until the last of them the task is `evaluating_results`, and nothing is
 * decided about it: what comes in for it waits. So a row that is read beside such a note says either what the reset made of it, or what
 * it was before, and then means the former (`asReopened`), and a process that dies in between goes on where it was (I10).
 */
import type { StepWrite } from './changes.ts';
import type { Decisions } from './decisions.ts';
import { makeReady, propagate, resolveParent } from './failure.ts';
import type { TaskGraph } from './graph.ts';
import { Phase } from './phases.ts';
import { Step, isStepTerminal } from './step-states.ts';

/** Rows of a reset that one turn writes. */
export const REOPENED_AT_ONCE = 512;

/** In place of a stored state: the step is no part of the reset, or its row is written. */
const APART = 255;
const WRITTEN = 254;

export interface Reopening {
  /** What runs again, in the order in which the rows are written; from `at` on they may still be as they were. */
  readonly nos: readonly number[];
  at: number;
  /** By step: the state its row has, which the write repeats (I3), or one of the two above. */
  readonly stored: Uint8Array;
}

/** Call it before the steps change. */
export function beginReopening(g: TaskGraph, nos: readonly number[]): Reopening {
  const stored = new Uint8Array(g.size).fill(APART);
  for (const no of nos) stored[no] = g.state[no];
  return { nos, at: 0, stored };
}

export const isReopening = (r: Reopening, no: number): boolean => r.stored[no] !== APART;

/** Writes the next rows; true: these were the last. */
export function writeReopened(out: Decisions, g: TaskGraph, r: Reopening, limit: number): boolean {
  for (let left = limit; r.at < r.nos.length && left > 0; r.at++) {
    const no = r.nos[r.at];
    if (r.stored[no] === WRITTEN) continue;
    writeRow(out, g, no, r.stored[no]);
    r.stored[no] = WRITTEN;
    left--;
  }
  return r.at >= r.nos.length;
}

function writeRow(out: Decisions, g: TaskGraph, no: number, stored: number): void {
  const decided = g.writes?.has(no) === true;
  const w = out.step(g, no);
  // What this turn decided about it before is no row yet.
  if (!decided) w.fromState = stored;
  w.abortOnly = false;
  w.state = stored;
  reopenRow(w, g.state[no] !== Step.pending, g.phaseOf(no));
  w.attempts = g.attempts[no];
  w.resultToken = w.state === Step.pending ? 0 : g.resultToken(no);
  // Kept as a sign that it ran before; a step that has never begun has no other.
  w.finishedAt = w.state === Step.pending && isStepTerminal(stored) ? out.now : null;
}

type ReopenedRow = Pick<
  StepWrite,
  'state' | 'phase' | 'phaseAttempts' | 'attempts' | 'rank' | 'wakeAt' | 'startedAt' | 'firstStartedAt' | 'finishedAt' | 'reason' | 'error' | 'resultToken'
>;

/** What a reset makes of a row. `stands`: what its own run gave does, and it waits for its children again (reset.ts). */
function reopenRow(row: ReopenedRow, stands: boolean, phase: number): void {
  if (stands) row.finishedAt = null;
  else {
    if (!isStepTerminal(row.state)) row.finishedAt = null;
    row.attempts = 0;
    row.resultToken = 0;
    row.startedAt = null;
    row.firstStartedAt = null;
  }
  row.state = stands ? Step.waitingForChildren : Step.pending;
  row.phase = phase;
  row.phaseAttempts = 0;
  row.rank = null;
  row.wakeAt = null;
  row.reason = null;
  row.error = null;
}

/** The row as it will be, where it is still to be written. */
export function asReopened<R extends ReopenedRow & { no: number }>(g: TaskGraph, row: R): R {
  const r = g.reopening;
  if (r === null || r.stored[row.no] >= WRITTEN) return row;
  const now = { ...row };
  reopenRow(now, g.state[row.no] !== Step.pending, g.phaseOf(row.no));
  return now;
}

/** The next slice; with the last one the task goes on, and whatever may start does. */
export function goOnReopening(out: Decisions, g: TaskGraph, limit = REOPENED_AT_ONCE): void {
  if (g.reopening === null) return;
  out.touch(g);
  if (!writeReopened(out, g, g.reopening, limit)) return;
  g.reopening = null;
  out.changes.taskPatches.push({ id: g.id, reopening: null });
  startReopened(out, g, numbers(g.size), numbers(g.size));
}

function* numbers(n: number): Generator<number> {
  for (let no = 0; no < n; no++) yield no;
}

/** Steps that may start do; of `parents`, those whose children have all ended are resolved. */
export function startReopened(out: Decisions, g: TaskGraph, steps: Iterable<number>, parents: Iterable<number>): void {
  for (const no of steps) {
    if (g.state[no] === Step.pending && g.open[no] === 0 && !g.live.has(no) && !g.held && !g.ready.has(no)) makeReady(out, g, no, out.now);
  }
  for (const no of parents) {
    if (g.state[no] !== Step.waitingForChildren || g.ready.has(no) || (g.live.has(no) && g.phaseOf(no) === Phase.finalize)) continue;
    const family = g.family(no);
    if (family.open === 0 && resolveParent(out, g, no, family, g.resultToken(no))) propagate(out, g, no);
  }
}

/** The note on the task's row: runs of step numbers (first and length, in turn) by what becomes of the step. */
interface Note {
  pending: number[];
  /** Wait for their children again: then complete, or go on to `finalize`. */
  waiting: number[];
  finalizing: number[];
}

export function reopeningNote(g: TaskGraph, r: Reopening): string {
  const note: Note = { pending: [], waiting: [], finalizing: [] };
  for (let no = 0; no < r.stored.length; no++) {
    if (r.stored[no] === APART) continue;
    const runs = g.state[no] === Step.pending ? note.pending : g.phaseOf(no) === Phase.finalize ? note.finalizing : note.waiting;
    if (runs.length > 0 && runs[runs.length - 2] + runs[runs.length - 1] === no) runs[runs.length - 1]++;
    else runs.push(no, 1);
  }
  return JSON.stringify(note);
}

/** Rows that are read beside a note: as the reset left them, and which of them are still to be written. */
export function readReopening<R extends ReopenedRow & { no: number }>(text: string, rows: readonly R[], size: number): { rows: R[]; reopening: Reopening } {
  const note = JSON.parse(text) as Note;
  const stored = new Uint8Array(size).fill(APART);
  const phases = new Uint8Array(size);
  for (const [what, runs] of [note.pending, note.waiting, note.finalizing].entries()) {
    for (let i = 0; i < runs.length; i += 2) {
      stored.fill(WRITTEN, runs[i], runs[i] + runs[i + 1]);
      phases.fill(what, runs[i], runs[i] + runs[i + 1]);
    }
  }
  const nos: number[] = [];
  const now = rows.map((row) => {
    if (stored[row.no] === APART) return row;
    const stands = phases[row.no] !== 0;
    const phase = phases[row.no] === 2 ? Phase.finalize : Phase.run;
    if (row.phase === phase && (stands ? row.state === Step.waitingForChildren && row.phaseAttempts === 0 : row.state === Step.pending && row.attempts === 0))
      return row;
    nos.push(row.no);
    stored[row.no] = row.state;
    const reopened = { ...row };
    reopenRow(reopened, stands, phase);
    return reopened;
  });
  return { rows: now, reopening: { nos, at: 0, stored } };
}
