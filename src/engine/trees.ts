/**
 * Ad hoc trees on their way to an inbox: elements are checked one by one as they come, ids and key are claimed, the graph is made in
 * slices between which the loop goes on, and then it is a submission like any other. Also what is added to a task later.
 */
import { ADDED_AT_ONCE, elementsToAdd } from '../core/added-elements.ts';
import { TuttiError, isTuttiError } from '../core/errors.ts';
import type { TaskGraph } from '../core/graph.ts';
import { parseUuid, stepUuid } from '../core/ids.ts';
import { nearestName } from '../core/nearest-name.ts';
import { depthOf } from '../core/nodes.ts';
import { emptyShape } from '../core/shape.ts';
import { POLICIES } from '../core/template-rules.ts';
import { isTaskTerminal } from '../core/task-states.ts';
import { type ExistingSteps, TreeBuilder, type TreePlan } from '../core/tree-rules.ts';
import type { Store, StoredTask } from '../store/store.ts';
import type { ResultCommand } from './commands.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { ElementIds } from './element-ids.ts';
import type { EngineConfig, Host } from './host.ts';
import { LoopSlice } from './loop-slice.ts';
import type { Queries } from './queries.ts';
import type { StepRefs } from './step-refs.ts';
import { refuseArchive } from './resets.ts';
import { type Submissions, attributionOf, checkAttribution, checkPriority } from './submissions.ts';
import type { TaskKeys } from './task-keys.ts';
import type { StepView, TaskView, TreeQuery, TreeRequest, TreeSubmitted, TreeView } from './views.ts';

/** Elements whose ids an answer lists; whoever sends more knows them, or asks for the tree. */
const IDS_TOLD = 1000;

export interface TreesParts {
  host: Host;
  config: EngineConfig;
  store: Store;
  workers: Dispatcher;
  submissions: Submissions;
  queries: Queries;
  refs: StepRefs;
  keys: TaskKeys;
  ids: ElementIds;
  /** Throws when the engine takes nothing new. */
  admit: () => void;
  /** Of a task by its id. Throws INVALID_ID, NOT_FOUND. */
  row: (taskId: string) => Promise<StoredTask>;
  /** The same, of one that has not ended, in a store that can be written. Throws ILLEGAL_STATE, STORE_UNAVAILABLE. */
  live: (taskId: string) => Promise<StoredTask>;
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
    if (r.policy !== undefined && !POLICIES.includes(r.policy))
      throw new TuttiError('INVALID_INPUT', `policy must be one of ${POLICIES.join(', ')}`, { field: 'policy' });
    const plan = await this.#plan(r.elements, this.#p.config.limits.treeElements, undefined);
    const shape = emptyShape(r.policy ?? 'fail');
    const slice = new LoopSlice(this.#p.host);
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
  async execute(taskId: string): Promise<TaskView> {
    const { id } = await this.#p.live(taskId);
    await this.#post((done) => ({ kind: 'execute', task: id, done }));
    return await this.#p.queries.task(await this.#p.row(taskId));
  }

  /** Ends one step, for a person. */
  async cancelStep(taskId: string, ref: string, message: string): Promise<StepView> {
    const row = await this.#p.row(taskId);
    const no = await this.#p.refs.resolve(row, ref);
    const view = async (): Promise<StepView> => (await this.#p.queries.steps(row, { nos: [no], results: false }))[0];
    refuseArchive(row);
    if (isTaskTerminal(row.state)) throw stepEnded(await view());
    await this.#p.live(taskId);
    await this.#post((done) => ({ kind: 'cancel_step', task: row.id, no, message, done }));
    return await view();
  }

  /** Views of the steps that were added, in the order of the elements, children right after their parent. */
  async add(taskId: string, elements: TreeRequest['elements']): Promise<StepView[]> {
    this.#p.admit();
    const row = await this.#p.live(taskId);
    const g = await this.#p.queries.graphOf(row);
    const base = g.size;
    const plan = await this.#plan(elements, ADDED_AT_ONCE, existingSteps(g, row, this.#p.store.tag));
    const make = (now: TaskGraph, doubtful: boolean): ReturnType<typeof elementsToAdd> => elementsToAdd(now, plan.nodes, base, doubtful);
    const first = await this.#p.ids.during([...plan.ids.keys()], () => this.#post((done) => ({ kind: 'add', task: row.id, make, done })));
    const nos = plan.nodes.map((_, i) => (first ?? base) + i);
    return await this.#p.queries.steps(row, { nos, results: false, inputs: true });
  }

  /** A step of any task. */
  async find(id: string): Promise<StepView> {
    const { store, refs, queries } = this.#p;
    const found = await refs.element(id);
    const row = found === null ? null : await store.loadTask(found.task);
    if (found === null || row === null) throw new TuttiError('NOT_FOUND', `there is no element ${id}`);
    const no = await refs.resolve(row, stepUuid(row.id, found.no, store.tag));
    return (await queries.steps(row, { nos: [no], results: true, inputs: true }))[0];
  }

  /** A part of a task's tree. */
  async view(taskId: string, q: TreeQuery): Promise<TreeView> {
    const row = await this.#p.row(taskId);
    return await this.#p.queries.tree(row, { ...q, parent: q.parent === undefined ? -1 : await this.#p.refs.resolve(row, q.parent) });
  }

  /** Takes the elements one by one, with a pause wherever the loop has waited for long enough. */
  async #plan(elements: TreeRequest['elements'], maxElements: number, existing: ExistingSteps | undefined): Promise<TreePlan> {
    const { workers, config } = this.#p;
    const { contextBytes, contextDepth, contextItems, contextString, treeBytes } = config.limits;
    const builder = new TreeBuilder({
      hasHandler: (name) => workers.hasHandler(name),
      defaultsOf: (name) => workers.defaults(name),
      schemaProblem: (schema) => workers.schemaProblem(schema),
      nearest: (name) =>
        nearestName(
          name,
          workers.handlers().map((h) => h.id),
        ),
      limits: { maxBytes: contextBytes, maxDepth: contextDepth, maxItems: contextItems, maxString: contextString },
      maxElements,
      openToWorkers: config.openToWorkers,
      existing,
    });
    const slice = new LoopSlice(this.#p.host);
    const take = (element: unknown): void => {
      builder.add(element);
      if (builder.inputSize > treeBytes)
        throw new TuttiError('VALUE_TOO_LARGE', `the inputs of the tree are larger than ${treeBytes} characters together`, {
          field: 'tasks',
          details: { limit: treeBytes },
        });
    };
    if (!(Symbol.iterator in Object(elements)) && !(Symbol.asyncIterator in Object(elements)))
      throw new TuttiError('INVALID_INPUT', 'tasks must be a list of elements', { field: 'tasks' });
    try {
      if (Symbol.iterator in Object(elements)) {
        for (const element of elements as Iterable<unknown>) {
          take(element);
          if (slice.isOver()) await slice.pause();
        }
      } else {
        for await (const element of elements as AsyncIterable<unknown>) {
          take(element);
          if (slice.isOver()) await slice.pause();
        }
      }
    } catch (e) {
      if (isTuttiError(e)) throw e;
      // The caller's own list threw, and not our store.
      throw new TuttiError('INVALID_INPUT', `the elements broke off: ${e instanceof Error ? e.message : String(e)}`, { field: 'tasks', cause: e });
    }
    for (const steps = builder.finishing(); ; ) {
      const { done, value } = steps.next();
      if (done === true) return value;
      if (slice.isOver()) await slice.pause();
    }
  }

  #idsOf(task: number, plan: TreePlan): Pick<TreeSubmitted, 'roots' | 'elements'> {
    const { tag } = this.#p.store;
    const roots = plan.roots.slice(0, IDS_TOLD).map((no) => stepUuid(task, no, tag));
    if (plan.nodes.length > IDS_TOLD) return { roots, elements: null };
    const elements: Record<string, string> = Object.create(null) as Record<string, string>;
    plan.nodes.forEach(({ definition: d }, no) => (elements[d.id ?? d.name] = stepUuid(task, no, tag)));
    return { roots, elements };
  }

  /** Resolves when the command is durable, with what it says beside the graph. */
  #post(make: (done: (g: TaskGraph | null, e: TuttiError | null, first?: number) => void) => ResultCommand): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const c = make((_, e, first) => (e === null ? resolve(first) : reject(e)));
      if (!this.#p.offer(c))
        reject(new TuttiError('BACKPRESSURE', 'Too many commands are waiting.', { retryAfter: 1, details: { inbox: 'result_processor' } }));
    });
  }
}

/** Of a task that has ended, no step can be ended. */
const stepEnded = (s: StepView): TuttiError =>
  new TuttiError('ILLEGAL_STATE', `The step has ended: ${s.state}.`, { details: { state: s.state, current_status: s.simpleStatus } });

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
