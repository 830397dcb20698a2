/**
 * Ad hoc trees on their way to an inbox: elements are checked one by one as they come, ids and key are claimed, the graph is made in
 * slices between which the loop goes on, and then it is a submission like any other. Also what is added to a task later.
 */
import { ADDED_AT_ONCE, elementsToAdd } from '../core/added-elements.ts';
import { TuttiError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import { parseUuid, stepUuid } from '../core/ids.ts';
import { nearestName } from '../core/nearest-name.ts';
import { depthOf } from '../core/nodes.ts';
import { emptyShape } from '../core/shape.ts';
import { type ExistingSteps, TreeBuilder, type TreePlan } from '../core/tree-rules.ts';
import type { StoredTask } from '../store/store.ts';
import type { ResultCommand } from './commands.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { ElementIds } from './element-ids.ts';
import type { EngineConfig, Host } from './host.ts';
import { type Submissions, attributionOf, checkAttribution, checkPriority } from './submissions.ts';
import type { TaskKeys } from './task-keys.ts';
import type { TreeRequest, TreeSubmitted } from './views.ts';

/** Milliseconds of work between two pauses. */
const SLICE_MS = 4;
/** Elements whose ids an answer lists; whoever sends more knows them, or asks for the tree. */
const IDS_TOLD = 1000;

export interface TreesParts {
  host: Host;
  config: EngineConfig;
  tag: number;
  workers: Dispatcher;
  submissions: Submissions;
  keys: TaskKeys;
  ids: ElementIds;
  /** Throws when the engine takes nothing new. */
  admit: () => void;
  graphOf: (row: StoredTask) => Promise<TaskGraph>;
  offer: (c: ResultCommand) => boolean;
}

export class Trees {
  readonly #p: TreesParts;

  constructor(parts: TreesParts) {
    this.#p = parts;
  }

  /** As the facade says. */
  async submit(r: TreeRequest, whenFull: 'wait' | 'refuse'): Promise<TreeSubmitted> {
    this.#p.admit();
    checkAttribution(r);
    if (r.priority !== undefined) checkPriority(r.priority);
    const plan = await this.#plan(r.elements, this.#p.config.limits.treeElements, undefined);
    const shape = emptyShape(r.policy ?? 'fail');
    const slice = this.#slice();
    for (const { definition } of plan.nodes) {
      shape.add(definition, 0);
      if (slice.isOver()) await slice.pause();
    }
    const attribution = attributionOf(r);
    const id = this.#p.submissions.nextId();
    const enter = async (): Promise<TreeSubmitted> => {
      this.#p.admit();
      const task = await this.#p.submissions.enter(
        {
          id,
          template: null,
          shape,
          nodes: plan.nodes,
          execute: r.execute,
          key: r.key ?? null,
          priority: r.priority,
          input: '{}',
          tags: r.tags === undefined || r.tags.length === 0 ? null : r.tags,
          meta: plan.userId === undefined ? attribution : { ...attribution, userId: plan.userId },
        },
        whenFull,
      );
      return { task, ...this.#idsOf(id, plan) };
    };
    const keyed = (): Promise<TreeSubmitted> => (r.key === undefined ? enter() : this.#p.keys.during(null, r.key, enter));
    return await this.#p.ids.during([...plan.ids.keys()], keyed);
  }

  /** Lets a task run that was stored with `execute: false`. */
  execute(task: number): Promise<void> {
    return new Promise((resolve, reject) => this.#offer({ kind: 'execute', task, done: (_, e) => (e === null ? resolve() : reject(e)) }, reject));
  }

  /** Ends one step, for a person. */
  cancelStep(task: number, no: number, message: string): Promise<void> {
    return new Promise((resolve, reject) => this.#offer({ kind: 'cancel_step', task, no, message, done: (_, e) => (e === null ? resolve() : reject(e)) }, reject));
  }

  /** Numbers of the steps that were added, in the order of the elements, children right after their parent. */
  async add(row: StoredTask, elements: TreeRequest['elements']): Promise<number[]> {
    this.#p.admit();
    const g = await this.#p.graphOf(row);
    const base = g.size;
    const plan = await this.#plan(elements, ADDED_AT_ONCE, existingSteps(g, row, this.#p.tag));
    const make = (now: TaskGraph, doubtful: boolean): ReturnType<typeof elementsToAdd> => elementsToAdd(now, plan.nodes, base, doubtful);
    return await this.#p.ids.during(
      [...plan.ids.keys()],
      () =>
        new Promise((resolve, reject) =>
          this.#offer(
            {
              kind: 'add',
              task: row.id,
              make,
              done: (_, e, first) => {
                if (e !== null) reject(e);
                else resolve(plan.nodes.map((_n, i) => (first ?? base) + i));
              },
            },
            reject,
          ),
        ),
    );
  }

  /** Takes the elements one by one, with a pause wherever the loop has waited for long enough. */
  async #plan(elements: TreeRequest['elements'], maxElements: number, existing: ExistingSteps | undefined): Promise<TreePlan> {
    const { workers, config } = this.#p;
    const { contextBytes, contextDepth, contextItems, contextString, treeBytes } = config.limits;
    const builder = new TreeBuilder({
      hasHandler: (name) => workers.hasHandler(name),
      nearest: (name) => nearestName(name, workers.handlers().map((h) => h.id)),
      limits: { maxBytes: contextBytes, maxDepth: contextDepth, maxItems: contextItems, maxString: contextString },
      maxElements,
      openToWorkers: config.openToWorkers,
      existing,
    });
    const slice = this.#slice();
    const take = (element: unknown): void => {
      builder.add(element);
      if (builder.inputSize > treeBytes)
        throw new TuttiError('VALUE_TOO_LARGE', `the inputs of the tree are larger than ${treeBytes} characters together`, { field: 'tasks', details: { limit: treeBytes } });
    };
    if (Symbol.iterator in Object(elements)) {
      for (const element of elements as Iterable<unknown>) {
        take(element);
        if (slice.isOver()) await slice.pause();
      }
    } else if (Symbol.asyncIterator in Object(elements)) {
      for await (const element of elements as AsyncIterable<unknown>) {
        take(element);
        if (slice.isOver()) await slice.pause();
      }
    } else throw new TuttiError('INVALID_INPUT', 'tasks must be a list of elements', { field: 'tasks' });
    for (const steps = builder.finishing(); ; ) {
      const { done, value } = steps.next();
      if (done === true) return value;
      if (slice.isOver()) await slice.pause();
    }
  }

  #idsOf(task: number, plan: TreePlan): Pick<TreeSubmitted, 'roots' | 'elements'> {
    const { tag } = this.#p;
    const roots = plan.roots.slice(0, IDS_TOLD).map((no) => stepUuid(task, no, tag));
    if (plan.nodes.length > IDS_TOLD) return { roots, elements: null };
    const elements: Record<string, string> = Object.create(null) as Record<string, string>;
    plan.nodes.forEach(({ definition: d }, no) => (elements[d.id ?? d.name] = stepUuid(task, no, tag)));
    return { roots, elements };
  }

  #slice(): { isOver: () => boolean; pause: () => Promise<void> } {
    const { host } = this.#p;
    let begun = host.ticks();
    return {
      isOver: () => host.ticks() - begun > SLICE_MS,
      pause: async () => {
        await new Promise<void>((resolve) => host.soon(resolve));
        begun = host.ticks();
      },
    };
  }

  #offer(c: ResultCommand, reject: (e: TuttiError) => void): void {
    if (!this.#p.offer(c)) reject(new TuttiError('BACKPRESSURE', 'Too many commands are waiting.', { retryAfter: 1, details: { inbox: 'result_processor' } }));
  }
}

/** What the task has, as it stands while the elements are read: what comes in the meantime is looked at when they are added. */
function existingSteps(g: TaskGraph, row: StoredTask, tag: number): ExistingSteps {
  const { shape, size } = g;
  const there = (no: number | undefined): number | undefined => (no !== undefined && no < size ? no : undefined);
  return {
    size,
    byId: (text) => there(shape.byId(text) ?? ownUuid(text, row.id, tag)),
    byName: (text) => there(shape.numberOf.get(text)),
    depth: (no) => depthOf(g, no),
    userId: row.meta?.userId,
  };
}

function ownUuid(text: string, task: number, tag: number): number | undefined {
  const key = parseUuid(text, tag);
  return key !== null && key.task === task && key.no >= 0 ? key.no : undefined;
}
