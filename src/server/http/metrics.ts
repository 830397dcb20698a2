/**
 * GET /metrics: one table of every metric, written in the text format of Prometheus. Values are read from the engine when asked for;
 * nothing is counted twice and no label has values that a caller can choose.
 */
import { TASK_STATES, isTaskTerminal } from '../../core/task-states.ts';
import { SKIP_REASONS } from '../../core/schedule.ts';
import { STEP_STATES } from '../../core/step-states.ts';
import type { ActorMetrics, EngineMetrics, Histogram } from '../../engine/facade.ts';
import type { PlanMetrics } from '../../engine/plan-views.ts';
import type { HttpCounters } from './http-counters.ts';
import { CRON_METRICS, PLAN_METRICS } from './plan-metrics.ts';

interface Source {
  engine: EngineMetrics;
  plans: PlanMetrics;
  http: HttpCounters;
  uptimeSeconds: number;
  version: string;
}

/** `suffix`: of the series of a summary. */
type Sample = readonly [value: number, labels?: Readonly<Record<string, string | number>>, suffix?: string];

export interface Metric {
  name: string;
  type: 'gauge' | 'counter' | 'histogram' | 'summary';
  labels: readonly string[];
  help: string;
  read: (s: Source) => readonly Sample[] | Histogram;
}

const gauge = (name: string, help: string, read: Metric['read'], labels: readonly string[] = []): Metric => ({ name, type: 'gauge', labels, help, read });
const counter = (name: string, help: string, read: Metric['read'], labels: readonly string[] = []): Metric => ({ name, type: 'counter', labels, help, read });
const histogram = (name: string, help: string, read: (s: Source) => Histogram): Metric => ({ name, type: 'histogram', labels: [], help, read });

const ofActors =
  (value: (a: ActorMetrics) => number) =>
  (s: Source): Sample[] =>
    s.engine.actors.map((a) => [value(a), { actor: a.name }]);
const byState =
  (states: readonly string[], from: (s: Source) => Record<string, number>) =>
  (s: Source): Sample[] => {
    const counts = from(s);
    return states.map((state) => [counts[state] ?? 0, { state }]);
  };
const one =
  (value: (s: Source) => number) =>
  (s: Source): Sample[] => [[value(s)]];

const TICK_OUTCOMES = ['fired', 'failed', ...SKIP_REASONS] as const;
const FINISHED = TASK_STATES.filter((_, i) => isTaskTerminal(i));
const ATTEMPT_EVENTS = {
  started: 'started',
  completed: 'completed',
  failed: 'failed',
  retried: 'retried',
  timedOut: 'timed_out',
  lost: 'lost',
  late: 'late',
} as const;

export const METRICS: readonly Metric[] = [
  gauge('tutti_info', 'Always 1; the version is a label.', (s) => [[1, { version: s.version }]], ['version']),
  gauge(
    'tutti_uptime_seconds',
    'Seconds since the server started.',
    one((s) => s.uptimeSeconds),
  ),

  gauge(
    'tutti_actor_depth',
    'Commands waiting in the inbox of an actor.',
    ofActors((a) => a.depth),
    ['actor'],
  ),
  gauge(
    'tutti_actor_capacity',
    'Commands the inbox of an actor holds.',
    ofActors((a) => a.capacity),
    ['actor'],
  ),
  gauge(
    'tutti_actor_saturation',
    'Depth over capacity, 0 to 1.',
    ofActors((a) => (a.capacity === 0 ? 0 : a.depth / a.capacity)),
    ['actor'],
  ),
  counter(
    'tutti_actor_accepted_total',
    'Commands taken into the inbox of an actor.',
    ofActors((a) => a.accepted),
    ['actor'],
  ),
  counter(
    'tutti_actor_refused_total',
    'Commands refused because the inbox was full.',
    ofActors((a) => a.refused),
    ['actor'],
  ),
  counter(
    'tutti_actor_handled_total',
    'Commands an actor has decided.',
    ofActors((a) => a.handled),
    ['actor'],
  ),
  counter(
    'tutti_actor_busy_seconds_total',
    'Time an actor has spent deciding.',
    ofActors((a) => a.timeMs / 1000),
    ['actor'],
  ),

  counter(
    'tutti_turns_total',
    'Turns of the engine.',
    one((s) => s.engine.turns),
  ),
  histogram('tutti_turn_rows', 'Rows written by a turn.', (s) => s.engine.turnRows),
  histogram('tutti_turn_seconds', 'Time of a turn, commit included.', (s) => s.engine.turnSeconds),
  histogram('tutti_commit_seconds', 'Time of a commit.', (s) => s.engine.commitSeconds),
  counter(
    'tutti_commit_failures_total',
    'Commits that failed or whose outcome was unknown; each is decided again.',
    one((s) => s.engine.commitFailures),
  ),

  gauge(
    'tutti_tasks',
    'Live tasks in memory by state.',
    byState(TASK_STATES, (s) => s.engine.tasks),
    ['state'],
  ),
  gauge(
    'tutti_steps',
    'Steps of live tasks in memory by state.',
    byState(STEP_STATES, (s) => s.engine.steps),
    ['state'],
  ),
  gauge(
    'tutti_steps_ready',
    'Steps that wait for nothing but a slot.',
    one((s) => s.engine.ready),
  ),
  counter(
    'tutti_tasks_submitted_total',
    'Tasks accepted.',
    one((s) => s.engine.submitted),
  ),
  counter(
    'tutti_tasks_finished_total',
    'Tasks that ended, by the state they ended in.',
    byState(FINISHED, (s) => s.engine.finished),
    ['state'],
  ),
  counter(
    'tutti_attempts_total',
    'What became of attempts: started, completed, failed, retried, timed_out, lost (worker gone), late (result came after its step was decided).',
    (s) => Object.entries(ATTEMPT_EVENTS).map(([key, event]) => [s.engine.attempts[key as keyof typeof ATTEMPT_EVENTS], { event }]),
    ['event'],
  ),
  gauge(
    'tutti_schedules',
    'Schedules by state: scheduled (a tick is to come) or paused.',
    (s) => [
      [s.engine.schedules?.scheduled ?? 0, { state: 'scheduled' }],
      [s.engine.schedules?.paused ?? 0, { state: 'paused' }],
    ],
    ['state'],
  ),
  counter(
    'tutti_schedule_ticks_total',
    'What became of ticks of schedules: fired, failed, or skipped as late, overlap (an earlier task lives), missed (catch-up) or conflict (a plan lives).',
    (s) => TICK_OUTCOMES.map((outcome) => [s.engine.schedules?.ticks[outcome] ?? 0, { outcome }]),
    ['outcome'],
  ),
  gauge(
    'tutti_slots',
    'Handlers that may run at once.',
    one((s) => s.engine.slots.total),
  ),
  gauge(
    'tutti_slots_used',
    'Slots with a live attempt.',
    one((s) => s.engine.slots.used),
  ),
  gauge(
    'tutti_slots_stopping',
    'Slots whose handler was told to stop and has not returned.',
    one((s) => s.engine.slots.stopping),
  ),
  gauge(
    'tutti_cached_steps',
    'Steps of the task graphs held in memory.',
    one((s) => s.engine.cachedSteps),
  ),
  counter(
    'tutti_reconciler_repairs_total',
    'Steps found stuck and set going again. Anything but 0 is a defect worth reporting.',
    one((s) => s.engine.reconcilerRepairs),
  ),
  counter(
    'tutti_retention_removed_total',
    'Finished tasks removed by retention.',
    one((s) => s.engine.retentionRemoved),
  ),
  counter(
    'tutti_event_callback_errors_total',
    'Times that a callback of onEvent threw.',
    one((s) => s.engine.callbackErrors),
  ),
  counter(
    'tutti_hook_errors_total',
    "Errors that users' hooks threw in the connected workers. They change no outcome.",
    one((s) => s.engine.hookErrors ?? 0),
  ),

  ...[...PLAN_METRICS, ...CRON_METRICS].map((m): Metric => ({ ...m, read: (s) => m.read({ plans: s.plans, owned: s.engine.schedules?.owned ?? [] }) })),

  counter(
    'tutti_http_requests_total',
    'Requests answered, by route of the API (`other`: none of them) and status.',
    (s) => [...s.http.requests.values()].map((r) => [r.count, { method: r.method, route: r.route, status: r.status }]),
    ['method', 'route', 'status'],
  ),
  histogram('tutti_http_request_seconds', 'Time of a request, event streams left out.', (s) => s.http.seconds),
  gauge(
    'tutti_http_streams',
    'Event streams that are open.',
    one((s) => s.http.streams),
  ),
];

export function renderMetrics(o: {
  engine: { metrics(): EngineMetrics; plans: { metrics(): PlanMetrics } };
  counters: HttpCounters;
  now: () => number;
  startedAt: number;
  version: string;
}): string {
  const source: Source = {
    engine: o.engine.metrics(),
    plans: o.engine.plans.metrics(),
    http: o.counters,
    uptimeSeconds: (o.now() - o.startedAt) / 1000,
    version: o.version,
  };
  return METRICS.map((m) => render(m, m.read(source))).join('');
}

function render(m: Metric, value: readonly Sample[] | Histogram): string {
  const head = `# HELP ${m.name} ${m.help}\n# TYPE ${m.name} ${m.type}\n`;
  if ('bounds' in value) return head + renderHistogram(m.name, value);
  return head + value.map(([v, labels, suffix = '']) => `${m.name}${suffix}${labels === undefined ? '' : labelText(labels)} ${numberText(v)}\n`).join('');
}

function renderHistogram(name: string, h: Histogram): string {
  let sum = 0;
  const buckets = h.counts.map((c, i) => {
    sum += c;
    return `${name}_bucket{le="${i < h.bounds.length ? h.bounds[i] : '+Inf'}"} ${sum}\n`;
  });
  return `${buckets.join('')}${name}_sum ${numberText(h.sum)}\n${name}_count ${sum}\n`;
}

const labelText = (labels: Readonly<Record<string, string | number>>): string =>
  `{${Object.entries(labels)
    .map(([k, v]) => `${k}="${String(v).replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`)
    .join(',')}}`;

const numberText = (n: number): string => (n === Infinity ? '+Inf' : n === -Infinity ? '-Inf' : String(n));
