/**
 * The world of tasks of templates: a scripted worker that checks every dispatch, the mirror that checks every commit, and callers who watch.
 * `kill` ends engine and worker at once, `boot` starts the next ones on the same store.
 */
import assert from 'node:assert/strict';
import { isTuttiError } from '../../src/core/errors.ts';
import type { TaskView } from '../../src/engine/views.ts';
import type { Assignment } from '../../src/engine/worker-port.ts';
import { AttemptJournal } from './attempt-journal.ts';
import { CommittedMirror, type MirrorTask, isTaskOver } from './committed-mirror.ts';
import { ProcessKilled } from './faulty-store.ts';
import { MirroredWorld, type MirroredWorldOptions, keyOf } from './mirrored-world.ts';
import { ScriptedWorker, type Script } from './scripted-worker.ts';
import type { Life } from './simulated-host.ts';

export interface WorldOptions extends MirroredWorldOptions {
  script: Script;
  /** Names of handlers that the worker lacks. */
  lacks?: ReadonlySet<string>;
}

export class SimulatedWorld extends MirroredWorld<MirrorTask> {
  readonly journal = new AttemptJournal();
  readonly mirror: CommittedMirror;
  readonly o: WorldOptions;
  worker!: ScriptedWorker;
  readonly watched: { id: string; life: Life; done: boolean; events: boolean }[] = [];
  readonly dispatches: Assignment[] = [];

  constructor(o: WorldOptions) {
    super(o);
    this.o = o;
    this.mirror = new CommittedMirror(this.journal, () => this.machine.now());
  }

  async boot(): Promise<void> {
    const { machine, o } = this;
    this.mirror.nextLife();
    await this.nextLife();
    const { life } = this;
    this.worker = new ScriptedWorker({
      machine,
      life,
      number: this.lives,
      mirror: this.mirror,
      journal: this.journal,
      script: o.script,
      slots: o.slots,
      has: (h) => !(o.lacks?.has(h) ?? false),
      onDispatch: (a) => void this.dispatches.push(a),
    });
    this.worker.connect(this.engine.workers);
  }

  submit(template: string, input: unknown = {}, more: { priority?: number } = {}): Promise<TaskView | null> {
    return this.submitted(template, () => this.engine.submit({ namespace: 'fixtures', name: template, input, ...more }));
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

  override settled(): boolean {
    for (const t of this.mirror.tasks.values()) {
      if (t.model.outcome === 'live' || !t.arrived) return false;
      if (t.steps.some((s) => s.owner !== null)) return false;
      if (t.model.outcome !== 'blocked' && t.steps.length > 256 && t.steps.some((s) => s.state === 'pending')) return false;
    }
    return true;
  }

  protected override stuck(): string {
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

  check(): void {
    this.checkEnd(() => this.worker.used);
    for (const code of this.refusals) assert.ok(code === 'STORE_UNAVAILABLE' || code === 'BACKPRESSURE', `a submission was refused with ${code}`);
    if (!this.life.alive) return;
    for (const w of this.watched) {
      if (w.life !== this.life || !isTaskOver(this.task(w.id).state)) continue;
      assert.ok(w.done, `done() of ${w.id} never answered`);
      assert.ok(w.events, `the events of ${w.id} never ended`);
    }
  }
}
