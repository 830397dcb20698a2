/** Everything the engine tells of what happened: streams of one task and of all, pages, callbacks. One log feeds them all. */
import { isTuttiError, TuttiError } from '../core/errors.ts';
import { stepUuid, taskUuid } from '../core/ids.ts';
import { isTaskTerminal, Task } from '../core/task-states.ts';
import type { Store, StoredTask } from '../store/store.ts';
import { AllEvents } from './all-events.ts';
import type { Active } from './dispatcher.ts';
import { EventCallbacks } from './event-callbacks.ts';
import { EventFeed } from './event-feed.ts';
import { EventSpelling } from './event-spelling.ts';
import type { GraphCache } from './graph-cache.ts';
import type { Host } from './host.ts';
import { StepNames } from './step-names.ts';
import type { TaskProgress } from './task-progress.ts';
import type { TemplateRegistry } from './template-registry.ts';
import type { TaskEvent } from './views.ts';

export interface EventsParts {
  store: Store;
  host: Host;
  graphs: GraphCache;
  templates: TemplateRegistry;
  progress: TaskProgress;
  /** The number of a task that exists; rejects with INVALID_ID, NOT_FOUND. */
  taskOf: (id: string) => Promise<number>;
  pause: () => Promise<void>;
  stopped: () => boolean;
}

export class Events {
  readonly #store: Store;
  readonly #stopped: () => boolean;
  readonly #names: StepNames;
  readonly #feed: EventFeed;
  readonly all: AllEvents;
  readonly callbacks: EventCallbacks;

  constructor(o: EventsParts) {
    const { store, host, graphs, templates } = o;
    const { tag } = store;
    this.#store = store;
    this.#stopped = o.stopped;
    const spelling = new EventSpelling({
      taskUuid: (t) => taskUuid(t, tag),
      stepUuid: (t, no) => stepUuid(t, no, tag),
      rolledUp: (a, nameOf) => o.progress.eventData(a, nameOf),
    });
    this.#names = new StepNames({
      inMemory: (task, no) => graphs.get(task)?.shape.names[no],
      inTemplate: (template, no) => templates.shape(template)?.names[no],
      stored: (task, nos) => Promise.all(nos.map((no) => storedName(store, task, no))),
    });
    this.#feed = new EventFeed({ store, spelling });
    this.all = new AllEvents({
      store,
      feed: this.#feed,
      spelling,
      templateOf: (t) => templates.row(t ?? -1)?.definition ?? { namespace: '', name: '' },
      names: this.#names,
      taskOf: o.taskOf,
      pause: o.pause,
      stopped: o.stopped,
    });
    this.callbacks = new EventCallbacks({ events: this.all, host });
  }

  /** The log of a task has grown. */
  changed(task: number): void {
    if (this.#feed.watched) this.#feed.changed(task);
  }

  progress(a: Active): void {
    this.#feed.progress(a);
  }

  /** Ends every stream; the engine has stopped. */
  close(): void {
    this.#feed.closeAll();
  }

  async *ofTask(row: StoredTask, o: { after?: number; signal?: AbortSignal }): AsyncGenerator<TaskEvent> {
    const after = o.after ?? 0;
    if (!Number.isInteger(after) || after < 0 || after >= row.nextSeq) {
      throw new TuttiError('INVALID_CURSOR', `the task has events 1 to ${row.nextSeq - 1}; ${String(after)} is none of them`, { field: 'after' });
    }
    try {
      yield* this.#feed.events({
        task: row.id,
        nameOf: (task, no) => this.#names.of(task, row.template, no),
        learn: (task, events) => this.#names.learn(task, row.template, events),
        after,
        signal: o.signal,
        ended: this.#stopped,
        terminal: async () => isTaskTerminal((await this.#store.loadTask(row.id))?.state ?? Task.cancelled),
      });
    } catch (e) {
      if (isTuttiError(e)) throw e;
      throw new TuttiError('STORE_UNAVAILABLE', 'The log cannot be read at the moment.', { retryAfter: 5, cause: e });
    }
  }
}

/** Name of a step that was added to a task. */
async function storedName(store: Store, task: number, no: number): Promise<string | null> {
  const found = (await store.loadNodes({ task, after: no - 1, limit: 1 })).find((n) => n.no === no);
  return found === undefined ? null : (JSON.parse(found.body) as { name: string }).name;
}
