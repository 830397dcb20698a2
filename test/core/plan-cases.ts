/** Plans at every place of their machine, and the world as their decisions see it. */
import { type PlanDecision, type PlanWorld } from '../../src/core/decide-plan.ts';
import { type Plan, type PlanBatch, PLAN_STATUSES, PlanPhase, Status } from '../../src/core/plan.ts';

export const BOOT = 7;
export const NOW = 1_000_000;
export const TASK = 500;

export const world = (over: Partial<PlanWorld> = {}): PlanWorld => ({
  now: NOW,
  boot: BOOT,
  enabled: true,
  blocked: null,
  traits: { hasStart: true, hasFinish: true, hasEnd: true },
  pollMs: 1000,
  ...over,
});

export const plan = (over: Partial<Plan> = {}): Plan => ({
  id: 1,
  planId: 't__Type__u',
  resource: 't',
  kind: 'table',
  taskType: 'Type',
  status: Status.active,
  source: 0,
  once: false,
  version: 5,
  phase: PlanPhase.start,
  token: 3,
  owner: null,
  attempts: 0,
  wakeAt: null,
  batches: 0,
  batchTask: null,
  total: 10,
  inFlight: 0,
  processed: 0,
  lastProcessed: 0,
  inputUnit: 'inputs',
  failedInARow: 0,
  barrenInARow: 0,
  print: 0,
  countFailures: true,
  policy: { thresholdPercent: 100, maxFailedBatches: 3, maxBarrenBatches: 3 },
  outcome: null,
  properties: {},
  customStats: null,
  state: null,
  message: 'why',
  triggeredBy: null,
  createdAt: 1,
  updatedAt: 1,
  endedAt: null,
  ...over,
});

const open = { batches: 2, batchTask: TASK, inFlight: 2, processed: 2 };
const closing = { ...open, inFlight: 0, processed: 4, lastProcessed: 2 };
const aborting = { status: Status.aborting, outcome: Status.cancelled } as const;
const failing = { status: Status.aborting, outcome: Status.failed } as const;
const call = { owner: BOOT, attempts: 1 };
const { start, next, batch, finish, end, over } = PlanPhase;

/** Every place that a plan can be at. `calling`: a call of its generator runs. */
export const PLACES: Record<string, Plan> = {
  'ACTIVE start': plan({ phase: start }),
  'ACTIVE start calling': plan({ phase: start, ...call }),
  'ACTIVE next': plan({ phase: next }),
  'ACTIVE next waiting': plan({ phase: next, wakeAt: NOW + 1, batches: 2, processed: 4 }),
  'ACTIVE next calling': plan({ phase: next, ...call, batches: 2, processed: 4 }),
  'ACTIVE batch': plan({ phase: batch, ...open }),
  'ACTIVE finish': plan({ phase: finish, ...closing }),
  'ACTIVE finish calling': plan({ phase: finish, ...closing, ...call }),
  'ACTIVE end': plan({ phase: end, outcome: Status.completed, batches: 2 }),
  'ACTIVE end calling': plan({ phase: end, outcome: Status.completed, batches: 2, ...call }),
  'ABORTING start calling': plan({ phase: start, ...aborting, ...call }),
  'ABORTING next calling': plan({ phase: next, ...aborting, ...call }),
  'ABORTING batch': plan({ phase: batch, ...open, ...aborting }),
  'ABORTING finish': plan({ phase: finish, ...closing, ...aborting }),
  'ABORTING finish calling': plan({ phase: finish, ...closing, ...aborting, ...call }),
  'ABORTING end': plan({ phase: end, ...aborting }),
  'ABORTING end calling': plan({ phase: end, ...aborting, ...call }),
  'ABORTING end calling, as completed': plan({ phase: end, outcome: Status.completed, status: Status.aborting, ...call }),
  'failing batch': plan({ phase: batch, ...open, ...failing }),
  'failing finish': plan({ phase: finish, ...closing, ...failing }),
  'failing end': plan({ phase: end, ...failing }),
  COMPLETED: plan({ phase: over, status: Status.completed, outcome: Status.completed, endedAt: 9 }),
  CANCELLED: plan({ phase: over, status: Status.cancelled, outcome: Status.cancelled, endedAt: 9 }),
  FAILED: plan({ phase: over, status: Status.failed, outcome: Status.failed, endedAt: 9 }),
};

export const record = (over: Partial<PlanBatch> = {}): PlanBatch => ({
  plan: 1,
  seq: 1,
  task: TASK,
  name: 'Task_Type_u_1',
  submittedAt: 1,
  state: 2,
  finishedAt: null,
  total: 2,
  complete: 0,
  failed: 0,
  units: 2,
  ...over,
});

const PHASES = ['start', 'next', 'batch', 'finish', 'end', 'over'];

/** A decision in a few words: `=` nothing changed, `-` it is none; `call`, `stop`, `removed`, `blocked`, `wait` as they are. */
export function told(d: PlanDecision | null, was: Plan): string {
  if (d === null) return '-';
  const { plan: p } = d;
  const words = d.changed ? [PLAN_STATUSES[p.status], PHASES[p.phase]] : ['='];
  if (d.changed && p.outcome !== null && p.outcome !== p.status) words.push(`>${PLAN_STATUSES[p.outcome]}`);
  if (d.call) words.push('call');
  else if (d.changed && p.owner !== null) words.push('calling');
  if (d.changed && p.wakeAt !== null && p.wakeAt > NOW) words.push('wait');
  if (d.stop) words.push('stop');
  if (d.removed) words.push('removed');
  if (d.blocked !== null) words.push('blocked');
  words.push(...d.meters);
  if (d.changed && p.version !== was.version + 1) words.push(`version ${p.version}`);
  if (d.call && p.token !== was.token + 1) words.push(`token ${p.token}`);
  return words.join(' ');
}
