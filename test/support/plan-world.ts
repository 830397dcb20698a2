/** The real engine with plans on a simulated clock: task types that a test writes, subtasks that end as it says, a store that can fail, kills. */
import type { ChangeSet } from '../../src/core/changes.ts';
import { Engine } from '../../src/engine/engine.ts';
import { DEFAULT_ENGINE_CONFIG, type EngineConfig, type Host } from '../../src/engine/host.ts';
import type { PlanConfig } from '../../src/engine/plan-port.ts';
import type { ResourceKind } from '../../src/engine/resource-port.ts';
import type { AttemptOutcome, Assignment } from '../../src/engine/worker-port.ts';
import { LocalGeneratorHost } from '../../src/sdk/plans/local-generator-host.ts';
import type { AnyTaskType } from '../../src/sdk/plans/task-type.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { type CommitFate, faultyStore } from './faulty-store.ts';
import { type Life, SimulatedMachine } from './simulated-host.ts';

export const OK: AttemptOutcome = { ok: true, body: 'null' };
export const failure = (message = 'scripted'): AttemptOutcome => ({ ok: false, error: { code: 'handler_error', message, retryable: false } });

export class PlanWorld {
  readonly machine: SimulatedMachine;
  readonly inner: SqliteStore;
  readonly logged: string[] = [];
  life: Life = { alive: false };
  engine!: Engine;
  /** Attempts that run, oldest first. */
  running: Assignment[] = [];
  /** How a subtask ends; null: it runs until `finish`. */
  ends: (input: unknown, a: Assignment) => AttemptOutcome | null = () => OK;
  fate: (changes: ChangeSet, n: number) => CommitFate = () => 'ok';
  /** Called before a commit is applied: a kill from here is one between decision and commit. */
  existing = new Set(['t_OFFLINE', 't_REALTIME', 'u_OFFLINE']);
  settings: Record<string, Record<string, Record<string, string>>> = {};
  pressure: { diskPercent: number | null; memoryPercent: number | null } | Error = { diskPercent: null, memoryPercent: null };
  #uuids = 0;
  #answer: (a: Assignment, o: AttemptOutcome) => void = () => undefined;

  constructor(seed = 1) {
    this.machine = new SimulatedMachine(seed);
    this.inner = SqliteStore.open({ path: ':memory:', now: () => this.machine.now(), tag: 7 });
  }

  async boot(
    types: readonly AnyTaskType[],
    o: { plans?: Partial<PlanConfig>; config?: Partial<EngineConfig>; slots?: number; stored?: boolean } = {},
  ): Promise<Engine> {
    const life: Life = { alive: true };
    this.life = life;
    this.running = [];
    const { machine } = this;
    const host: Host = {
      now: () => machine.now(),
      ticks: () => 0,
      soon: (run) => machine.soon(life, run),
      timer: (ms, run) => machine.timer(life, Math.min(ms, 2 ** 31 - 1), run),
      random: () => machine.random.next(),
      uuid: () => `00000000-0000-4000-8000-${String(++this.#uuids).padStart(12, '0')}`,
      pressure: () => (this.pressure instanceof Error ? Promise.reject(this.pressure) : Promise.resolve(this.pressure)),
      log: (level, message, details) => void this.logged.push(`${level} ${message} ${JSON.stringify(details ?? {})}`),
    };
    const store = faultyStore(
      this.inner,
      { apply: () => undefined, definitions: new Map() },
      life,
      (n, c) => this.fate(c, n),
      (e) => machine.report(e),
    );
    const plans = { ...DEFAULT_ENGINE_CONFIG.plans, ...o.plans };
    const config = { retention: { enabled: false, maxAgeMs: 0, maxCount: 0, intervalMs: 1 }, ...o.config, plans };
    // What a test needs to begin with is no part of what may fail.
    const { fate } = this;
    this.fate = () => 'ok';
    const engine = await this.wait(Engine.open({ store, host, config }));
    this.engine = engine;
    engine.addResourceKind(this.kind());
    for (const id of this.existing)
      if ((await this.wait(engine.resources.get(id))) === null) await this.wait(engine.resources.create({ id, kind: 'table', body: {} }));
    this.fate = fate;
    const generators = new LocalGeneratorHost({ registerHandlers: () => undefined, timer: (ms, fn) => machine.timer(life, ms, fn) });
    generators.register(types);
    const session = engine.workers.connect(
      { name: 'test', slots: o.slots ?? 1000, hasHandler: () => true },
      {
        assign: (batch) => {
          if (!life.alive) return;
          for (const a of batch) {
            this.running.push(a);
            const outcome = this.ends(JSON.parse(a.input), a);
            if (outcome !== null) this.#answer(a, outcome);
          }
        },
        stop: (s) => {
          const a = this.running.find((r) => r.task === s.task && r.no === s.no);
          if (a !== undefined) this.#answer(a, failure('stopped'));
        },
      },
    );
    this.#answer = (a, outcome) => {
      this.running = this.running.filter((r) => r !== a);
      machine.soon(life, () => session.result({ task: a.task, no: a.no, token: a.token, outcome }));
    };
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
    for (const a of this.running.slice(0, n)) this.#answer(a, outcome);
    await this.machine.settle();
  }

  /** kill -9. */
  kill(): void {
    this.life.alive = false;
  }

  async wait<T>(asked: Promise<T>): Promise<T> {
    let over = false;
    asked.then(
      () => (over = true),
      () => (over = true),
    );
    await this.machine.runUntil(() => over, 3_600_000, 'waiting for an answer');
    return await asked;
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
