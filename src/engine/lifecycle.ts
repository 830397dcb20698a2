/**
 * How the engine opens and stops, and whether it takes anything new in between.
 *
 * Opening: what is in memory first (templates, plans, schedules), then what the last process left (recovery.ts). The loop of turns runs as soon
 * as the first unfinished task is read, while nobody outside has the engine yet; without workers nothing is started.
 *
 * Stopping, in this order:
 * 1. Nothing new is let in and nothing is started; whatever works by the clock stops asking.
 * 2. Attempts that run get their time, while turns go on writing what they return. Those still running are told to stop.
 * 3. The loop ends with the commit in flight. What was accepted and not decided is refused, and so is whatever is still said by those who were
 *    let in before: nobody waits for a loop that has ended, and nothing of theirs was acknowledged (I1).
 * 4. Streams and whoever waits are told, and the store is closed.
 *
 * What is cut off here is found by the next start, as after a kill (I10).
 */
import { TuttiError } from '../core/errors.ts';
import { Task } from '../core/task-states.ts';
import type { StepEnqueuer } from './actors/step-enqueuer.ts';
import type { AttemptLog } from './attempt-log.ts';
import type { EngineParts } from './engine-parts.ts';
import type { Events } from './events.ts';
import type { EngineHealth } from './facade.ts';
import type { GraphIntake } from './graph-intake.ts';
import type { Outcomes } from './outcomes.ts';
import type { PlanService } from './plans/plan-service.ts';
import type { Reconciler } from './reconciler.ts';
import { type TimerScan, removeArrivals, resumeAborts, resumeBegun } from './recovery.ts';
import type { Retention } from './retention.ts';
import type { Scheduling } from './scheduling.ts';
import type { TemplateRegistry } from './template-registry.ts';
import type { Actor, TurnLoop } from './turn.ts';
import type { TurnRelease } from './turn-release.ts';

export interface LifecycleOptions {
  parts: EngineParts;
  loop: TurnLoop;
  release: TurnRelease;
  enqueuer: StepEnqueuer;
  /** Those whose inboxes have callers that wait for an answer. */
  answering: readonly Actor[];
  intake: GraphIntake;
  templates: TemplateRegistry;
  plans: PlanService;
  scheduling: Scheduling;
  scan: TimerScan;
  retention: Retention;
  reconciler: Reconciler;
  log: AttemptLog;
  events: Events;
  outcomes: Outcomes;
}

export class Lifecycle {
  readonly #o: LifecycleOptions;
  #stopping: Promise<void> | null = null;
  status: EngineHealth['status'] = 'starting';

  constructor(o: LifecycleOptions) {
    this.#o = o;
  }

  /** Throws SHUTTING_DOWN or STORE_UNAVAILABLE when the engine takes nothing new. */
  admit(): void {
    if (this.status === 'draining' || this.status === 'stopped')
      throw new TuttiError('SHUTTING_DOWN', 'This process is shutting down and takes no new tasks.', { retryAfter: 5 });
    const { loop } = this.#o;
    if (!loop.writable) throw new TuttiError('STORE_UNAVAILABLE', `The store cannot be written: ${loop.lastFailure ?? 'unknown'}`, { retryAfter: 5 });
  }

  /** Takes up what was unfinished. Resolves with how many tasks that are. */
  async open(): Promise<number> {
    const { parts, loop, intake, templates, plans, scheduling, scan, retention, reconciler } = this.#o;
    await templates.load();
    await plans.load();
    await scheduling.load();
    await removeArrivals(parts);
    const waiting = await parts.store.taskIds({ states: [Task.enqueuingSteps], after: 0, limit: 1000 });
    const resumed = waiting.length + (await resumeBegun(parts, { adopt: (ids) => intake.load(ids, true), stopped: () => this.status === 'stopped' }));
    await resumeAborts(parts, (ids) => intake.load(ids, true));
    await scan.run();
    retention.start();
    plans.start();
    reconciler.start();
    this.status = 'ready';
    loop.wake();
    return resumed;
  }

  /** From now on; what was let in goes on. Who closes something else first calls this before, and `stop` after. */
  refuseNew(): void {
    if (this.status !== 'stopped') this.status = 'draining';
  }

  /** A second call waits for the first. */
  stop(o: { drainMs?: number } = {}): Promise<void> {
    this.#stopping ??= this.#stop(o);
    return this.#stopping;
  }

  async #stop(o: { drainMs?: number }): Promise<void> {
    const { parts, loop, release, enqueuer, plans, scheduling, scan, retention, reconciler, log, events, outcomes } = this.#o;
    const { host, dispatcher, timers, store } = parts;
    this.refuseNew();
    enqueuer.drain();
    retention.stop();
    plans.stop();
    reconciler.stop();
    scan.stop();
    scheduling.stop();
    if (dispatcher.slots.used > 0) {
      await new Promise<void>((resolve) => {
        const cancel = host.timer(o.drainMs ?? 30_000, resolve);
        release.onIdle = () => {
          cancel();
          resolve();
        };
      });
      // Kept on the attempt: one whose inputs are still being read is told when its worker has it.
      for (const a of dispatcher.allActive()) dispatcher.stop(a.task, a.no, a.token, a.stop ?? 'shutdown');
    }
    await Promise.race([log.flush(), new Promise<void>((resolve) => void host.timer(2000, resolve))]);
    const closed = new TuttiError('SHUTTING_DOWN', 'The engine was closed before this was stored.', { retryAfter: 5 });
    await loop.stop(() => {
      for (const actor of this.#o.answering) actor.refuse(closed);
    });
    this.status = 'stopped';
    timers.stop();
    plans.close();
    events.close();
    outcomes.close();
    await store.close();
  }
}
