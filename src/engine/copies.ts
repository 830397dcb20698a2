/**
 * Copies, links and archives of tasks on their way to an inbox: the original is read as it stands at one moment, what it becomes is
 * planned by core, and then it is a submission like any other. The original is kept from being removed meanwhile.
 */
import type { TaskMeta } from '../core/changes.ts';
import { elementOf } from '../core/copy-elements.ts';
import { COPY_MODES, type CopyMode, type CopyOverride, type CopyPlan, type CopySource, planningCopy } from '../core/copy-plan.ts';
import type { JsonObject } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import type { NodeDefinition } from '../core/node.ts';
import { emptyShape } from '../core/shape.ts';
import { TASK_STATES, Task, isTaskTerminal } from '../core/task-states.ts';
import { checkContext } from '../core/values.ts';
import { LARGE_TASK, type Store, type StoredGraph, type StoredNode, type StoredStep, type StoredTask } from '../store/store.ts';
import type { GraphCache } from './graph-cache.ts';
import { namedIn } from './step-refs.ts';
import type { EngineConfig, Host } from './host.ts';
import { LoopSlice } from './loop-slice.ts';
import { type Submissions, attributionOf, checkAttribution, checkPriority } from './submissions.ts';
import type { TaskGuard } from './task-guard.ts';
import type { CopyOverrides, CopyRequest, TaskView } from './views.ts';

const PAGE = 2000;
/** Reads of a large task that goes on meanwhile; the last one lets nothing happen in between. */
const READS = 3;
/** An id of ours, of this task or another: the store says which. */
const GENERATED = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Elements of a preview. */
const SHOWN = 10_000;

export interface CopiesParts {
  store: Store;
  host: Host;
  config: EngineConfig;
  graphs: GraphCache;
  guard: TaskGuard;
  submissions: Submissions;
  hasHandler: (handler: string) => boolean;
  row: (taskId: string) => Promise<StoredTask>;
  stepNo: (row: StoredTask, ref: string) => Promise<number>;
  stepUuid: (task: number, no: number) => string;
  /** Throws when the engine takes nothing new. */
  admit: () => void;
}

interface Planned {
  source: CopySource;
  task: StoredTask;
  plan: CopyPlan;
  override: CopyOverride;
}

export class Copies {
  readonly #p: CopiesParts;

  constructor(parts: CopiesParts) {
    this.#p = parts;
  }

  async copy(taskId: string, r: CopyRequest, whenFull: 'wait' | 'refuse'): Promise<TaskView> {
    this.#p.admit();
    checkAttribution(r);
    const row = await this.#p.row(taskId);
    const letGo = this.#p.guard.use(row.id);
    try {
      const p = await this.#plan(row, r);
      this.#checkHandlers(p.plan);
      const slice = new LoopSlice(this.#p.host);
      const template = templateOf(p.task, r);
      const whole = template === undefined ? undefined : p.source.graph.shape;
      const shape = emptyShape(p.task.policy === 'record' ? 'fail' : p.task.policy, whole?.deadlineMs, whole?.returns);
      for (const { definition } of p.plan.nodes) {
        shape.add(definition, 0);
        if (slice.isOver()) await slice.pause();
      }
      this.#p.admit();
      const tags = r.tags ?? p.task.tags ?? [];
      return await this.#p.submissions.enter(
        {
          id: this.#p.submissions.nextId(),
          template: null,
          shape,
          nodes: p.plan.nodes,
          execute: r.execute ?? false,
          frozen: r.mode === 'archive' ? frozenState(p.task) : null,
          key: null,
          priority: p.override.priority ?? p.task.priority,
          input: await this.#inputOf(p, r),
          tags: tags.length === 0 ? null : tags,
          meta: metaOf(p.task, r, template),
        },
        whenFull,
      );
    } finally {
      letGo();
    }
  }

  /** What a copy would be made of; nothing is stored. */
  async preview(taskId: string, r: CopyRequest): Promise<JsonObject[]> {
    const row = await this.#p.row(taskId);
    const letGo = this.#p.guard.use(row.id);
    try {
      const { plan } = await this.#plan(row, r);
      const { nodes } = plan;
      if (nodes.length > SHOWN) {
        throw new TuttiError('INVALID_INPUT', `the copy has ${nodes.length} elements; a preview shows at most ${SHOWN}`, {
          field: 'save',
          details: { limit: SHOWN },
        });
      }
      const names = new Map<string, number>();
      for (const { definition } of nodes) names.set(definition.name, (names.get(definition.name) ?? 0) + 1);
      const elements: JsonObject[] = [];
      const slice = new LoopSlice(this.#p.host);
      for (let i = 0; i < nodes.length; i++) {
        const { definition, inputs, inputsFrom } = nodes[i];
        const text = inputs ?? (await this.#inputsAt(inputsFrom ?? definition.origin!));
        const { task, no } = definition.origin!;
        elements.push(elementOf(plan, i, text, { originalId: this.#p.stepUuid(task, no), names }));
        if (slice.isOver()) await slice.pause();
      }
      return elements;
    } finally {
      letGo();
    }
  }

  async #plan(row: StoredTask, r: CopyRequest): Promise<Planned> {
    check(r);
    const overrides = r.overrides ?? {};
    const owner = row.meta?.userId;
    if (overrides.userId !== undefined && overrides.userId !== owner) {
      const linking = r.mode === 'link' || (r.mode === 'mixed' && (r.link?.length ?? 0) > 0);
      throw new TuttiError('INVALID_INPUT', linking ? "Deny linking to a different user's task." : 'a copy belongs to the owner of its original', {
        field: 'overrides.user_id',
        details: { owner: owner ?? null },
      });
    }
    const override = this.#override(overrides, 'overrides');
    const named = Object.entries(overrides.elements ?? {});
    const changes = named.map(([ref, o]) => this.#override(o, `overrides.elements.${ref}`));
    const { task, source } = await this.#read(row);
    const { graph } = source;
    if (graph.arriving >= 0) throw new TuttiError('ILLEGAL_STATE', 'The task is still arriving.', { details: { state: TASK_STATES[task.state] } });
    if (graph.reopening !== null) throw new TuttiError('ILLEGAL_STATE', 'The task is being reset.', { details: { state: TASK_STATES[task.state] } });
    // By the graph at hand: a store asked for each of a thousand names would read it a thousand times.
    const numberOf = async (ref: string): Promise<number> => {
      const known = GENERATED.test(ref) ? undefined : namedIn(graph.shape, ref);
      return known ?? (await this.#p.stepNo(row, ref));
    };
    const numbers = async (refs: readonly string[]): Promise<number[]> => {
      const nos: number[] = [];
      for (const ref of refs) nos.push(await numberOf(ref));
      return nos;
    };
    const nos = await numbers(named.map(([ref]) => ref));
    const byNumber = new Map(changes.map((change, i) => [nos[i], change]));
    const element = r.element === undefined ? undefined : await numberOf(r.element);
    const link = await numbers(r.link ?? []);
    const slice = new LoopSlice(this.#p.host);
    const steps = planningCopy(source, {
      mode: r.mode,
      element,
      recursive: r.recursive ?? true,
      includeDependencies: r.includeDependencies ?? false,
      includeDependents: r.includeDependents ?? false,
      link,
      override,
      overrides: byNumber,
      now: this.#p.host.now(),
    });
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) {
        this.#checkSize(value.nodes.length);
        return { source, task, plan: value, override };
      }
      if (slice.isOver()) await slice.pause();
    }
  }

  #override(o: CopyOverrides, at: string): CopyOverride {
    const { contextBytes, contextDepth, contextItems, contextString } = this.#p.config.limits;
    const limits = { maxBytes: contextBytes, maxDepth: contextDepth, maxItems: contextItems, maxString: contextString };
    if (o.priority !== undefined) checkPriority(o.priority);
    return {
      ...(o.inputs === undefined ? {} : { inputs: checkContext(o.inputs, { ...limits, name: `${at}.inputs` }) }),
      ...(o.params === undefined ? {} : { params: JSON.parse(checkContext(o.params, { ...limits, name: `${at}.params` })) as JsonObject }),
      ...(o.priority === undefined ? {} : { priority: o.priority }),
    };
  }

  #checkSize(size: number): void {
    const { treeElements } = this.#p.config.limits;
    if (size <= treeElements) return;
    throw new TuttiError('INVALID_INPUT', `the copy has ${size} elements; the limit is ${treeElements}`, {
      field: 'element',
      details: { limit: treeElements },
    });
  }

  #checkHandlers({ nodes }: CopyPlan): void {
    if (this.#p.config.openToWorkers) return;
    for (const { definition: d, preset } of nodes) {
      if (preset !== undefined || d.handler === '' || this.#p.hasHandler(d.handler)) continue;
      throw new TuttiError('UNKNOWN_HANDLER', `step ${d.name}: nobody here has the handler ${d.handler}`, { details: { step: d.name, handler: d.handler } });
    }
  }

  /** The task as it stands at one moment: a large one that goes on while it is read is read again. */
  async #read(row: StoredTask): Promise<{ task: StoredTask; source: CopySource }> {
    const { store, graphs, host } = this.#p;
    const pause = (): Promise<void> => new Promise((resolve) => host.soon(resolve));
    for (let reads = 1; ; reads++) {
      const stored = row.totalSteps <= LARGE_TASK ? (await store.loadGraphs([row.id]))[0] : await this.#readLarge(row.id, reads < READS ? pause : null);
      if (stored === undefined) throw new TuttiError('NOT_FOUND', 'the task was removed');
      // It grew while we looked: read it as a large one.
      if (stored.task.totalSteps > LARGE_TASK && stored.steps.length === 0) {
        row = stored.task;
        continue;
      }
      if (row.totalSteps > LARGE_TASK && (await store.loadTask(row.id))?.nextSeq !== stored.task.nextSeq && reads < READS) continue;
      const graph = await graphs.build(stored, pause);
      if (graph === undefined) throw new TuttiError('TEMPLATE_NOT_FOUND', 'the template of the task is not known');
      const nodes = new Map<number, NodeDefinition>();
      const slice = new LoopSlice(this.#p.host);
      for (const n of stored.nodes) {
        nodes.set(n.no, JSON.parse(n.body) as NodeDefinition);
        if (slice.isOver()) await slice.pause();
      }
      return { task: stored.task, source: { graph, nodes, rows: new Map(stored.steps.map((s) => [s.no, s])) } };
    }
  }

  async #readLarge(id: number, pause: (() => Promise<void>) | null): Promise<StoredGraph | undefined> {
    const { store } = this.#p;
    const task = await store.loadTask(id);
    if (task === null) return undefined;
    const all = async <R extends { no: number }>(page: (after: number) => R[] | Promise<R[]>): Promise<R[]> => {
      const rows: R[] = [];
      for (let after = -1; ; after = rows[rows.length - 1].no) {
        const next = await page(after);
        for (const r of next) rows.push(r);
        if (next.length < PAGE) return rows;
        if (pause !== null) await pause();
      }
    };
    const steps = await all<StoredStep>((after) => store.loadSteps({ task: id, after, limit: PAGE }));
    const nodes = await all<StoredNode>((after) => store.loadNodes({ task: id, after, limit: PAGE }));
    return { task, steps, nodes };
  }

  /** Of the task itself: what steps of a template worked on; they have it as their own now. */
  async #inputOf({ task, source, override }: Planned, r: CopyRequest): Promise<string> {
    if (override.inputs !== undefined && r.element === undefined && source.graph.shape.base > 0) return override.inputs;
    return (await this.#p.store.payloads([{ task: task.id, no: -1, token: 0 }]))[0] ?? '{}';
  }

  async #inputsAt(from: { task: number; no: number }): Promise<string> {
    const [own, shared] = await this.#p.store.payloads([
      { task: from.task, no: from.no, token: 0 },
      { task: from.task, no: -1, token: 0 },
    ]);
    return own ?? shared ?? '{}';
  }
}

function check(r: CopyRequest): void {
  const refuse = (field: string, message: string): never => {
    throw new TuttiError('INVALID_INPUT', message, { field });
  };
  const mode: CopyMode = r.mode;
  if (!COPY_MODES.includes(mode)) refuse('mode', `mode must be one of ${COPY_MODES.join(', ')}, not ${String(mode)}`);
  if (r.recursive === false && r.element === undefined) refuse('recursive', 'recursive: false takes one step: name it as element');
  if (r.recursive === false && (r.includeDependencies === true || r.includeDependents === true)) {
    refuse('recursive', 'recursive: false takes one step, with none of its dependencies and dependants');
  }
  if (r.link !== undefined && mode !== 'mixed') refuse('link', 'link goes with mode mixed');
  if (mode === 'mixed' && (r.link === undefined || r.link.length === 0)) refuse('link', 'mode mixed names at least one step to link');
  for (const [at, given] of [
    ['overrides', r.overrides],
    ['overrides.elements', r.overrides?.elements],
    ...Object.entries(r.overrides?.elements ?? {}),
  ] as const) {
    if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given))) refuse(at, `${at} must be an object`);
  }
  const { userId: _owner, ...changes } = r.overrides ?? {};
  if (mode === 'archive' && Object.keys(changes).length > 0) refuse('overrides', 'an archive is kept as it stood: nothing of it can be changed');
  if (mode === 'link' && Object.keys(changes).length > 0) refuse('overrides', 'a link has no data of its own: nothing of it can be changed');
  if (mode === 'archive' && r.execute === true) refuse('execute', 'an archive does not run');
}

/** An archive has ended, whatever the original does: where that had not, the archive says so and counts as cancelled. */
function frozenState(task: StoredTask): { state: number; error: string | null } {
  if (isTaskTerminal(task.state)) return { state: task.state, error: task.error };
  const error = { code: 'archived', message: `Archived while the task was ${TASK_STATES[task.state]}.`, retryable: false };
  return { state: Task.cancelled, error: JSON.stringify(error) };
}

/** Row of the template that the copy is of, too; undefined: none. A part of a task is no run of its template. */
const templateOf = (task: StoredTask, r: CopyRequest): number | undefined =>
  r.element === undefined ? (task.template ?? task.meta?.origin?.template) : undefined;

/** Who asks for a copy, and why, is said with the copy. An archive is the task as it stood, and who asked for that stays with it. */
function metaOf(task: StoredTask, r: CopyRequest, template: number | undefined): TaskMeta {
  const userId = task.meta?.userId;
  const said = Object.entries(attributionOf(r) ?? {}).filter(([, value]) => value !== undefined);
  return {
    ...(r.mode === 'archive' ? task.meta : {}),
    ...Object.fromEntries(said),
    ...(userId === undefined ? {} : { userId }),
    origin: { type: r.mode, task: task.meta?.origin?.task ?? task.id, ...(template === undefined ? {} : { template }) },
  };
}
