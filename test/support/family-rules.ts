/**
 * What must hold of the rows of a task with tied children after every commit, written a second time and as plainly as possible: scans
 * over rows, no counters. It imports nothing of the engine, so that agreement with it says something.
 */
import assert from 'node:assert/strict';

/** Numbers of the stored states, written down here once more. */
export const PENDING = 0;
export const IN_PROGRESS = 2;
export const WAITING_FOR_RETRY = 4;
export const WAITING_FOR_CHILDREN = 5;
export const COMPLETE = 6;
export const ERROR = 7;
export const CANCELLED = 8;
const RESOLVED = 9;
const DEPENDENCY_FAILED = 0;
const EXPIRED = 5;
export const over = (state: number): boolean => state >= COMPLETE && state <= RESOLVED;
const good = (state: number): boolean => state === COMPLETE || state === RESOLVED;
const TASK_COMPLETE = 8;
const TASK_ERROR = 9;
export const taskOver = (state: number): boolean => state >= TASK_COMPLETE;
/** A decision may leave rows of pending steps for later only when it ends more than this. */
const IMPLIED_ABOVE = 256;

export interface FamilyRow {
  no: number;
  state: number;
  token: number;
  attempts: number;
  phase: number;
  phaseAttempts: number;
  owner: number | null;
  rank: number | null;
  wakeAt: number | null;
  startedAt: number | null;
  firstStartedAt: number | null;
  finishedAt: number | null;
  reason: number | null;
  error: string | null;
  resultToken: number;
}

/** A step's rules as the test knows them. */
export interface FamilyFacts {
  name: string;
  handler: string;
  parent: number;
  tied: boolean;
  /** Token of the parent's attempt that asked for it last; 0: submitted. */
  asked: number;
  /** `k…` or `p…`; null: not spawned. */
  key: string | null;
  deps: readonly { no: number; required: boolean }[];
  maxAttempts: number;
  maxChildren: number;
  tolerated: number;
  allowFailure: boolean;
}

export interface FamilyTraits {
  finalize: boolean;
  abort: boolean;
  cancelable: boolean;
}

export interface FamilyTask {
  id: number;
  state: number;
  policy: string;
  rows: FamilyRow[];
  facts: FamilyFacts[];
  traits: (handler: string) => FamilyTraits;
}

export function showFamily(t: FamilyTask): string {
  return `task ${t.id} state ${t.state} ${t.policy}: ${t.rows
    .slice(0, 40)
    .map((r) => {
      const f = t.facts[r.no];
      return `${r.no}${f.parent < 0 ? '' : `<${f.parent}`}(${f.handler} asked ${f.asked}):s${r.state} p${r.phase}/${r.phaseAttempts} t${r.token} a${r.attempts} r${r.resultToken} o${r.owner ?? '-'} why${r.reason ?? '-'}`;
    })
    .join('  ')}`;
}

export const childrenOf = (t: FamilyTask, no: number): FamilyRow[] => t.rows.filter((r) => t.facts[r.no].parent === no && t.facts[r.no].tied);

/** A child that the run which returned did not ask for is none of its parent's concern. */
export function counts(t: FamilyTask, parent: FamilyRow, child: FamilyRow, ranAs: number): boolean {
  const { asked } = t.facts[child.no];
  return asked === 0 || ranAs === 0 || asked === ranAs || over(parent.state);
}

/** Is this error none of its task's? */
export function handled(t: FamilyTask, no: number): boolean {
  if (t.facts[no].allowFailure || t.facts[no].tied) return true;
  const edges = t.facts.flatMap((f) => f.deps.filter((d) => d.no === no));
  return edges.length > 0 && edges.every((d) => !d.required);
}

/** States with what has ended by implication ended. Small tasks may have none of that. */
export function effective(t: FamilyTask, ranAs: (no: number) => number): number[] {
  const state = t.rows.map((r) => r.state);
  for (let changed = true; changed; ) {
    changed = false;
    for (const r of t.rows) {
      if (state[r.no] !== PENDING) continue;
      const f = t.facts[r.no];
      const p = f.tied ? state[f.parent] : -1;
      const ran = f.tied ? ranAs(f.parent) : 0;
      const ends =
        taskOver(t.state) ||
        (p >= 0 && over(p)) ||
        (p >= 0 && ran > 0 && f.asked > 0 && f.asked !== ran) ||
        f.deps.some((d) => d.required && over(state[d.no]) && !good(state[d.no]) && (t.policy !== 'block' || state[d.no] === CANCELLED || handled(t, d.no)));
      if (!ends) continue;
      state[r.no] = CANCELLED;
      changed = true;
      assert.ok(t.rows.length > IMPLIED_ABOVE, `step ${r.no} is pending and nothing can come of it | ${showFamily(t)}`);
    }
  }
  return state;
}

/** `ranAs`: the token of the run of this step that returned; 0: none has. */
export function checkFamilies(t: FamilyTask, ranAs: (no: number) => number): void {
  const bad = (no: number, what: string): never => assert.fail(`step ${no} (${t.facts[no]?.name}) ${what} | ${showFamily(t)}`);
  const state = effective(t, ranAs);
  const failedOf = new Array<number>(t.rows.length).fill(0);
  const openOf = new Array<number>(t.rows.length).fill(0);
  const runningOf = new Array<number>(t.rows.length).fill(0);
  const keys = new Set<string>();
  for (const r of t.rows) {
    const f = t.facts[r.no];
    if (!f.tied) continue;
    const parent = t.rows[f.parent];
    if (f.key !== null && keys.has(`${f.parent}/${f.key}`)) bad(r.no, `was spawned twice under ${f.key}`);
    if (f.key !== null) keys.add(`${f.parent}/${f.key}`);
    if (!over(state[r.no])) openOf[f.parent]++;
    if (state[r.no] === ERROR && !f.allowFailure && counts(t, parent, r, ranAs(f.parent))) failedOf[f.parent]++;
    if (r.owner !== null) runningOf[f.parent]++;
  }
  for (const r of t.rows) {
    const f = t.facts[r.no];
    const traits = t.traits(f.handler);
    if (over(state[r.no]) && openOf[r.no] > 0) bad(r.no, `is over and has ${openOf[r.no]} live children (I5)`);
    if (!over(state[r.no]) && failedOf[r.no] > f.tolerated) bad(r.no, `lives with ${failedOf[r.no]} failed children, ${f.tolerated} are tolerated`);
    if (f.maxChildren > 0 && runningOf[r.no] > f.maxChildren) bad(r.no, `has ${runningOf[r.no]} children running, ${f.maxChildren} may (I8)`);
    if (r.attempts > f.maxAttempts) bad(r.no, `had ${r.attempts} attempts (I6)`);
    if (r.phaseAttempts > f.maxAttempts) bad(r.no, `had ${r.phaseAttempts} attempts of phase ${r.phase} (I6)`);
    if (r.phase === 2 && (!over(r.state) || good(r.state))) bad(r.no, 'aborts, and has not ended without success');
    if (!over(r.state) && r.owner !== null && r.state !== IN_PROGRESS && r.state !== WAITING_FOR_RETRY) bad(r.no, 'has an owner and does not run');
    if (r.state === WAITING_FOR_RETRY && r.wakeAt === null) bad(r.no, 'waits for ever');
    if (r.state === IN_PROGRESS && r.owner === null) bad(r.no, 'runs without an owner');
    if (r.state === WAITING_FOR_CHILDREN) {
      if (r.resultToken === 0) bad(r.no, 'waits for its children, and its run never returned');
      if (r.phase === 0 && openOf[r.no] === 0) bad(r.no, 'waits for children it does not have');
      if (traits.finalize && r.phase !== 1) bad(r.no, 'forgot that it has a finalizer');
    }
    if (r.state === IN_PROGRESS || (r.state === PENDING && r.rank !== null && state[r.no] === PENDING)) {
      for (const d of f.deps) {
        if (d.required ? !good(state[d.no]) : !over(state[d.no])) bad(r.no, `started before step ${d.no} (I7)`);
      }
    }
    if (r.state === IN_PROGRESS && r.phase === 0 && ranAs(r.no) > 0) bad(r.no, 'runs again after its run returned');
    if (r.state === IN_PROGRESS && r.phase === 1) {
      if (ranAs(r.no) === 0) bad(r.no, 'finalizes before its run returned');
      if (openOf[r.no] > 0) bad(r.no, `finalizes while ${openOf[r.no]} children live`);
    }
    if (r.state === COMPLETE) {
      if (r.resultToken === 0) bad(r.no, 'is complete without a result');
      if (f.handler !== '' && traits.finalize && r.phase !== 1) bad(r.no, 'is complete and was never finalized');
    }
  }
  if (!taskOver(t.state)) return;
  const failed = t.rows.some((r) => state[r.no] === ERROR && !handled(t, r.no));
  if (t.state === TASK_COMPLETE && failed) assert.fail(`complete with an unhandled failure | ${showFamily(t)}`);
  if (t.state === TASK_ERROR && !failed && !t.rows.some((r) => r.reason === EXPIRED)) assert.fail(`in error without a failure | ${showFamily(t)}`);
}

/** Whether the step's `onAbort` had to be asked for when it ended as it stands. */
export const abortDue = (t: FamilyTask, r: FamilyRow): boolean =>
  (r.state === ERROR || r.state === CANCELLED) &&
  r.reason !== DEPENDENCY_FAILED &&
  t.traits(t.facts[r.no].handler).abort &&
  (r.attempts > 0 || t.facts[r.no].tied);
