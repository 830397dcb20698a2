/** The parts of the engine that know schedules, put together. */
import type { ChangeSet } from '../core/changes.ts';
import { taskUuid } from '../core/ids.ts';
import { type Cron, NO_CRON } from '../core/schedule-ticks.ts';
import type { Store } from '../store/store.ts';
import type { Host } from './host.ts';
import { ScheduleBook } from './schedule-book.ts';
import { type FirePlan, Scheduler, withTick } from './scheduler.ts';
import { Schedules } from './schedules.ts';
import type { Submissions } from './submissions.ts';

export class Scheduling {
  readonly #book: ScheduleBook;
  readonly #scheduler: Scheduler;
  readonly schedules: Schedules;

  constructor(o: {
    store: Store;
    host: Host;
    /** Absent: there are no cron expressions. */
    cron?: Cron;
    submissions: Submissions;
    commit: (changes: ChangeSet) => Promise<boolean>;
    /** Ends a task, which may have ended meanwhile. */
    cancel: (task: number, message: string) => Promise<void>;
    admit: () => void;
    pause: () => Promise<void>;
  }) {
    const { store, host, cron = NO_CRON, submissions, commit, pause, admit } = o;
    const uuid = (task: number): string => taskUuid(task, store.tag);
    const book = new ScheduleBook(store);
    const scheduler = new Scheduler({
      book,
      store,
      host,
      cron,
      commit,
      submit: (r, tick) => submissions.submitTick(r, tick),
      cancel: o.cancel,
      pause,
    });
    this.#book = book;
    this.#scheduler = scheduler;
    this.schedules = new Schedules({
      book,
      scheduler,
      store,
      cron,
      now: () => host.now(),
      nextId: () => submissions.nextId(),
      taskUuid: uuid,
      commit,
      checkTask: async (r, tickField) => {
        await submissions.checkTask(tickField === null ? r : { ...r, input: withTick(r.input, tickField, host.now()) });
        // As it was given: the template's schema may change it, and sees it again with every tick.
        return JSON.stringify(r.input);
      },
      admit,
      warn: (message) => host.log('warn', message),
    });
  }

  /** Before anything else. */
  load(): Promise<void> {
    return this.#book.load();
  }

  start(): void {
    this.#scheduler.start();
  }

  stop(): void {
    this.#scheduler.stop();
  }

  taskEnded(task: number): void {
    this.#scheduler.taskEnded(task);
  }

  awaits(task: number): boolean {
    return this.#scheduler.awaits(task);
  }

  /** Who makes plans of ticks whose target is one. */
  onPlanTick(fire: FirePlan): void {
    this.#scheduler.firePlan = fire;
  }
}
