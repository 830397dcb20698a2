/**
 * One simulated machine: the real engine on a simulated clock, an in-memory SQLite behind the fault injector, a scripted worker, and
 * the mirror that checks every commit. `kill` ends engine and worker at once, `boot` starts the next ones on the same store.
 */
import assert from 'node:assert/strict';
import type { TemplateDefinition } from '../../src/core/definition.ts';
import { isTuttiError } from '../../src/core/errors.ts';
import { Engine } from '../../src/engine/engine.ts';
import { DEFAULT_ENGINE_CONFIG, type EngineConfig, type Host } from '../../src/engine/host.ts';
import type { TaskView } from '../../src/engine/views.ts';
import type { Assignment } from '../../src/engine/worker-port.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { AttemptJournal } from './attempt-journal.ts';
import { CommittedMirror, type MirrorTask, isTaskOver } from './committed-mirror.ts';
import { type FaultPlan, ProcessKilled, faultyStore } from './faulty-store.ts';
import { ScriptedWorker, type Script } from './scripted-worker.ts';
import { type Life, SimulatedMachine } from './simulated-host.ts';

export interface WorldOptions {
  seed: number;
  slots: number;
  script: Script;
  /** Of one life; default: nothing fails. */
  faults?: (life: number) => FaultPlan;
  templates: readonly TemplateDefinition[];
  config?: Partial<EngineConfig>;
  /** Names of handlers that the worker lacks. */
  lacks?: ReadonlySet<string>;
}

const EPOCH = 1_735_689_600_000;
/** The integer key inside a public id, read without the engine's own parser. */
export const keyOf = (uuid: string): number =>
  (Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16) - EPOCH) * 4096 + Number.parseInt(uuid.slice(15, 18), 16);

export class SimulatedWorld {
  readonly machine: SimulatedMachine;
  readonly journal = new AttemptJournal();
  readonly mirror: CommittedMirror;
  readonly inner: SqliteStore;
  readonly o: WorldOptions;
  life: Life = { alive: false };
  lives = 0;
  engine!: Engine;
  worker!: ScriptedWorker;
  store!: ReturnType<typeof faultyStore>;
  /** Submissions that were answered: they may never be lost (I10). */
  readonly acknowledged: { id: string; template: string }[] = [];
  readonly refusals: string[] = [];
  readonly watched: { id: string; life: Life; done: boolean; events: boolean }[] = [];
  readonly dispatches: Assignment[] = [];
  readonly logged: string[] = [];
  repairs = 0;
  commits = 0;
  faults = 0;
  conflicts = 0;

  constructor(o: WorldOptions) {
    this.o = o;
    this.machine = new SimulatedMachine(o.seed);
    this.mirror = new CommittedMirror(this.journal, () => this.machine.now());
    this.inner = SqliteStore.open({ path: ':memory:', now: () => this.machine.now(), tag: 12_345 });
  }

  async boot(): Promise<void> {
    const { machine, o } = this;
    const life: Life = { alive: true };
    this.life = life;
    this.mirror.nextLife();
    const number = this.mirror.life;
    this.lives++;
    this.store = faultyStore(this.inner, this.mirror, life, o.faults?.(number) ?? (() => 'ok'), (e) => machine.report(e));
    let ticks = 0;
    const host: Host = {
      now: () => machine.now(),
      ticks: () => (ticks += 0.01),
      soon: (run) => machine.soon(life, run),
      timer: (ms, run) => machine.timer(life, ms, run),
      random: () => machine.random.next(),
      uuid: () => `00000000-0000-4000-8000-${String(machine.random.int(0, 1e9)).padStart(12, '0')}`,
      log: (level, message, details) => void this.logged.push(`${level} ${message} ${JSON.stringify(details ?? {})}`),
    };
    const opening = Engine.open({ store: this.store, host, config: { ...DEFAULT_ENGINE_CONFIG, ...o.config } });
    let opened = false;
    opening.then(
      () => (opened = true),
      (e: unknown) => {
        if (life.alive) machine.report(e);
      },
    );
    await machine.runUntil(() => opened || !life.alive, 60_000, 'opening the engine');
    this.engine = await opening;
    for (const definition of o.templates) await this.complete(this.engine.register({ definition }), 'register');
    this.worker = new ScriptedWorker({
      machine,
      life,
      number,
      mirror: this.mirror,
      journal: this.journal,
      script: o.script,
      slots: o.slots,
      has: (h) => !(o.lacks?.has(h) ?? false),
      onDispatch: (a) => void this.dispatches.push(a),
    });
    this.worker.connect(this.engine.workers);
  }

  /** kill -9: no timer, no promise, no commit of this life does anything any more. */
  kill(): void {
    if (this.life.alive) this.#count();
    this.life.alive = false;
  }

  #count(): void {
    this.repairs += this.engine.metrics().reconcilerRepairs;
    this.faults += this.store.faults;
    this.conflicts += this.store.conflicts;
  }

  /** Asks for a task; what becomes of it is noted when the answer comes. */
  submit(template: string, input: unknown = {}, more: { priority?: number } = {}): Promise<TaskView | null> {
    const { life } = this;
    return this.engine.submit({ namespace: 'fixtures', name: template, input, ...more }).then(
      (view) => {
        if (!life.alive) return null;
        this.machine.guard(() => {
          assert.ok(this.mirror.tasks.has(keyOf(view.id)), `task ${view.id} is acknowledged and not durable (I1)`);
        });
        this.acknowledged.push({ id: view.id, template });
        return view;
      },
      (e: unknown) => {
        if (life.alive && !(e instanceof ProcessKilled)) {
          if (isTuttiError(e)) this.refusals.push(e.code);
          else this.machine.report(e);
        }
        return null;
      },
    );
  }

  /** What a waiting caller and a subscriber of events see of a task in this life; both must have ended by the end. */
  watch(id: string): void {
    const { life, machine } = this;
    const open = { id, life, done: false, events: false };
    this.watched.push(open);
    const failed = (e: unknown): void => {
      if (life.alive && !(e instanceof ProcessKilled) && !(isTuttiError(e) && e.code === 'STORE_UNAVAILABLE')) machine.report(e);
      open.done = open.events = true;
    };
    this.engine.done(id).then((o) => {
      open.done = true;
      if (life.alive) machine.guard(() => assert.equal(this.task(id).state, o.state, `done() of ${id} says ${o.state} (I1)`));
    }, failed);
    const follow = async (): Promise<void> => {
      let seq = 0;
      let last: string | undefined;
      for await (const e of this.engine.events(id)) {
        if (!life.alive) return;
        if (e.seq === undefined) continue;
        machine.guard(() => {
          assert.equal(e.seq, seq + 1, `events of ${id}`);
          assert.ok(e.seq! < this.task(id).nextSeq, `event ${e.seq} of ${id} is not durable (I1)`);
          assert.equal(last, undefined, `events of ${id} go on after the last`);
        });
        seq = e.seq;
        if (e.last) last = e.data.state as string;
      }
      if (life.alive) machine.guard(() => assert.equal(last, this.task(id).state, `events of ${id} end`));
      open.events = true;
    };
    follow().catch(failed);
  }

  cancel(id: string): Promise<'cancelled' | 'refused' | 'unknown'> {
    const { life } = this;
    const task = this.mirror.tasks.get(keyOf(id));
    if (task !== undefined) task.cancelRequested = true;
    return this.engine.cancel(id, { errorMessage: 'by the test' }).then(
      () => {
        if (life.alive) this.machine.guard(() => assert.equal(this.task(id).state, 'cancelled', 'a cancel is acknowledged and not durable (I1)'));
        return 'cancelled' as const;
      },
      (e: unknown) => {
        if (!life.alive) return 'unknown' as const;
        if (!isTuttiError(e)) this.machine.report(e);
        else if (e.code === 'ILLEGAL_STATE')
          this.machine.guard(() => assert.ok(isTaskOver(this.task(id).state), `cancel of ${id} is refused while it is ${this.task(id).state}`));
        return 'refused' as const;
      },
    );
  }

  task(id: string): MirrorTask {
    const t = this.mirror.tasks.get(keyOf(id));
    assert.ok(t, `task ${id} is gone (I10)`);
    return t;
  }

  /** Runs the machine until this promise has settled. */
  async complete<T>(p: Promise<T>, what: string, limitMs = 600_000): Promise<T> {
    let over = false;
    p.then(
      () => (over = true),
      () => (over = true),
    );
    await this.machine.runUntil(() => over, limitMs, what);
    return p;
  }

  /** Runs until every known task is where it stays. */
  async finish(limitMs = 3_600_000): Promise<void> {
    try {
      await this.machine.runUntil(() => this.settled(), limitMs, 'the end of all tasks');
    } catch (e) {
      throw new Error(`not everything ended: ${this.stuck()} | ${this.logged.slice(-3).join(' | ')}`, { cause: e });
    }
    await this.machine.advanceBy(60_000);
  }

  settled(): boolean {
    for (const t of this.mirror.tasks.values()) {
      if (t.model.outcome === 'live' || !t.arrived) return false;
      if (t.steps.some((s) => s.owner !== null)) return false;
      if (t.model.outcome !== 'blocked' && t.steps.length > 256 && t.steps.some((s) => s.state === 'pending')) return false;
    }
    return true;
  }

  stuck(): string {
    return [...this.mirror.tasks.values()]
      .filter((t) => t.model.outcome === 'live' || t.steps.some((s) => s.owner !== null))
      .slice(0, 3)
      .map(
        (t) =>
          `${t.steps
            .filter((s) => s.owner !== null)
            .map((s) => `step ${s.no} has a live attempt of ${s.owner}`)
            .join(',')} task ${t.id} ${t.state} ${this.mirror.show(t)}`,
      )
      .join(' || ');
  }

  /** What must hold when all is over. */
  check(): void {
    this.machine.throwReported();
    for (const a of this.acknowledged) this.task(a.id);
    this.mirror.assertSettled();
    for (const code of this.refusals) assert.ok(code === 'STORE_UNAVAILABLE' || code === 'BACKPRESSURE', `a submission was refused with ${code}`);
    if (this.life.alive) {
      const m = this.engine.metrics();
      assert.equal(m.slots.used, this.worker.used, 'slots in use and attempts that hold one');
      assert.equal(m.ready, 0, 'ready steps are left');
      for (const w of this.watched) {
        if (w.life !== this.life || !isTaskOver(this.task(w.id).state)) continue;
        assert.ok(w.done, `done() of ${w.id} never answered`);
        assert.ok(w.events, `the events of ${w.id} never ended`);
      }
      this.#count();
    }
    assert.equal(this.conflicts, 0, 'with one owner of the store nothing is ever decided on stale rows (I3)');
    assert.equal(this.repairs, 0, 'the reconciler repaired something');
  }

  close(): void {
    this.life.alive = false;
    void this.inner.close();
  }
}
