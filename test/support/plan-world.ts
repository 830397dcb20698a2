/** The world of plans: task types that a test writes, tables, subtasks that end as it says. */
import type { ChangeSet } from '../../src/core/changes.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { DEFAULT_ENGINE_CONFIG, type EngineConfig } from '../../src/engine/host.ts';
import type { PlanConfig } from '../../src/engine/plan-port.ts';
import type { ResourceKind } from '../../src/engine/resource-port.ts';
import type { AttemptOutcome, Assignment } from '../../src/engine/worker-port.ts';
import { LocalGeneratorHost } from '../../src/sdk/plans/local-generator-host.ts';
import type { AnyTaskType } from '../../src/sdk/plans/task-type.ts';
import type { CommitFate } from './faulty-store.ts';
import { HeldWorker } from './held-worker.ts';
import { SimulatedProcess } from './simulated-process.ts';

export const OK: AttemptOutcome = { ok: true, body: 'null' };
export const failure = (message = 'scripted'): AttemptOutcome => ({ ok: false, error: { code: 'handler_error', message, retryable: false } });

export class PlanWorld extends SimulatedProcess {
  readonly worker = new HeldWorker();
  /** How a subtask ends; null: it runs until `finish`. */
  ends: (input: unknown, a: Assignment) => AttemptOutcome | null = () => OK;
  /** What becomes of a commit; asked before it is applied: a kill from here is one between decision and commit. */
  fate: (changes: ChangeSet, n: number) => CommitFate = () => 'ok';
  existing = new Set(['t_OFFLINE', 't_REALTIME', 'u_OFFLINE']);
  settings: Record<string, Record<string, Record<string, string>>> = {};
  /** Milliseconds of work, for what measures its own. */
  ticks: () => number = () => 0;
  pressure: { diskPercent: number | null; memoryPercent: number | null } | Error = { diskPercent: null, memoryPercent: null };
  #uuids = 0;

  constructor(seed = 1) {
    super({ seed, tag: 7 });
  }

  /** Attempts that run, oldest first. */
  get running(): Assignment[] {
    return this.worker.running;
  }

  set running(attempts: Assignment[]) {
    this.worker.running = attempts;
  }

  async boot(
    types: readonly AnyTaskType[],
    o: { plans?: Partial<PlanConfig>; config?: Partial<EngineConfig>; slots?: number; stored?: boolean } = {},
  ): Promise<Engine> {
    const { machine } = this;
    const plans = { ...DEFAULT_ENGINE_CONFIG.plans, ...o.plans };
    const config = { retention: { enabled: false, maxAgeMs: 0, maxCount: 0, intervalMs: 1 }, ...o.config, plans };
    // What a test needs to begin with is no part of what may fail.
    const { fate } = this;
    this.fate = () => 'ok';
    const engine = await this.start({
      faults: (n, c) => this.fate(c, n),
      config,
      host: (life) => ({
        ticks: () => this.ticks(),
        timer: (ms, run) => machine.timer(life, Math.min(ms, 2 ** 31 - 1), run),
        uuid: () => `00000000-0000-4000-8000-${String(++this.#uuids).padStart(12, '0')}`,
        pressure: () => (this.pressure instanceof Error ? Promise.reject(this.pressure) : Promise.resolve(this.pressure)),
      }),
    });
    const { life } = this;
    engine.addResourceKind(this.kind());
    for (const id of this.existing)
      if ((await this.wait(engine.resources.get(id))) === null) await this.wait(engine.resources.create({ id, kind: 'table', body: {} }));
    this.fate = fate;
    const generators = new LocalGeneratorHost({ registerHandlers: () => undefined, timer: (ms, fn) => machine.timer(life, ms, fn) });
    generators.register(types);
    this.worker.connect({ engine, machine, life, slots: o.slots ?? 1000, begins: (a) => this.ends(JSON.parse(a.input), a), stopped: failure('stopped') });
    generators.connect(engine.planWorkers);
    await machine.settle();
    return engine;
  }

  kind(): ResourceKind {
    return {
      name: 'table',
      exists: (id) => this.existing.has(id),
      expand: (name) => [...this.existing].filter((id) => id === name || id.replace(/_(OFFLINE|REALTIME)$/, '') === name),
      settings: (id, type) => this.settings[id]?.[type] ?? null,
      configuredTypes: (id) => Object.keys(this.settings[id] ?? {}),
    };
  }

  /** The oldest attempts that run end. */
  async finish(outcome: AttemptOutcome = OK, n = this.running.length): Promise<void> {
    for (const a of this.running.slice(0, n)) this.worker.end(a, outcome);
    await this.machine.settle();
  }

  wait<T>(asked: Promise<T>): Promise<T> {
    return this.complete(asked, 'waiting for an answer', 3_600_000);
  }

  /** An ad hoc trigger that asks for a plan. */
  async run(taskType: string, settings: Record<string, string> = {}, resource = 't_OFFLINE'): Promise<string> {
    const { runs } = await this.wait(
      this.engine.plans.trigger({ resource, taskType, settings: { enableTaskOrchestration: 'true', ...settings }, via: 'execute' }),
    );
    return runs[0]?.planId ?? '';
  }

  async close(): Promise<void> {
    this.fate = () => 'ok';
    if (this.life.alive) await this.wait(this.engine.stop({ drainMs: 0 }));
    await this.inner.close();
  }
}
