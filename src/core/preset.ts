/** Steps that come as they are and are not run: links, which are complete from the start, and the steps of an archive. */
import type { StepWrite } from './changes.ts';
import type { Decisions } from './decisions.ts';
import type { TaskGraph } from './graph.ts';
import { recount, recountOpen } from './load-graph.ts';
import type { NodeDefinition } from './node.ts';
import { CANCEL_REASONS, Step } from './step-states.ts';

export interface Preset {
  state: number;
  token: number;
  attempts: number;
  startedAt: number | null;
  firstStartedAt: number | null;
  finishedAt: number | null;
  /** Place in CANCEL_REASONS. */
  reason: number | null;
  /** JSON of a StepError. */
  error: string | null;
  resultToken: number;
  /** Where the result is copied from; null: it has none of its own. */
  result: { task: number; no: number; token: number } | null;
}

/** Sets the states of a new graph, and counts with them. */
export function applyPresets(g: TaskGraph, nodes: readonly { preset?: Preset }[]): void {
  let any = false;
  for (const [no, { preset }] of nodes.entries()) {
    if (preset === undefined) continue;
    any = true;
    g.state[no] = preset.state;
    g.token[no] = preset.token;
    g.attempts[no] = preset.attempts;
    if (preset.reason !== null && preset.reason < CANCEL_REASONS.length) g.setReason(no, preset.reason);
    if (preset.resultToken > 0 && (preset.resultToken !== preset.token || preset.state !== Step.complete)) g.setResultToken(no, preset.resultToken);
  }
  if (!any) return;
  for (let no = 0; no < g.size; no++) recountOpen(g, no);
  recount(g);
}

export function presetRow(out: Decisions, g: TaskGraph, no: number, definition: NodeDefinition, p: Preset): StepWrite {
  const { origin } = definition;
  if (origin?.type === 'link') out.changes.links.push({ task: g.id, no, toTask: origin.task, toNo: origin.no });
  if (p.result !== null) {
    const { task, no: fromNo, token } = p.result;
    out.changes.payloadCopies.push({ task: g.id, no, token: p.resultToken, fromTask: task, fromNo, fromToken: token });
  }
  out.weight++;
  const { state, token, attempts, startedAt, firstStartedAt, finishedAt, reason, error, resultToken } = p;
  return {
    insert: true,
    task: g.id,
    no,
    fromToken: 0,
    fromState: Step.pending,
    state,
    token,
    attempts,
    phase: 0,
    phaseAttempts: 0,
    owner: null,
    rank: null,
    wakeAt: null,
    startedAt,
    firstStartedAt,
    finishedAt,
    reason,
    error,
    resultToken,
  };
}
