/**
 * The parts of the engine, made and put together. Nothing runs here: parts that need one another name each other in functions, which are first
 * called when all of them are there.
 */
import type { ChangeSet } from '../core/changes.ts';
import type { TuttiError } from '../core/errors.ts';
import { stepUuid, taskUuid } from '../core/ids.ts';
import type { Cron } from '../core/schedule-ticks.ts';
import type { Store } from '../store/store.ts';
import { ResultProcessor } from './actors/result-processor.ts';
import { StepEnqueuer } from './actors/step-enqueuer.ts';
import { TaskFinalizer } from './actors/task-finalizer.ts';
import { TaskRequest } from './actors/task-request.ts';
import { AttemptLog } from './attempt-log.ts';
import { ColdReady } from './cold-ready.ts';
import type { FinalizeCommand, ResultCommand } from './commands.ts';
import { Copies } from './copies.ts';
import { Dispatcher } from './dispatcher.ts';
import { ElementIds } from './element-ids.ts';
import { endTask } from './end-task.ts';
import type { EngineParts } from './engine-parts.ts';
import { Events } from './events.ts';
import { GraphCache } from './graph-cache.ts';
import { GraphIntake, isSettled } from './graph-intake.ts';
import { DEFAULT_ENGINE_CONFIG, type EngineConfig, type Host } from './host.ts';
import { Lifecycle } from './lifecycle.ts';
import { OperatorVerbs } from './operator-verbs.ts';
import { Outcomes } from './outcomes.ts';
import { PayloadCache } from './payload-cache.ts';
import { PlanService } from './plans/plan-service.ts';
import { subtasksOf } from './plans/plan-subtasks.ts';
import { Queries } from './queries.ts';
import { ReadGate } from './read-gate.ts';
import { ReadyQueue } from './ready-queue.ts';
import { Reconciler } from './reconciler.ts';
import { TimerScan } from './recovery.ts';
import { Resets } from './resets.ts';
import { Retention } from './retention.ts';
import { Scheduling } from './scheduling.ts';
import { checkSpawn } from './spawns.ts';
import { StepRefs } from './step-refs.ts';
import { storeGuard } from './store-guard.ts';
import { Submissions } from './submissions.ts';
import { TaskGuard } from './task-guard.ts';
import { TaskKeys } from './task-keys.ts';
import { TaskLookup } from './task-lookup.ts';
import { TaskProgress } from './task-progress.ts';
import { TemplateRegistry } from './template-registry.ts';
import { Timers } from './timers.ts';
import { Trees } from './trees.ts';
import { TurnLoop } from './turn.ts';
import { TurnRelease } from './turn-release.ts';

export interface EngineOptions {
  store: Store;
  host: Host;
  config?: Partial<EngineConfig>;
  /** Absent: schedules have no cron expressions. */
  cron?: Cron;
}

export type AssembledEngine = ReturnType<typeof assembleEngine>;

/** `lastId`: the highest id of a task in the store. */
export function assembleEngine(o: EngineOptions, lastId: number) {
  const { store, host } = o;
  const { tag } = store;
  const config: EngineConfig = { ...DEFAULT_ENGINE_CONFIG, ...o.config };

  // What many of them do in the same way.
  const now = (): number => host.now();
  const pause = (): Promise<void> => new Promise((resolve) => host.soon(resolve));
  const wake = (): void => loop.wake();
  const admit = (): void => lifecycle.admit();
  const guard = storeGuard(host, () => lifecycle.status === 'stopped');
  const commit = (changes: ChangeSet): Promise<boolean> => loop.commitLater(changes);
  const cancel = (task: number, why: string): Promise<void> => endTask(verbs, task, tag, why);
  const uuidOfTask = (task: number): string => taskUuid(task, tag);
  const uuidOfStep = (task: number, no: number): string => stepUuid(task, no, tag);
  const offer = (c: ResultCommand): boolean => {
    if (!results.inbox.offer(c)) return false;
    loop.wake();
    return true;
  };
  const followUp = (c: FinalizeCommand): void => {
    finalizer.inbox.force(c);
    loop.wake();
  };

  // What is in memory.
  const templates = new TemplateRegistry({ store, now });
  const graphs = new GraphCache({ store, shapeOf: (t) => templates.shape(t), maxSteps: config.cache.maxSteps });
  const payloads = new PayloadCache(config.cache.payloadBytes);
  const dispatcher: Dispatcher = new Dispatcher({
    store,
    payloads,
    now,
    later: (ms, fn) => void host.timer(ms, fn),
    taskUuid: uuidOfTask,
    stepUuid: uuidOfStep,
    graph: (task) => graphs.get(task),
    pause,
    templateName: (g) => templates.row(g.template ?? -1)?.definition ?? { namespace: '', name: '', version: '' },
    input: {
      result: (r) => offer({ kind: 'result', ...r }),
      checkpoint: (r) => offer({ kind: 'checkpoint', ...r }),
      spawn: (r) => {
        try {
          checkSpawn(r.children, (h) => dispatcher.hasHandler(h), config.openToWorkers);
        } catch (e) {
          r.done([], e as TuttiError);
          return true;
        }
        return offer({ kind: 'spawn', ...r });
      },
      progress: (a) => {
        progress.reported(a);
        events.progress(a);
      },
      logLine: (r) => log.add(r),
      capacity: () => {
        submissions.handlersChanged();
        enqueuer.unpark();
        cold.reset();
        cold.topUp();
        loop.wake();
      },
      resultRoom: () => results.inbox.room(),
    },
  });
  const parts: EngineParts = {
    host,
    config,
    store,
    boot: 1 + Math.floor(host.random() * (2 ** 31 - 2)),
    graphs,
    payloads,
    dispatcher,
    timers: new Timers(host, wake),
    queue: new ReadyQueue(),
    absent: new Set(),
  };

  // What fills a turn.
  const intake = new GraphIntake({
    parts,
    inbox: () => finalizer.inbox,
    pause,
    wake,
    changed: (task) => events.changed(task),
    awaited: (task) => outcomes.awaited(task) || scheduling.awaits(task),
    ended: (g) => release.ended(g),
    wanted: (g) => resets.wants(g) || results.wants(g),
  });
  const requests = new TaskRequest({ parts, followUp, adopt: (g) => intake.adopt(g), wake });
  const results = new ResultProcessor(parts);
  const enqueuer = new StepEnqueuer(parts);
  const finalizer = new TaskFinalizer({ parts, followUp, commit });
  const plans = new PlanService({
    parts,
    wake,
    nextTaskId: () => submissions.nextId(),
    taskUuid: uuidOfTask,
    admit,
    guard,
    saturation: () => Math.max(...[requests, results, enqueuer, finalizer].map((a) => a.inbox.depth / a.inbox.capacity)),
    subtasks: (q) => subtasksOf(q, { store, graphOf: (row) => queries.graphOf(row), results: (g, nos) => dispatcher.values.results(g, nos) }),
    cancelTask: cancel,
    commit,
  });
  const loop: TurnLoop = new TurnLoop({
    parts,
    actors: [results, enqueuer, requests, plans.keeper, finalizer],
    stages: [
      (t) => results.fill(t),
      (t) => enqueuer.fill(t),
      (t) => requests.fill(t),
      (t) => plans.keeper.fill(t),
      (t) => finalizer.fill(t),
      (t) => enqueuer.start(t),
      (t) => finalizer.conclude(t),
      (t) => plans.keeper.conclude(t),
    ],
    release: (turn) => release.run(turn),
    reload: async (ids) => {
      await plans.keeper.reload();
      await intake.load(ids);
    },
    resume: (doubts) => intake.resume(doubts),
  });

  // What works beside the turns.
  const cold = new ColdReady({ parts, adopt: (ids) => intake.load(ids), wake, started: () => enqueuer.started });
  const scan = new TimerScan(parts);
  const log = new AttemptLog({ host, commit });
  const taskGuard = new TaskGuard(store);
  const retention = new Retention({ parts, commit, guard: taskGuard });
  const reconciler = new Reconciler({ parts, wake });

  // What is told.
  const progress = new TaskProgress({ graph: (t) => graphs.get(t), now, stepUuid: uuidOfStep, pause });
  const events = new Events({
    progress,
    store,
    host,
    graphs,
    templates,
    taskOf: async (id) => (await lookup.row(id)).id,
    pause,
    stopped: () => lifecycle.status === 'stopped',
  });
  const queries = new Queries({ progress, store, graphs, templates, dispatcher, taskUuid: uuidOfTask, stepUuid: uuidOfStep, pause });
  const outcomes = new Outcomes({
    store,
    queries,
    payloads,
    results: (g, nos) => dispatcher.values.results(g, nos),
    soon: (fn) => host.soon(fn),
    tag,
  });

  // What is asked for.
  const refs = new StepRefs({ store, graph: (task) => graphs.get(task), readGraph: (row) => queries.readGraph(row), shapeOf: (t) => templates.shape(t) });
  const lookup = new TaskLookup({ store, gate: new ReadGate({ limit: 64, soon: (fn) => host.soon(fn) }), guard, refs });
  const view = (id: string) => guard(async () => await queries.task(await lookup.row(id)));
  const resets = new Resets({
    guard: taskGuard,
    row: (id) => lookup.row(id),
    stepNo: (row, ref) => lookup.stepNo(row, ref),
    post: (c) => verbs.post(c),
    view,
    letGo: (task) => {
      const g = graphs.get(task);
      if (g !== undefined && g.writes === null && isSettled(g)) graphs.drop(g);
    },
  });
  const verbs = new OperatorVerbs({ parts, offer, lookup, resets, plans, taskGuard, guard, view, admit, storeWritable: () => loop.writable, commit });
  const keys = new TaskKeys({ store, guard, taskUuid: uuidOfTask });
  const submissions = new Submissions({
    keys,
    inbox: requests.inbox,
    templates,
    config,
    tag,
    lastId,
    now,
    wake,
    hasHandler: (h) => dispatcher.hasHandler(h),
    viewOf: (g, row) => queries.viewOf(g, row),
    admit,
    pause,
  });
  const copies = new Copies({
    store,
    host,
    config,
    graphs,
    guard: taskGuard,
    submissions,
    hasHandler: (h) => dispatcher.hasHandler(h),
    row: (id) => lookup.row(id),
    stepNo: (row, ref) => lookup.stepNo(row, ref),
    stepUuid: uuidOfStep,
    admit,
  });
  const trees = new Trees({
    host,
    config,
    store,
    workers: dispatcher,
    submissions,
    queries,
    refs,
    keys,
    ids: new ElementIds({ store, pause }),
    admit,
    row: (id) => lookup.row(id),
    live: (id) => verbs.live(id),
    offer,
  });
  const scheduling = new Scheduling({ ...o, submissions, commit, cancel, admit, pause });
  scheduling.onPlanTick((target, tick) => plans.fireTick(target, tick));

  // What holds all of it.
  const release: TurnRelease = new TurnRelease({ parts, enqueuer, intake, cold, progress, events, outcomes, scheduling });
  const lifecycle: Lifecycle = new Lifecycle({
    parts,
    loop,
    release,
    enqueuer,
    answering: [requests, results, plans.keeper, finalizer],
    intake,
    templates,
    plans,
    scheduling,
    scan,
    retention,
    reconciler,
    log,
    events,
    outcomes,
  });
  return {
    parts,
    counted: { parts, loop, requests, results, enqueuer, finalizer, plans: plans.keeper },
    templates,
    plans,
    scheduling,
    loop,
    enqueuer,
    release,
    lifecycle,
    log,
    retention,
    reconciler,
    events,
    queries,
    outcomes,
    lookup,
    verbs,
    submissions,
    copies,
    trees,
    guard,
    view,
    pause,
  };
}
