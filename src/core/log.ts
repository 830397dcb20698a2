/**
 * The spelling of events in a log row: a JSON array of small arrays, written by hand because it is the hot path.
 *
 *   ["t", state, via, extra?]                 the task is in `state`; via: states passed through inside the commit
 *   ["s", no, state, token, attempts, extra?] the step is in `state`
 *   ["a", no, token, outcome, extra?]         an attempt ended whose step had been decided before (design.md §2)
 *   ["n", no, name, parent?]                  a step was added (parent: its number, absent: none)
 *   ["e", count, reason]                      `count` pending steps were ended with the task (reason: place in CANCEL_REASONS)
 *   ["p", extra]                              an operator changed the task
 *   ["r", no, count]                          a person reset this step (-1: what had failed), and `count` steps run again by it
 */
import type { JsonObject } from './definition.ts';
import { CANCEL_REASONS, STEP_STATES } from './step-states.ts';
import { TASK_STATES, isTaskTerminal } from './task-states.ts';

export const taskEvent = (state: number, via: readonly number[], extra = ''): string => `["t",${state},[${via.join(',')}]${extra === '' ? '' : `,${extra}`}]`;

export const stepEvent = (no: number, state: number, token: number, attempts: number, extra = ''): string =>
  extra === '' ? `["s",${no},${state},${token},${attempts}]` : `["s",${no},${state},${token},${attempts},${extra}]`;

export const attemptEvent = (no: number, token: number, outcome: string, extra = ''): string =>
  `["a",${no},${token},"${outcome}"${extra === '' ? '' : `,${extra}`}]`;

export const addedEvent = (no: number, name: string, parent: number): string => `["n",${no},${JSON.stringify(name)}${parent < 0 ? '' : `,${parent}`}]`;
export const endedEvent = (count: number, reason: number): string => `["e",${count},${reason}]`;
export const resetEvent = (no: number, count: number): string => `["r",${no},${count}]`;
export const patchEvent = (extra: string): string => `["p",${extra}]`;

export type LoggedEvent =
  | { kind: 'task'; seq: number; at: number; state: number; via: number[]; extra: JsonObject; last: boolean }
  | { kind: 'step'; seq: number; at: number; no: number; state: number; token: number; attempts: number; extra: JsonObject }
  | { kind: 'attempt'; seq: number; at: number; no: number; token: number; outcome: string; extra: JsonObject }
  | { kind: 'added'; seq: number; at: number; no: number; name: string; parent: number | null }
  | { kind: 'ended'; seq: number; at: number; count: number; reason: string }
  | { kind: 'reset'; seq: number; at: number; no: number | null; count: number }
  | { kind: 'patched'; seq: number; at: number; extra: JsonObject };

/** The events of a row, in order. Throws on a body that log.ts did not write. */
export function readLog(row: { seq: number; at: number; body: string }): LoggedEvent[] {
  const items = JSON.parse(row.body) as unknown[][];
  return items.map((e, i) => read(e, row.seq + i, row.at));
}

function read(e: unknown[], seq: number, at: number): LoggedEvent {
  const num = (i: number): number => e[i] as number;
  const extra = (i: number): JsonObject => (e[i] as JsonObject | undefined) ?? {};
  switch (e[0]) {
    case 't':
      return { kind: 'task', seq, at, state: num(1), via: e[2] as number[], extra: extra(3), last: isTaskTerminal(num(1)) };
    case 's':
      return { kind: 'step', seq, at, no: num(1), state: num(2), token: num(3), attempts: num(4), extra: extra(5) };
    case 'a':
      return { kind: 'attempt', seq, at, no: num(1), token: num(2), outcome: e[3] as string, extra: extra(4) };
    case 'n':
      return { kind: 'added', seq, at, no: num(1), name: e[2] as string, parent: (e[3] as number | undefined) ?? null };
    case 'e':
      return { kind: 'ended', seq, at, count: num(1), reason: CANCEL_REASONS[num(2)] };
    case 'r':
      return { kind: 'reset', seq, at, no: num(1) < 0 ? null : num(1), count: num(2) };
    case 'p':
      return { kind: 'patched', seq, at, extra: extra(1) };
    default:
      throw new Error(`unknown event in the log: ${String(e[0])}`);
  }
}

export const stepStateName = (s: number): (typeof STEP_STATES)[number] => STEP_STATES[s];
export const taskStateName = (s: number): (typeof TASK_STATES)[number] => TASK_STATES[s];
