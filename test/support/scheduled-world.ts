/** The world of schedules: cron, ticks, and tasks that run until the test lets them go. */
import type { ChangeSet } from '../../src/core/changes.ts';
import type { ScheduleRequest } from '../../src/core/schedule.ts';
import { CronExpressions } from '../../src/cron/cron-expressions.ts';
import type { Engine } from '../../src/engine/engine.ts';
import type { EngineConfig } from '../../src/engine/host.ts';
import type { TickView } from '../../src/engine/schedule-views.ts';
import type { Assignment, AttemptOutcome } from '../../src/engine/worker-port.ts';
import { oneStep, graph, step } from '../engine/engine-setup.ts';
import type { CommitFate } from './faulty-store.ts';
import { HeldWorker } from './held-worker.ts';
import { SimulatedProcess } from './simulated-process.ts';

/** A Sunday, 12:00:00 UTC. */
export const NOON = Date.UTC(2026, 10, 22, 12);
export const MINUTE = 60_000;
const DONE: AttemptOutcome = { ok: true, body: 'null' };

export class ScheduledWorld extends SimulatedProcess {
  readonly worker = new HeldWorker();
  /** Tasks end as soon as they run. */
  atOnce = true;
  /** What becomes of a commit; asked each time. */
  fate: (changes: ChangeSet) => CommitFate = () => 'ok';

  constructor() {
    super({ seed: 1, tag: 7, startAt: NOON });
  }

  /** Attempts that run, oldest first. */
  get running(): readonly Assignment[] {
    return this.worker.running;
  }

  /** Every attempt there was. */
  get assigned(): readonly Assignment[] {
    return this.worker.assigned;
  }

  /** `start` false: as in the moment before templates and handlers are there. */
  async boot(o: { start?: boolean; config?: Partial<EngineConfig> } = {}): Promise<Engine> {
    const { machine } = this;
    const engine = await this.start({
      faults: (_, c) => this.fate(c),
      config: { retention: { enabled: false, maxAgeMs: 0, maxCount: 0, intervalMs: 1 }, ...o.config },
      cron: new CronExpressions(),
      host: (life) => ({
        ticks: () => 0,
        timer: (ms, run) => machine.timer(life, Math.ceil(ms), run),
        random: () => 0.5,
        uuid: () => '00000000-0000-4000-8000-000000000000',
      }),
    });
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
    this.worker.connect({ engine, machine, life: this.life, slots: 1000, begins: () => (this.atOnce ? DONE : null), stopped: DONE });
    if (o.start !== false) engine.scheduling.start();
    await machine.settle();
    return engine;
  }

  /** The oldest attempt that runs ends. */
  async finish(): Promise<void> {
    this.worker.end(this.running[0], DONE);
    await this.machine.settle();
  }

  /** The oldest attempt that runs fails for good. */
  async fail(): Promise<void> {
    this.worker.end(this.running[0], { ok: false, error: { code: 'x', message: 'x', retryable: false } });
    await this.machine.settle();
  }

  wait<T>(asked: Promise<T>): Promise<T> {
    return this.complete(asked, 'waiting for an answer');
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
