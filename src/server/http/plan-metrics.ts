/** Metrics of task plans, under the names that dashboards of a Pinot controller know. */
import type { PlanMetrics } from '../../engine/plan-views.ts';
import type { ScheduleMetrics } from '../../engine/schedule-views.ts';

type Pair = PlanMetrics['pairs'][number];
type PairName = Exclude<keyof Pair, 'resource' | 'taskType' | 'cronSchedulerJobs'>;
type Sample = readonly [value: number, labels?: Readonly<Record<string, string>>, suffix?: '_sum' | '_count'];

type Owned = NonNullable<ScheduleMetrics['owned']>[number];

interface PlanSource {
  plans: PlanMetrics;
  owned: readonly Owned[];
}

export interface PlanMetric {
  name: string;
  type: 'counter' | 'gauge' | 'summary';
  labels: readonly string[];
  help: string;
  read: (s: PlanSource) => readonly Sample[];
}

const ofPair = (name: PairName, type: PlanMetric['type'], help: string): PlanMetric => ({
  name,
  type,
  labels: ['tableNameWithType', 'taskType'],
  help,
  read: ({ plans }) =>
    plans.pairs.flatMap((pair): Sample[] => {
      const value = pair[name];
      return value === undefined ? [] : [[value, { tableNameWithType: pair.resource, taskType: pair.taskType }]];
    }),
});
const ofAll = (name: Exclude<keyof PlanMetrics, 'pairs'>, help: string): PlanMetric => ({
  name,
  type: 'gauge',
  labels: [],
  help,
  read: ({ plans }) => [[plans[name]]],
});
const ofSchedule = (name: string, type: PlanMetric['type'], help: string, value: (o: Owned) => number): PlanMetric => ({
  name,
  type,
  labels: ['tableNameWithType', 'taskType'],
  help,
  read: ({ owned }) => owned.map((o): Sample => [value(o), { tableNameWithType: o.resource, taskType: o.taskType }]),
});

export const PLAN_METRICS: readonly PlanMetric[] = [
  ofPair('taskPlanAborted', 'counter', 'Plans that were aborted by a failure threshold or by their generator; not those aborted by request.'),
  ofPair('orchestrationCycleFailure', 'counter', 'Calls of a generator that failed while a plan went on; each is made again.'),
  ofPair(
    'taskPlanProgressionBlocked',
    'gauge',
    '1 while the live plan may not go on, because its queue is stopped or a resource is short; 0 while it may; absent without one.',
  ),
  ofPair('scheduledTriggerActivePlanConflict', 'counter', 'Scheduled triggers that were skipped because a plan was live.'),
  ofPair('taskGenerationFailureCount', 'counter', 'Times that generating tasks failed, in plans and in one-shot runs.'),
  ofPair('taskPlanInputsToProcess', 'gauge', 'Input units of the live plan; absent without one, like the two below.'),
  ofPair('taskPlanInputsBeingProcessed', 'gauge', 'Of these, those of the batch that runs.'),
  ofPair('taskPlanInputsProcessed', 'gauge', 'Of these, those that are done.'),
  ofAll('activeTaskPlansCount', 'Plans that are ACTIVE.'),
  ofAll('taskPlansAbortingCount', 'Plans that are ABORTING: they wait for what still runs of them.'),
  ofAll(
    'orchestrationTimeSinceLastPollMs',
    'Milliseconds since all live plans were last looked at, as of this answer. It must not rise beyond the poll interval for long.',
  ),
];

/** Of the schedules in tables' configs. */
export const CRON_METRICS: readonly PlanMetric[] = [
  ofSchedule(
    'cronSchedulerJobTriggered',
    'counter',
    "Ticks of a schedule in a table's config that were acted on, those that found a live plan among them.",
    ({ ticks }) => ticks.fired + ticks.failed + ticks.conflict + ticks.overlap,
  ),
  ofSchedule('cronSchedulerJobSkipped', 'counter', 'Ticks that were passed over because they came too late.', ({ ticks }) => ticks.late + ticks.missed),
  ofSchedule('cronSchedulerJobScheduled', 'gauge', '1 while a tick is to come.', (o) => (o.scheduled ? 1 : 0)),
  {
    name: 'cronSchedulerJobExecutionTimeMs',
    type: 'summary',
    labels: ['tableNameWithType', 'taskType'],
    help: 'Milliseconds that acting on ticks took: until the plan or run was durable, or it was clear that none begins.',
    read: ({ plans }) =>
      plans.pairs.flatMap(({ resource, taskType, cronSchedulerJobs: jobs }): Sample[] => {
        if (jobs === undefined) return [];
        const labels = { tableNameWithType: resource, taskType };
        return [
          [jobs.ms, labels, '_sum'],
          [jobs.count, labels, '_count'],
        ];
      }),
  },
];
