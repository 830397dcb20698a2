/**
 * What a user hangs on every step and every task. Hooks look on: what they throw is counted and told, and changes no outcome.
 * They run in the process that has them, in order of registration.
 */
import type { StepError } from '../core/errors.ts';
import { parseFrozen } from '../core/values.ts';
import type { TaskEvent } from '../engine/views.ts';
import type { AttemptOutcome } from '../engine/worker-port.ts';
import type { UntypedStepContext } from './step-types.ts';
import type { TaskHandle } from './task-handle.ts';

/** How a try ended; what its policy makes of a failure is not known yet. */
export type StepOutcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: StepError };

/** Each may be async and is waited for before the next one. */
export interface Hooks {
  /** Before every try of a step, ahead of the check of its inputs. */
  beforeStep?(ctx: UntypedStepContext): unknown;
  /**
   * After every try, completed or failed, before its outcome is handed over: nothing that depends on the step has started. The time it
   * takes counts towards the step's timeout.
   */
  afterStep?(ctx: UntypedStepContext, outcome: StepOutcome): unknown;
  /** A task is stored. */
  onTreeCreated?(task: TaskHandle): unknown;
  /** Its first step starts. */
  onTreeStarted?(task: TaskHandle): unknown;
  /** It ended well. */
  onTreeCompleted?(task: TaskHandle, state: 'complete' | 'resolved_manually'): unknown;
  /** It ended in error, or was cancelled. */
  onTreeFailed?(task: TaskHandle, message: string): unknown;
}

/** Types of events that hooks of tasks follow from. */
export const TREE_HOOK_EVENTS = ['task.state', 'task.reset', 'step.reset'] as const;

export interface HookRegistryOptions {
  /** The handle that tree hooks are given. */
  taskOf: (id: string) => TaskHandle;
  /** Hears of every error of a hook. Default: nobody. */
  onError?: (hook: keyof Hooks, error: unknown) => void;
}

const NAMES: Record<keyof Hooks, true> = {
  beforeStep: true,
  afterStep: true,
  onTreeCreated: true,
  onTreeStarted: true,
  onTreeCompleted: true,
  onTreeFailed: true,
};

export class HookRegistry {
  readonly #taskOf: HookRegistryOptions['taskOf'];
  readonly #onError: (hook: keyof Hooks, error: unknown) => void;
  /** Replaced, never changed: whoever walks it is not disturbed. */
  #hooks: readonly Hooks[] = [];
  /** Tasks that were stored in a state from which their start cannot be told by the event alone. Few: nearly all start from others. */
  readonly #undecided = new Set<string>();
  /** Tasks of which a reset was told, and not yet the state that it led to. */
  readonly #reset = new Set<string>();
  #errors = 0;
  #forSteps = false;
  #forTasks = false;

  constructor({ taskOf, onError = () => {} }: HookRegistryOptions) {
    this.#taskOf = taskOf;
    this.#onError = onError;
  }

  /** Errors of hooks so far. */
  get errors(): number {
    return this.#errors;
  }

  /** Some hook wants to see steps. */
  get forSteps(): boolean {
    return this.#forSteps;
  }

  /** Some hook wants to see tasks: `taskEvent` does something. */
  get forTasks(): boolean {
    return this.#forTasks;
  }

  /** Adds them; the answer takes them away again. Throws TypeError for a name that is no hook, or a hook that is no function. */
  add(hooks: Hooks): () => void {
    for (const [name, hook] of Object.entries(hooks) as [string, unknown][]) {
      if (!Object.hasOwn(NAMES, name)) throw new TypeError(`${JSON.stringify(name)} is no hook; there are ${Object.keys(NAMES).join(', ')}`);
      if (hook !== undefined && typeof hook !== 'function') throw new TypeError(`the hook ${name} must be a function`);
    }
    const own = { ...hooks };
    this.#set([...this.#hooks, own]);
    return () => this.#set(this.#hooks.filter((h) => h !== own));
  }

  /** Runs the hooks before a step. Never rejects; ends early when the signal aborts. Undefined: there was nothing to wait for. */
  before(ctx: UntypedStepContext, signal: () => AbortSignal): Promise<void> | undefined {
    return this.#each('beforeStep', (h) => h.beforeStep?.(ctx), signal);
  }

  /** As `before`. */
  after(ctx: UntypedStepContext, outcome: AttemptOutcome, signal: () => AbortSignal): Promise<void> | undefined {
    if (!this.#hooks.some((h) => h.afterStep !== undefined)) return undefined;
    const seen: StepOutcome = outcome.ok
      ? Object.freeze({ ok: true, value: parseFrozen(outcome.body) })
      : Object.freeze({ ok: false, error: Object.freeze({ ...outcome.error }) });
    return this.#each('afterStep', (h) => h.afterStep?.(ctx, seen), signal);
  }

  /**
   * Takes every event of the log once, in order of each task, and runs the tree hooks it stands for; others are passed over. Resolves
   * when they have run and never rejects. A task that becomes pending behind a reset was stored before.
   */
  async taskEvent(e: TaskEvent): Promise<void> {
    if (!this.#forTasks) return;
    if (e.type === 'task.reset' || e.type === 'step.reset') this.#reset.add(e.taskId);
    if (e.type !== 'task.state') return;
    const path = [...((e.data.via as string[] | undefined) ?? []), e.data.state as string];
    let task: TaskHandle | undefined;
    const tell = async (name: keyof Hooks, call: (h: Hooks, t: TaskHandle) => unknown): Promise<void> => {
      const handle = (task ??= this.#taskOf(e.taskId));
      await this.#each(name, (h) => call(h, handle));
    };
    const begins = path.includes('pending') && !this.#reset.has(e.taskId);
    this.#reset.delete(e.taskId);
    if (begins) await tell('onTreeCreated', (h, t) => h.onTreeCreated?.(t));
    if (this.#starts(e.taskId, path)) await tell('onTreeStarted', (h, t) => h.onTreeStarted?.(t));
    const state = e.data.state as string;
    if (state === 'complete' || state === 'resolved_manually') await tell('onTreeCompleted', (h, t) => h.onTreeCompleted?.(t, state));
    else if (state === 'error' || state === 'cancelled') await tell('onTreeFailed', (h, t) => h.onTreeFailed?.(t, messageOf(e)));
  }

  /**
   * Whether a task's first step starts with the states it went through here. `steps_in_process` comes again after every wait, and the
   * way to it tells which time it is: out of admission it is the first one, out of a wait a later one.
   */
  #starts(id: string, path: readonly string[]): boolean {
    const state = path[path.length - 1];
    const at = path.indexOf('steps_in_process');
    const fresh = path.includes('pending') || path.includes('initializing');
    if (at < 0) {
      if (fresh && (state === 'initializing' || state === 'waiting_for_dependencies')) this.#undecided.add(id);
      else if (state !== 'waiting_for_dependencies') this.#undecided.delete(id);
      // It had no step to run.
      return fresh && state === 'complete';
    }
    return this.#undecided.delete(id) || at === 0 || fresh;
  }

  #set(hooks: readonly Hooks[]): void {
    this.#hooks = hooks;
    this.#forSteps = hooks.some((h) => h.beforeStep !== undefined || h.afterStep !== undefined);
    this.#forTasks = hooks.some((h) => h.onTreeCreated ?? h.onTreeStarted ?? h.onTreeCompleted ?? h.onTreeFailed);
    if (!this.#forTasks) this.#undecided.clear();
  }

  /** One after the other. As long as none is async, nothing is waited for. */
  #each(name: keyof Hooks, call: (h: Hooks) => unknown, signal?: () => AbortSignal): Promise<void> | undefined {
    const hooks = this.#hooks;
    for (let i = 0; i < hooks.length; i++) {
      const promise = this.#call(name, hooks[i], call);
      if (promise !== undefined) return this.#rest(name, hooks.slice(i + 1), promise, call, signal);
    }
    return undefined;
  }

  async #rest(
    name: keyof Hooks,
    hooks: readonly Hooks[],
    first: Promise<void>,
    call: (h: Hooks) => unknown,
    signal: (() => AbortSignal) | undefined,
  ): Promise<void> {
    const stop = signal?.();
    await unless(stop, first);
    for (const h of hooks) {
      const promise = this.#call(name, h, call);
      if (promise !== undefined) await unless(stop, promise);
    }
  }

  #call(name: keyof Hooks, h: Hooks, call: (h: Hooks) => unknown): Promise<void> | undefined {
    try {
      const answer = call(h);
      if (typeof answer !== 'object' || answer === null || typeof (answer as { then?: unknown }).then !== 'function') return undefined;
      return Promise.resolve(answer).then(
        () => undefined,
        (error: unknown) => this.#failed(name, error),
      );
    } catch (error) {
      this.#failed(name, error);
      return undefined;
    }
  }

  #failed(name: keyof Hooks, error: unknown): void {
    this.#errors++;
    try {
      this.#onError(name, error);
    } catch {
      // Whoever listens for errors of hooks is no more fatal than they are.
    }
  }
}

/** Waits for the promise, but no longer than the attempt lasts: a hook that hangs must not keep its slot for ever. */
function unless(signal: AbortSignal | undefined, promise: Promise<void>): Promise<void> {
  if (signal === undefined) return promise;
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const release = (): void => {
      signal.removeEventListener('abort', release);
      resolve();
    };
    signal.addEventListener('abort', release);
    void promise.then(release);
  });
}

function messageOf(e: TaskEvent): string {
  const error = e.data.error as { message?: unknown } | null | undefined;
  if (typeof error?.message === 'string') return error.message;
  return e.data.state === 'cancelled' ? 'the task was cancelled' : 'the task failed';
}
