/**
 * What all simulated worlds stand on: a machine with its clock, an in-memory SQLite that outlives every process, and one engine after the other
 * on it, behind the fault injector. `start` begins the next process, `kill` ends it at once. What runs attempts, what is expected of the rows and
 * what a test may ask belong to each world.
 */
import type { Cron } from '../../src/core/schedule-ticks.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { EngineConfig, Host } from '../../src/engine/host.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { type FaultPlan, type FaultyStore, type Mirror, deafMirror, faultyStore } from './faulty-store.ts';
import { type Life, SimulatedMachine } from './simulated-host.ts';

export class SimulatedProcess {
  readonly machine: SimulatedMachine;
  readonly inner: SqliteStore;
  readonly logged: string[] = [];
  life: Life = { alive: false };
  engine!: Engine;
  store!: FaultyStore;

  constructor(o: { seed: number; tag: number; startAt?: number }) {
    this.machine = new SimulatedMachine(o.seed, o.startAt);
    this.inner = SqliteStore.open({ path: ':memory:', now: () => this.machine.now(), tag: o.tag });
  }

  /** The next process opens the store. Default: nothing fails, nobody hears of commits. `host`: what of the machine is otherwise in this world. */
  protected async start(o: {
    faults?: FaultPlan;
    mirror?: Mirror;
    config?: Partial<EngineConfig>;
    cron?: Cron;
    host?: (life: Life) => Partial<Host>;
  }): Promise<Engine> {
    const { machine } = this;
    const life: Life = { alive: true };
    this.life = life;
    this.store = faultyStore(this.inner, o.mirror ?? deafMirror(), life, o.faults ?? (() => 'ok'), (e) => machine.report(e));
    let ticks = 0;
    const host: Host = {
      now: () => machine.now(),
      ticks: () => (ticks += 0.01),
      soon: (run) => machine.soon(life, run),
      timer: (ms, run) => machine.timer(life, ms, run),
      random: () => machine.random.next(),
      uuid: () => `00000000-0000-4000-8000-${String(machine.random.int(0, 1e9)).padStart(12, '0')}`,
      log: (level, message, details) => void this.logged.push(`${level} ${message} ${JSON.stringify(details ?? {})}`),
      ...o.host?.(life),
    };
    this.engine = await this.complete(Engine.open({ store: this.store, host, config: o.config, cron: o.cron }), 'opening the engine');
    return this.engine;
  }

  /** kill -9: no timer, no promise, no commit of this life does anything any more. */
  kill(): void {
    this.life.alive = false;
  }

  /** What was asked for, while the machine goes on. */
  async complete<T>(asked: Promise<T>, what: string, limitMs = 600_000): Promise<T> {
    let over = false;
    asked.then(
      () => (over = true),
      () => (over = true),
    );
    await this.machine.runUntil(() => over, limitMs, what);
    return await asked;
  }
}
