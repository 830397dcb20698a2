/**
 * The world of tasks with tied children: a worker whose handlers spawn, finalize and abort as a script says. Every commit goes to the mirror of
 * families, and every dispatch, spawn and page of children is held against it.
 */
import assert from 'node:assert/strict';
import type { FailurePolicy } from '../../src/core/definition.ts';
import { isTuttiError } from '../../src/core/errors.ts';
import type { TreeElement } from '../../src/core/tree-element.ts';
import type { Assignment, AttemptOutcome, ChildResult, SpawnRequest, StopReason, WorkerSession } from '../../src/engine/worker-port.ts';
import { FamilyMirror, type MirroredTask } from './family-mirror.ts';
import { CANCELLED, COMPLETE, ERROR, type FamilyTraits, IN_PROGRESS, counts, over, showFamily, taskOver } from './family-rules.ts';
import { ProcessKilled } from './faulty-store.ts';
import { MirroredWorld, type MirroredWorldOptions } from './mirrored-world.ts';
import type { Life } from './simulated-host.ts';

/** After this the engine may have given up a handler that ignores its signal. */
const GRACE_MS = 30_000;

export interface FamilyBehaviour {
  what: 'ok' | 'nothing' | 'retryable' | 'permanent' | 'silent';
  delayMs: number;
  onStop: 'obey' | 'ignore';
  /** Asked for one list after the other before it answers; phase run only. */
  spawns?: readonly (readonly SpawnRequest[])[];
  /** Answers though its last spawn has not been answered. */
  hasty?: boolean;
}

export interface FamilyWorldOptions extends MirroredWorldOptions {
  traits: (handler: string) => FamilyTraits;
  script: (a: Assignment, t: MirroredTask) => FamilyBehaviour;
  /** Names of handlers that nobody has. */
  lacks?: (handler: string) => boolean;
}

interface AttemptRecord {
  task: number;
  no: number;
  token: number;
  phase: Assignment['phase'];
  life: number;
  assignment: Assignment;
  behaviour: FamilyBehaviour;
  stoppedAt: number | null;
  stopReason: StopReason | null;
  over: boolean;
  answered: boolean;
}

export class FamilyWorld extends MirroredWorld<MirroredTask> {
  readonly mirror: FamilyMirror;
  readonly o: FamilyWorldOptions;
  readonly records = new Map<string, AttemptRecord>();
  /** Of all dispatches, in order. */
  readonly order: AttemptRecord[] = [];
  spawned = 0;
  finalized = 0;
  aborted = 0;
  #session!: WorkerSession;

  constructor(o: FamilyWorldOptions) {
    super(o);
    this.o = o;
    this.mirror = new FamilyMirror(o.traits);
    this.mirror.returned = (task, no, token) => {
      const r = this.records.get(`${task}/${no}/${token}`);
      return r === undefined || r.over || r.life !== this.lives || (r.stoppedAt !== null && this.machine.now() >= r.stoppedAt + GRACE_MS);
    };
  }

  async boot(): Promise<void> {
    const { machine, o } = this;
    // Attempts of an ended step that were still stopping died with their process; nothing about them needs to be written.
    for (const t of this.mirror.tasks.values()) if (taskOver(t.state)) for (const r of t.rows) if (r.phase !== 2) r.owner = null;
    await this.nextLife();
    const { life } = this;
    const guarded =
      <A>(run: (a: A) => void) =>
      (a: A): void =>
        machine.guard(() => {
          if (life.alive) run(a);
        });
    this.#session = this.engine.workers.connect(
      { name: 'scripted', slots: o.slots, hasHandler: (h) => !(o.lacks?.(h) ?? false), traits: (h) => o.traits(h) },
      { assign: guarded((batch: Assignment[]) => batch.forEach((a) => this.#assign(a))), stop: guarded((s) => this.#stop(s)) },
    );
  }

  /** The worker has other handlers than before. */
  handlersChanged(): void {
    this.#session.handlersChanged();
  }

  async submit(template: string, input: unknown = {}): Promise<string | null> {
    return (await this.submitted(template, () => this.engine.submit({ namespace: 'fixtures', name: template, input })))?.id ?? null;
  }

  async submitTree(elements: readonly TreeElement[], policy: FailurePolicy = 'fail'): Promise<string | null> {
    return (await this.submitted('tree', async () => (await this.engine.submitTree({ elements, policy })).task))?.id ?? null;
  }

  cancelStep(id: string, name: string): Promise<boolean> {
    const { life } = this;
    return this.engine.cancelStep(id, name).then(
      () => {
        if (!life.alive) return true;
        const { rows, facts } = this.task(id);
        this.machine.guard(() => assert.equal(rows[facts.findIndex((f) => f.name === name)].state, CANCELLED, 'a cancel is acknowledged and not durable (I1)'));
        return true;
      },
      (e: unknown) => {
        if (life.alive && !(e instanceof ProcessKilled) && !isTuttiError(e)) this.machine.report(e);
        return false;
      },
    );
  }

  cancel(id: string): Promise<boolean> {
    const { life } = this;
    return this.engine.cancel(id).then(
      () => true,
      (e: unknown) => {
        if (life.alive && !(e instanceof ProcessKilled) && !isTuttiError(e)) this.machine.report(e);
        return false;
      },
    );
  }

  override settled(): boolean {
    for (const t of this.mirror.tasks.values()) {
      const blocked = t.policy === 'block' && t.state === 7 && !t.rows.some((r) => r.owner !== null || (r.rank !== null && !over(r.state)));
      if (!taskOver(t.state) && !blocked) return false;
      for (const r of t.rows) {
        if (r.owner !== null || (r.phase === 2 && (r.rank !== null || r.wakeAt !== null)) || t.aborting.has(r.no)) return false;
        if (!blocked && !over(r.state)) return false;
      }
    }
    return true;
  }

  protected override stuck(): string {
    const open = [...this.mirror.tasks.values()].filter(
      (t) => !taskOver(t.state) || t.rows.some((r) => r.owner !== null || !over(r.state)) || t.aborting.size > 0,
    );
    return `${open.map(showFamily).join(' || ')} | aborting ${open.map((t) => [...t.aborting].join(',')).join(' ')}`;
  }

  check(): void {
    this.checkEnd(() => this.used);
    // What an acknowledged spawn promised is there.
    for (const r of this.order)
      if (r.phase === 'finalize') this.finalized++;
      else if (r.phase === 'abort') this.aborted++;
  }

  /** Attempts that hold a slot. */
  get used(): number {
    let n = 0;
    for (const r of this.records.values()) if (!r.over && r.life === this.lives && !this.#givenUp(r)) n++;
    return n;
  }

  #givenUp(r: AttemptRecord): boolean {
    return r.stoppedAt !== null && this.machine.now() >= r.stoppedAt + GRACE_MS;
  }

  #assign(a: Assignment): void {
    const t = this.mirror.tasks.get(a.task);
    assert.ok(t, `task ${a.task}: its task is not durable (I1)`);
    const row = t.rows[a.no];
    const bad = (what: string): never => assert.fail(`dispatch of step ${a.no} token ${a.token} ${a.phase}: ${what} | ${showFamily(t)}`);
    if (row.token !== a.token || row.owner === null) bad(`durable is token ${row.token} (I1)`);
    if (a.phase === 'abort' ? !over(row.state) : row.state !== IN_PROGRESS && !over(row.state) && row.state !== 4) bad('durable is another state (I1)');
    if (over(row.state) || row.state === 4) {
      // It was told to stop before its inputs were there.
    } else if (['run', 'finalize', 'abort'][row.phase] !== a.phase) bad(`durable is phase ${row.phase}`);
    if (a.phase === 'run' && row.state === IN_PROGRESS && a.attempt !== row.attempts) bad(`attempt ${a.attempt}, counted ${row.attempts} (I6)`);
    if (a.phase !== 'run' && row.phase > 0 && (a.phase === 'abort' || row.state === IN_PROGRESS) && a.attempt !== row.phaseAttempts)
      bad(`attempt ${a.attempt}, counted ${row.phaseAttempts} (I6)`);
    if (a.phase === 'run' && t.ranAs[a.no] > 0) bad('its run returned before');
    const own = t.ranAs[a.no] === 0 ? null : t.payloads.get(`${a.no}/${t.ranAs[a.no]}`);
    if (a.phase !== 'run' && a.own !== own) bad(`own is ${a.own}, not ${own}`);
    const node = t.nodes.some((n) => n.no === a.no);
    assert.equal(a.input, t.payloads.get(node ? `${a.no}/0` : '-1/0'), 'input');
    for (const r of this.records.values()) {
      if (r.task === a.task && r.no === a.no && r.life === this.lives && !r.over && !this.#givenUp(r)) bad(`begins beside token ${r.token}`);
    }
    if (this.used >= this.o.slots) bad('all slots are in use (I8)');
    const key = `${a.task}/${a.no}/${a.token}`;
    if (this.records.has(key)) bad('was dispatched before');
    const record: AttemptRecord = {
      task: a.task,
      no: a.no,
      token: a.token,
      phase: a.phase,
      life: this.lives,
      assignment: a,
      behaviour: this.o.script(a, t),
      stoppedAt: null,
      stopReason: null,
      over: false,
      answered: false,
    };
    this.records.set(key, record);
    this.order.push(record);
    const { life } = this;
    this.#run(record, life).catch((e: unknown) => {
      if (life.alive) this.machine.report(e);
    });
  }

  #after(life: Life, ms: number): Promise<void> {
    return new Promise((resolve) => void this.machine.timer(life, ms, resolve));
  }

  async #run(r: AttemptRecord, life: Life): Promise<void> {
    const { behaviour: b } = r;
    const lists = r.phase === 'run' ? (b.spawns ?? []) : [];
    const wait = Math.floor(b.delayMs / (lists.length + 1));
    for (const [i, children] of lists.entries()) {
      await this.#after(life, wait);
      if (r.over) return;
      const asked = this.#session.spawn({ task: r.task, no: r.no, token: r.token, children }).then(
        (refs) => {
          if (!life.alive) return null;
          this.spawned += refs.length;
          const t = this.mirror.tasks.get(r.task)!;
          children.forEach((c, at) => {
            const name = c.key !== undefined ? `k${c.key}` : `p${c.position}`;
            const no = t.facts.findIndex((f) => f.parent === r.no && f.key === name);
            if (no < 0) assert.fail(`child ${name} of ${r.no} is acknowledged and not durable (I1) | ${showFamily(t)}`);
            assert.equal(refs[at].name, t.facts[no].name);
            if (t.facts[no].asked < r.token) assert.fail(`child ${name} of ${r.no}: asked by ${t.facts[no].asked} | ${showFamily(t)}`);
          });
          return null;
        },
        (e: unknown) => {
          if (!isTuttiError(e)) throw e;
          return e.code;
        },
      );
      if (b.hasty === true && i === lists.length - 1) {
        asked.catch((e: unknown) => {
          if (life.alive && !(e instanceof ProcessKilled)) this.machine.report(e);
        });
        break;
      }
      const refused = await asked;
      if (refused !== null) {
        this.#answer(r, {
          ok: false,
          error: { code: refused.toLowerCase(), message: 'spawn', retryable: refused !== 'SPAWN_MISMATCH' && refused !== 'INVALID_INPUT' },
        });
        return;
      }
    }
    if (r.phase === 'finalize') await this.#readChildren(r, life);
    if (b.what === 'silent') return;
    await this.#after(life, wait);
    this.#answer(r, this.#outcome(r));
  }

  /** What a finalizer sees is how its children ended, each once. */
  async #readChildren(r: AttemptRecord, life: Life): Promise<void> {
    const seen: ChildResult[] = [];
    try {
      for (let from: number | null = 0; from !== null; ) {
        const page: { children: ChildResult[]; next: number | null } = await this.#session.fetchChildren({ task: r.task, no: r.no, from, limit: 3 });
        if (!life.alive || r.over) return;
        seen.push(...page.children);
        from = page.next;
      }
    } catch (e) {
      if (!life.alive) return;
      // The connection is gone for a moment: the handler would fail and be tried again.
      if (e instanceof ProcessKilled || (e as { kind?: string }).kind === 'io') return;
      throw e;
    }
    const t = this.mirror.tasks.get(r.task)!;
    const parent = t.rows[r.no];
    if (over(parent.state)) return;
    const expected = t.rows
      .filter((c) => t.facts[c.no].parent === r.no && t.facts[c.no].tied && counts(t, parent, c, t.ranAs[r.no]))
      .map((c) => [
        t.facts[c.no].name,
        c.state === COMPLETE ? t.payloads.get(`${c.no}/${c.resultToken}`) : c.state === ERROR ? (JSON.parse(c.error!) as { code: string }).code : 'cancelled',
      ]);
    const got = seen.map((c) => [c.name, c.result.state === 'complete' ? c.result.body : c.result.state === 'error' ? c.result.error.code : c.result.state]);
    assert.deepEqual(got, expected, `children of ${r.no} | ${showFamily(t)}`);
  }

  #outcome(r: AttemptRecord): AttemptOutcome {
    const { what } = r.behaviour;
    if (what === 'ok') return { ok: true, body: JSON.stringify({ by: `${r.task}/${r.no}/${r.token}` }) };
    if (what === 'nothing') return { ok: true, body: 'null', empty: true };
    return { ok: false, error: { code: what === 'permanent' ? 'permanent_error' : 'handler_error', message: 'scripted', retryable: what !== 'permanent' } };
  }

  #answer(r: AttemptRecord, outcome: AttemptOutcome): void {
    if (r.over) return;
    r.over = true;
    r.answered = true;
    this.#session.result({ task: r.task, no: r.no, token: r.token, outcome });
  }

  #stop(s: { task: number; no: number; token: number; reason: StopReason }): void {
    const r = this.records.get(`${s.task}/${s.no}/${s.token}`);
    const row = this.mirror.tasks.get(s.task)?.rows[s.no];
    if (s.reason === 'cancelled') assert.ok(row !== undefined && over(row.state), `stop of ${s.task}/${s.no} before it is durable (I1)`);
    if (r === undefined || r.stoppedAt !== null) return;
    r.stoppedAt = this.machine.now();
    r.stopReason = s.reason;
    if (r.behaviour.onStop === 'ignore') return;
    this.machine.soon(this.life, () =>
      this.machine.guard(() => this.#answer(r, { ok: false, error: { code: 'cancelled', message: 'stopped as asked', retryable: true } })),
    );
  }
}
