/** The real engine with its scheduler on a simulated clock. Tasks run until the test lets them go. */
import type { ChangeSet } from '../../src/core/changes.ts';
import type { ScheduleRequest } from '../../src/core/schedule.ts';
import { CronExpressions } from '../../src/cron/cron-expressions.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { EngineConfig, Host } from '../../src/engine/host.ts';
import type { TickView } from '../../src/engine/schedule-views.ts';
import type { Assignment, AttemptOutcome } from '../../src/engine/worker-port.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import type { Store } from '../../src/store/store.ts';
import { oneStep, graph, step } from '../engine/engine-setup.ts';
import { type CommitFate, faultyStore } from './faulty-store.ts';
import { type Life, SimulatedMachine } from './simulated-host.ts';

/** A Sunday, 12:00:00 UTC. */
export const NOON = Date.UTC(2026, 10, 22, 12);
export const MINUTE = 60_000;

export class ScheduledWorld {
  readonly machine = new SimulatedMachine(1, NOON);
  readonly inner = SqliteStore.open({ path: ':memory:', now: () => this.machine.now(), tag: 7 });
  readonly logged: string[] = [];
  life: Life = { alive: false };
  engine!: Engine;
  store!: Store;
  /** Attempts that run, oldest first. */
  running: Assignment[] = [];
  /** Every attempt there was. */
  assigned: Assignment[] = [];
  /** Tasks end as soon as they run. */
  atOnce = true;
  /** What becomes of a commit; asked each time. */
  fate: (changes: ChangeSet) => CommitFate = () => 'ok';
  #end: (a: Assignment, outcome?: AttemptOutcome) => void = () => undefined;

  /** `start` false: as in the moment before templates and handlers are there. */
  async boot(o: { start?: boolean; config?: Partial<EngineConfig> } = {}): Promise<Engine> {
    const life: Life = { alive: true };
    this.life = life;
    this.running = [];
    const { machine } = this;
    const host: Host = {
      now: () => machine.now(),
      ticks: () => 0,
      soon: (run) => machine.soon(life, run),
      timer: (ms, run) => machine.timer(life, Math.ceil(ms), run),
      random: () => 0.5,
      uuid: () => '00000000-0000-4000-8000-000000000000',
      log: (level, message, details) => void this.logged.push(`${level} ${message} ${JSON.stringify(details ?? {})}`),
    };
    const mirror = { apply: () => undefined, definitions: new Map() };
    this.store = faultyStore(
      this.inner,
      mirror,
      life,
      (_, c) => this.fate(c),
      (e) => machine.report(e),
    );
    const engine = await this.wait(
      Engine.open({
        store: this.store,
        host,
        config: { retention: { enabled: false, maxAgeMs: 0, maxCount: 0, intervalMs: 1 }, ...o.config },
        cron: new CronExpressions(),
      }),
    );
    this.engine = engine;
    await this.wait(engine.register(oneStep('job')));
    await this.wait(engine.register(oneStep('other')));
    await this.wait(
      engine.register(
        graph(
          'big',
          Array.from({ length: 1_200 }, (_, i) => step(`s${i}`)),
        ),
      ),
    );
    const session = engine.workers.connect(
      { name: 'test', slots: 1000, hasHandler: () => true },
      {
        assign: (batch) => {
          for (const a of batch) {
            this.assigned.push(a);
            this.running.push(a);
            if (this.atOnce) this.#end(a);
          }
        },
        stop: (s) => {
          const a = this.running.find((r) => r.task === s.task && r.no === s.no);
          if (a !== undefined) this.#end(a);
        },
      },
    );
    this.#end = (a, outcome = { ok: true, body: 'null' }) => {
      this.running = this.running.filter((r) => r !== a);
      machine.soon(life, () => session.result({ task: a.task, no: a.no, token: a.token, outcome }));
    };
    if (o.start !== false) engine.scheduling.start();
    await machine.settle();
    return engine;
  }

  /** The oldest attempt that runs ends. */
  async finish(): Promise<void> {
    this.#end(this.running[0]);
    await this.machine.settle();
  }

  /** The oldest attempt that runs fails for good. */
  async fail(): Promise<void> {
    this.#end(this.running[0], { ok: false, error: { code: 'x', message: 'x', retryable: false } });
    await this.machine.settle();
  }

  /** kill -9. */
  kill(): void {
    this.life.alive = false;
  }

  /** What the engine answers, while the machine goes on. */
  async wait<T>(asked: Promise<T>): Promise<T> {
    let over = false;
    asked.then(
      () => (over = true),
      () => (over = true),
    );
    await this.machine.runUntil(() => over, 10 * MINUTE, 'waiting for an answer');
    return await asked;
  }

  put(r: Partial<ScheduleRequest> & { key: string }): Promise<unknown> {
    return this.wait(this.engine.schedules.put({ target: { kind: 'template', namespace: 't', name: 'job' }, ...r }));
  }

  /** Oldest first. */
  async ticks(key: string): Promise<TickView[]> {
    return (await this.engine.schedules.ticks(key)).reverse();
  }

  /** `12:01 fired`, oldest first. */
  async history(key: string): Promise<string[]> {
    return (await this.ticks(key)).map(
      (t) => `${new Date(t.at).toISOString().slice(11, t.at % MINUTE === 0 ? 16 : 19)} ${t.state}${t.reason === null ? '' : ` ${t.reason}`}`,
    );
  }

  async close(): Promise<void> {
    this.fate = () => 'ok';
    if (this.life.alive) await this.wait(this.engine.stop({ drainMs: 0 }));
    await this.inner.close();
  }
}
