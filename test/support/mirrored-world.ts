/**
 * A simulated process whose every commit goes to a mirror, which holds it against rules of its own. Here is what such worlds promise alike: what
 * was acknowledged is durable and stays (I1, I10), everything ends, and nothing was decided on stale rows or had to be repaired.
 */
import assert from 'node:assert/strict';
import type { TemplateDefinition } from '../../src/core/definition.ts';
import { isTuttiError } from '../../src/core/errors.ts';
import type { EngineConfig } from '../../src/engine/host.ts';
import { type FaultPlan, type Mirror, ProcessKilled } from './faulty-store.ts';
import { SimulatedProcess } from './simulated-process.ts';

export interface MirroredWorldOptions {
  seed: number;
  slots: number;
  templates: readonly TemplateDefinition[];
  /** Of one life; default: nothing fails. */
  faults?: (life: number) => FaultPlan;
  config?: Partial<EngineConfig>;
}

const EPOCH = 1_735_689_600_000;
/** The integer key inside a public id, read without the engine's own parser. */
export const keyOf = (uuid: string): number =>
  (Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16) - EPOCH) * 4096 + Number.parseInt(uuid.slice(15, 18), 16);

export abstract class MirroredWorld<Task> extends SimulatedProcess {
  abstract readonly mirror: Mirror & { readonly tasks: ReadonlyMap<number, Task>; assertSettled(): void };
  /** Submissions that were answered: they may never be lost. */
  readonly acknowledged: { id: string; template: string }[] = [];
  readonly refusals: string[] = [];
  lives = 0;
  faults = 0;
  #repairs = 0;
  #conflicts = 0;
  readonly #o: MirroredWorldOptions;

  constructor(o: MirroredWorldOptions) {
    super({ seed: o.seed, tag: 12_345 });
    this.#o = o;
  }

  /** The next life: an engine that has the templates, and no worker yet. */
  protected async nextLife(): Promise<void> {
    const { faults, config, templates } = this.#o;
    this.lives++;
    await this.start({ faults: faults?.(this.lives), mirror: this.mirror, config });
    for (const definition of templates) await this.complete(this.engine.register({ definition }), 'register');
  }

  override kill(): void {
    if (this.life.alive) this.#count();
    super.kill();
  }

  #count(): void {
    this.#repairs += this.engine.metrics().reconcilerRepairs;
    this.faults += this.store.faults;
    this.#conflicts += this.store.conflicts;
  }

  /** Asks for a task; what becomes of it is noted when the answer comes. Null: it was refused, or nobody knows. */
  protected async submitted<V extends { id: string }>(template: string, ask: () => Promise<V>): Promise<V | null> {
    const { life } = this;
    try {
      const view = await ask();
      if (!life.alive) return null;
      this.machine.guard(() => assert.ok(this.mirror.tasks.has(keyOf(view.id)), `task ${view.id} is acknowledged and not durable (I1)`));
      this.acknowledged.push({ id: view.id, template });
      return view;
    } catch (e) {
      if (!life.alive || e instanceof ProcessKilled) return null;
      if (isTuttiError(e)) this.refusals.push(e.code);
      else this.machine.report(e);
      return null;
    }
  }

  task(id: string): Task {
    const t = this.mirror.tasks.get(keyOf(id));
    assert.ok(t, `task ${id} is gone (I10)`);
    return t;
  }

  /** Is every known task where it stays? */
  abstract settled(): boolean;

  /** What is not, for people to read. */
  protected abstract stuck(): string;

  async finish(limitMs = 3_600_000): Promise<void> {
    try {
      await this.machine.runUntil(() => this.settled(), limitMs, 'the end of all tasks');
    } catch (e) {
      throw new Error(`not everything ended: ${this.stuck()} | ${this.logged.slice(-3).join(' | ')}`, { cause: e });
    }
    await this.machine.advanceBy(60_000);
    // What was asked for during an outage may have come only now.
    if (!this.settled()) await this.finish(limitMs);
  }

  /** What must hold when all is over; `used`: attempts that hold a slot by the count of the world's own worker. */
  protected checkEnd(used: () => number): void {
    this.machine.throwReported();
    for (const a of this.acknowledged) this.task(a.id);
    this.mirror.assertSettled();
    if (this.life.alive) {
      const m = this.engine.metrics();
      assert.equal(m.slots.used, used(), 'slots in use and attempts that hold one');
      assert.equal(m.ready, 0, 'ready steps are left');
      this.#count();
    }
    assert.equal(this.#conflicts, 0, 'with one owner of the store nothing is ever decided on stale rows (I3)');
    assert.equal(this.#repairs, 0, `the reconciler repaired something: ${this.logged.filter((l) => l.includes('reconciler')).join(' | ')}`);
  }

  close(): void {
    this.life.alive = false;
    void this.inner.close();
  }
}
