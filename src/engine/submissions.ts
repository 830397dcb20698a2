/** The way of a submission to its inbox: known template, known handlers, valid input, an id; then it waits for its turn. */
import { TuttiError, isTuttiError } from '../core/errors.ts';
import type { TaskMeta } from '../core/changes.ts';
import type { Submission } from '../core/decide-task.ts';
import type { Json } from '../core/definition.ts';
import type { TaskGraph } from '../core/graph.ts';
import { nextTaskId, taskUuid } from '../core/ids.ts';
import { checkContext } from '../core/values.ts';
import type { SubmitCommand } from './commands.ts';
import type { EngineConfig } from './host.ts';
import type { Inbox } from './inbox.ts';
import { type TaskKeys, checkKey } from './task-keys.ts';
import type { RegisteredTemplate, TemplateRegistry } from './template-registry.ts';
import type { SubmitRequest, TaskView } from './views.ts';

export interface SubmissionsOptions {
  inbox: Inbox<SubmitCommand>;
  templates: TemplateRegistry;
  keys: TaskKeys;
  config: EngineConfig;
  tag: number;
  /** Highest id in the store. */
  lastId: number;
  now: () => number;
  wake: () => void;
  hasHandler: (handler: string) => boolean;
  /** Throws when the engine takes nothing new. */
  admit: () => void;
  /** Lets what else waits on the loop go first. */
  pause: () => Promise<void>;
  viewOf: (g: TaskGraph, row: { tags: string[] | null; meta: TaskMeta | null; key: string | null }) => TaskView;
}

export class Submissions {
  readonly #o: SubmissionsOptions;
  readonly #inbox: Inbox<SubmitCommand>;
  /** Templates whose handlers were all found; forgotten when workers change. */
  readonly #runnable = new Set<RegisteredTemplate>();
  #lastId: number;

  constructor(o: SubmissionsOptions) {
    this.#o = o;
    this.#inbox = o.inbox;
    this.#lastId = o.lastId;
  }

  handlersChanged(): void {
    this.#runnable.clear();
  }

  async submit(r: SubmitRequest): Promise<TaskView> {
    const t = this.#check(r);
    if (!this.#runnable.has(t)) await this.#checkHandlers(t);
    const checked = this.#validate(t, r);
    const input = checked instanceof Promise ? await checked : checked;
    const enter = (): Promise<TaskView> => this.enter(this.#submission(t, r, input), 'wait');
    return r.key === undefined ? await enter() : await this.#o.keys.during(t.row.id, r.key, enter);
  }

  async trySubmit(r: SubmitRequest): Promise<TaskView> {
    const t = this.#check(r);
    if (!this.#runnable.has(t)) await this.#checkHandlers(t);
    const checked = this.#validate(t, r);
    const input = checked instanceof Promise ? await checked : checked;
    const enter = (): Promise<TaskView> => this.enter(this.#submission(t, r, input), 'refuse');
    const view = r.key === undefined ? await enter() : await this.#o.keys.during(t.row.id, r.key, enter);
    // Whoever is far away is shown what was stored, with what the schema added, without another request.
    view.input = JSON.parse(input) as Json;
    return view;
  }

  /** A task that may be submitted later: all is checked but that somebody here runs its handlers. */
  async checkTask(r: SubmitRequest): Promise<void> {
    await this.#validate(this.#check(r), r);
  }

  /** Stores a task for a tick of a schedule, and marks that in the same commit; waits for room. Gives the task. */
  async submitTick(r: SubmitRequest, tick: { schedule: number; at: number }): Promise<number> {
    const t = this.#check(r);
    if (!this.#runnable.has(t)) await this.#checkHandlers(t);
    const submission = { ...this.#submission(t, r, await this.#validate(t, r)), tick };
    await this.enter(submission, 'wait');
    return submission.id;
  }

  /** An id above all that were given before. */
  nextId(): number {
    this.#lastId = nextTaskId(this.#lastId, this.#o.now());
    return this.#lastId;
  }

  /** Takes a checked submission to its turn. A full inbox: waits for room, or rejects with BACKPRESSURE. */
  async enter(submission: Submission, whenFull: 'wait' | 'refuse'): Promise<TaskView> {
    while (whenFull === 'wait' && this.#inbox.full) {
      await this.#inbox.room();
      try {
        this.#o.admit();
      } catch (e) {
        this.#inbox.passOn();
        throw e;
      }
    }
    return await new Promise((resolve, reject) => {
      const { tags, meta, key } = submission;
      const done: SubmitCommand['done'] = (g, e) => {
        if (e !== null) reject(e);
        else resolve(this.#o.viewOf(g!, { tags, meta, key: key ?? null }));
      };
      if (this.#inbox.offer({ submission, doubtful: false, done })) this.#o.wake();
      else
        reject(
          new TuttiError('BACKPRESSURE', `${this.#inbox.capacity} ${this.#inbox.capacity === 1 ? 'submission is' : 'submissions are'} waiting already.`, {
            retryAfter: 1,
            details: { inbox: 'task_request' },
          }),
        );
    });
  }

  async submitMany(rs: Iterable<SubmitRequest>): Promise<string[]> {
    const checked: { t: RegisteredTemplate; r: SubmitRequest; input: string }[] = [];
    let i = 0;
    for (const r of rs) {
      try {
        const t = this.#check(r);
        if (!this.#runnable.has(t)) await this.#checkHandlers(t);
        const input = this.#validate(t, r);
        checked.push({ t, r, input: input instanceof Promise ? await input : input });
      } catch (e) {
        if (!isTuttiError(e)) throw e;
        throw new TuttiError(e.code, `tasks[${i}]: ${e.message}`, {
          field: `tasks[${i}]${e.field === undefined ? '' : `.${e.field}`}`,
          details: e.details,
          retryAfter: e.retryAfter,
        });
      }
      // Ten thousand checks in a row would hold the loop for tens of milliseconds.
      if ((++i & 127) === 0) await this.#o.pause();
    }
    const keyed = checked.flatMap(({ t, r }) => (r.key === undefined ? [] : [{ template: t.row.id, key: r.key }]));
    if (keyed.length === 0) return await this.#enterAll(checked);
    const release = await this.#o.keys.hold(keyed);
    try {
      return await this.#enterAll(checked);
    } finally {
      release();
    }
  }

  async #enterAll(checked: { t: RegisteredTemplate; r: SubmitRequest; input: string }[]): Promise<string[]> {
    const ids = new Array<string>(checked.length);
    await new Promise<void>((resolve, reject) => {
      let open = checked.length;
      let next = 0;
      if (open === 0) resolve();
      const push = (): void => {
        try {
          this.#o.admit();
        } catch (e) {
          this.#inbox.passOn();
          reject(e as TuttiError);
          return;
        }
        while (next < checked.length && !this.#inbox.full) {
          const { t, r, input } = checked[next];
          const at = next++;
          this.#inbox.offer({
            submission: this.#submission(t, r, input),
            doubtful: false,
            done: (g, e) => {
              if (e !== null) reject(e);
              else ids[at] = taskUuid(g!.id, this.#o.tag);
              if (--open === 0) resolve();
            },
          });
        }
        this.#o.wake();
        if (next < checked.length) void this.#inbox.room().then(push);
      };
      push();
    });
    return ids;
  }

  #check(r: SubmitRequest): RegisteredTemplate {
    this.#o.admit();
    const t = this.#o.templates.find(r);
    if (t === undefined)
      throw new TuttiError('TEMPLATE_NOT_FOUND', `no template ${r.namespace}/${r.name}${r.version === undefined ? '' : `@${r.version}`} is registered`, {
        field: 'name',
      });
    if (r.priority !== undefined) checkPriority(r.priority);
    checkAttribution(r);
    return t;
  }

  /** Every handler of the template is here; in slices, since a template may have 100,000. Once, until workers change. */
  async #checkHandlers(t: RegisteredTemplate): Promise<void> {
    if (this.#o.config.openToWorkers) return;
    const { rules, names } = t.shape;
    for (let no = 0; no < rules.length; no++) {
      const { handler } = rules[no];
      if (!this.#o.hasHandler(handler)) {
        throw new TuttiError('UNKNOWN_HANDLER', `step ${names[no]}: nobody here has the handler ${handler}`, {
          field: `steps[${no}].handler`,
          details: { handler },
        });
      }
      if (no % 4096 === 4095) await this.#o.pause();
    }
    this.#runnable.add(t);
  }

  /** JSON text of the input, checked against the template. */
  #validate(t: RegisteredTemplate, r: SubmitRequest): string | Promise<string> {
    const { contextBytes, contextDepth, contextItems, contextString } = this.#o.config.limits;
    const limits = { maxBytes: contextBytes, maxDepth: contextDepth, maxItems: contextItems, maxString: contextString };
    const text = checkContext(r.input, limits);
    if (t.validate === undefined) return text;
    const outcome = t.validate(r.input);
    const settle = (v: Awaited<typeof outcome>): string => {
      if (v.ok) return v.value === r.input ? text : checkContext(v.value, limits);
      const issues = v.issues.slice(0, 20).map((i) => ({ path: i.path === '' ? 'context' : `context.${i.path}`, message: i.message }));
      throw new TuttiError('INVALID_INPUT', issues.map((i) => `${i.path}: ${i.message}`).join('; '), {
        field: issues[0]?.path ?? 'context',
        details: { issues },
      });
    };
    return outcome instanceof Promise ? outcome.then(settle) : settle(outcome);
  }

  #submission(t: RegisteredTemplate, r: SubmitRequest, input: string): Submission {
    return {
      id: this.nextId(),
      template: t.row.id,
      shape: t.shape,
      priority: r.priority,
      input,
      key: r.key ?? null,
      tags: r.tags === undefined || r.tags.length === 0 ? null : r.tags,
      meta: attributionOf(r),
    };
  }
}

export type Attribution = Pick<
  SubmitRequest,
  'initiator' | 'sourceSystem' | 'reason' | 'correlationId' | 'parentCorrelationId' | 'options' | 'expectedBytes' | 'expectedItems'
>;

/** Null: there is none. */
export function attributionOf(r: Attribution): TaskMeta | null {
  const { initiator, sourceSystem, reason, correlationId, parentCorrelationId, options } = r;
  const expected = expectedOf(r);
  const attributed =
    initiator !== undefined ||
    sourceSystem !== undefined ||
    reason !== undefined ||
    correlationId !== undefined ||
    parentCorrelationId !== undefined ||
    options !== undefined ||
    expected !== undefined;
  return attributed ? { initiator, sourceSystem, reason, correlationId, parentCorrelationId, options, expected } : null;
}

/** How large the whole is, for its progress. */
function expectedOf({ expectedBytes, expectedItems }: Attribution): TaskMeta['expected'] {
  if (expectedBytes !== undefined) return { total: expectedBytes, unit: 'bytes' };
  return expectedItems === undefined ? undefined : { total: expectedItems, unit: 'items' };
}

const TEXTS = ['initiator', 'sourceSystem', 'reason', 'correlationId', 'parentCorrelationId'] as const;

/** What is kept beside the input: texts of at most 10,000 characters, tags, a key, and options under the rules of an input. */
export function checkAttribution(r: Attribution & { tags?: string[]; key?: string }): void {
  for (const field of TEXTS) {
    const text: unknown = r[field];
    if (text !== undefined && (typeof text !== 'string' || text.length > 10_000)) {
      throw new TuttiError('INVALID_INPUT', `${field} must be a text of at most 10,000 characters`, { field });
    }
  }
  for (const field of ['expectedBytes', 'expectedItems'] as const) {
    const size: unknown = r[field];
    if (size !== undefined && !(Number.isSafeInteger(size) && (size as number) >= 0))
      throw new TuttiError('INVALID_INPUT', `${field} must be a whole number of 0 or more`, { field });
  }
  if (r.tags !== undefined) checkTags(r.tags);
  if (r.key !== undefined) checkKey(r.key);
  if (r.options !== undefined) checkContext(r.options, { name: 'options' });
}

/** Throws INVALID_INPUT unless it is a list of at most 100 texts of at most 1,000 characters. */
export function checkTags(tags: unknown): void {
  const fine = Array.isArray(tags) && tags.length <= 100 && tags.every((t) => typeof t === 'string' && t.length <= 1000);
  if (!fine) throw new TuttiError('INVALID_INPUT', 'tags must be a list of at most 100 texts of at most 1,000 characters', { field: 'tags' });
}

/** Throws INVALID_INPUT unless it is 0, 1, 2 or 3. */
export function checkPriority(priority: unknown): void {
  if (Number.isInteger(priority) && (priority as number) >= 0 && (priority as number) <= 3) return;
  throw new TuttiError('INVALID_INPUT', `priority must be an integer from 0 (urgent) to 3, not ${String(priority)}`, {
    field: 'priority',
    details: { min: 0, max: 3 },
  });
}
