/**
 * Random templates with decisions and batches on the real engine: simulated time, commits that fail, kills. Held against a naive model:
 * which steps exist, how each ended, that none began too early (I7), and that nothing is stuck. Seeds 1..150 by default; TUTTI_SEEDS=n
 * runs that many, TUTTI_SEED=n replays one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FailurePolicy, TemplateDefinition } from '../../src/core/definition.ts';
import { isTuttiError } from '../../src/core/errors.ts';
import { DEFAULT_ENGINE_CONFIG, type EngineConfig } from '../../src/engine/host.ts';
import type { StepView } from '../../src/engine/views.ts';
import type { Assignment, WorkerSession } from '../../src/engine/worker-port.ts';
import { type Ended, entryOf, expectedOf } from '../support/branching-model.ts';
import { answerOf, branchingTemplate } from '../support/branching-template.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import type { Life } from '../support/simulated-host.ts';
import { SimulatedProcess } from '../support/simulated-process.ts';

const POLICIES: readonly FailurePolicy[] = ['fail', 'fail', 'block', 'fail_fast', 'record'];

interface Facts {
  tasks: number;
  attempts: number;
  faults: number;
  kills: number;
  resets: number;
  decisions: number;
  workers: number;
  notTaken: number;
  ends: Record<string, number>;
}

class World extends SimulatedProcess {
  readonly seed: number;
  readonly templates: TemplateDefinition[];
  readonly config: Partial<EngineConfig>;
  readonly trouble: number;
  readonly faultRate: number;
  readonly tasks: { id: string; template: TemplateDefinition; cancelled: boolean; reset: boolean }[] = [];
  readonly running = new Map<string, Assignment>();
  readonly begun = new Set<string>();
  /** What handlers were told was not taken. */
  readonly toldAbsent: { id: string; name: string }[] = [];
  readonly facts: Facts = { tasks: 0, attempts: 0, faults: 0, kills: 0, resets: 0, decisions: 0, workers: 0, notTaken: 0, ends: {} };
  #random: SeededRandom;

  constructor(seed: number) {
    super({ seed, tag: 12_345 });
    this.seed = seed;
    const r = (this.#random = new SeededRandom(seed));
    this.templates = Array.from({ length: 3 }, (_, i) => branchingTemplate(`t${i}`, r.fork(), r.pick(POLICIES)));
    this.trouble = r.pick([0, 0.1, 0.25, 0.5]);
    this.faultRate = r.pick([0, 0.02, 0.1]);
    this.config = r.chance(0.3)
      ? { turn: { ...DEFAULT_ENGINE_CONFIG.turn, maxRows: r.int(2, 20) } }
      : r.chance(0.3)
        ? { cache: { maxSteps: r.int(1, 30), payloadBytes: r.int(100, 2000) } }
        : {};
  }

  async boot(): Promise<void> {
    const { machine } = this;
    this.running.clear();
    const faults = this.#random.fork();
    await this.start({
      faults: () => (faults.chance(this.faultRate) ? faults.pick(['busy', 'refused', 'lost', 'applied'] as const) : 'ok'),
      config: this.config,
    });
    const { life } = this;
    for (const definition of this.templates) await this.complete(this.engine.register({ definition }), 'registering');
    const session: WorkerSession = this.engine.workers.connect(
      { name: 'drawn', slots: this.#random.int(2, 8), hasHandler: () => true },
      {
        assign: (all) => machine.guard(() => all.forEach((a) => this.#run(a, session, life))),
        stop: (s) => {
          const a = this.running.get(`${s.task}/${s.no}/${s.token}`);
          if (a !== undefined)
            machine.soon(life, () => this.#answer(a, session, { ok: false, error: { code: 'cancelled', message: 'stopped', retryable: true } }));
        },
      },
    );
  }

  override kill(): void {
    this.#count();
    super.kill();
    this.facts.kills++;
  }

  #count(): void {
    this.facts.faults += this.store.faults;
    assert.equal(this.store.conflicts, 0, 'decided on stale rows (I3)');
    assert.equal(this.engine.metrics().reconcilerRepairs, 0, 'the reconciler repaired something');
  }

  #run(a: Assignment, session: WorkerSession, life: Life): void {
    if (!life.alive) return;
    const template = this.templates.find((t) => t.name === a.template.name)!;
    const key = `${a.task}/${a.no}/${a.token}`;
    assert.ok(!this.begun.has(key), `${key} is begun twice`);
    this.begun.add(key);
    this.facts.attempts++;
    this.#checkStart(a, template);
    this.running.set(key, a);
    this.#checkParallelism(a, template);
    const drawn = answerOf(template, entryOf(template, a.stepName).name, [this.seed, a.task, a.no, a.token], this.trouble);
    const r = new SeededRandom(this.seed * 31 + this.begun.size);
    this.machine.timer(life, r.chance(0.3) ? 0 : r.int(1, 200), () =>
      this.machine.guard(() =>
        this.#answer(
          a,
          session,
          drawn.ok
            ? { ok: true, body: JSON.stringify(drawn.result) }
            : { ok: false, error: { code: 'drawn', message: 'it was drawn', retryable: drawn.retryable } },
        ),
      ),
    );
  }

  #answer(a: Assignment, session: WorkerSession, outcome: Parameters<WorkerSession['result']>[0]['outcome']): void {
    if (!this.running.delete(`${a.task}/${a.no}/${a.token}`)) return;
    session.result({ task: a.task, no: a.no, token: a.token, outcome });
  }

  /** Every required dependency is complete or not taken, every optional one over (I7). */
  #checkStart(a: Assignment, template: TemplateDefinition): void {
    const at = `${template.name} ${a.stepName} of ${a.taskId}`;
    const declared = entryOf(template, a.stepName).dependencies;
    for (const dep of declared)
      assert.ok(
        a.dependencies.some((d) => d.name === dep.name),
        `${at}: is not given ${dep.name}`,
      );
    for (const [name, required, result] of a.results ?? []) {
      if (result.state === 'not_taken') this.toldAbsent.push({ id: a.taskId, name });
      else if (required) assert.equal(result.state, 'complete', `${at}: ${name} (I7)`);
      else assert.ok(result.state !== 'cancelled' || result.reason !== 'not_ended', `${at}: ${name} has not ended (I7)`);
    }
  }

  #checkParallelism(a: Assignment, template: TemplateDefinition): void {
    const pattern = entryOf(template, a.stepName);
    if (pattern.type !== 'batch_worker') return;
    const most = template.steps.find((s) => s.batch?.workerTemplate === pattern.name)!.batch!.parallelism;
    const now = [...this.running.values()].filter((o) => o.task === a.task && entryOf(template, o.stepName) === pattern).length;
    assert.ok(now <= most, `${now} workers of ${pattern.name} at once, ${most} are allowed (I8)`);
  }

  async submit(): Promise<void> {
    const template = this.#random.pick(this.templates);
    try {
      const view = await this.complete(this.engine.submit({ namespace: 'fixtures', name: template.name, input: {} }), 'submitting');
      this.tasks.push({ id: view.id, template, cancelled: false, reset: false });
    } catch (e) {
      if (!isTuttiError(e) || e.code !== 'STORE_UNAVAILABLE') throw e;
    }
  }

  async #reset(task: World['tasks'][number]): Promise<void> {
    try {
      await this.complete(this.engine.reset(task.id), 'resetting');
    } catch (e) {
      assert.ok(isTuttiError(e), String(e));
      // A commit that failed may have been applied all the same.
      if (e.code !== 'STORE_UNAVAILABLE') return;
    }
    task.reset = true;
    this.facts.resets++;
  }

  async run(): Promise<Facts> {
    const r = this.#random.fork();
    const killRate = r.pick([0, 0.01, 0.03]);
    await this.boot();
    for (let n = r.int(2, 6); n > 0; n--) await this.submit();
    let [begun, quiet] = [0, 0];
    for (let round = 0; round < 2_000 && quiet < 60; round++) {
      for (let i = r.int(1, 4); i > 0; i--) await this.machine.stepOnce();
      if (r.chance(killRate)) {
        this.kill();
        await this.boot();
      }
      if (r.chance(0.003) && this.tasks.length > 0) {
        const task = r.pick(this.tasks);
        task.cancelled = true;
        await this.complete(
          this.engine.cancel(task.id).catch((e: unknown) => assert.ok(isTuttiError(e), String(e))),
          'cancelling',
        );
      }
      if (r.chance(0.02) && this.tasks.length > 0) await this.#reset(r.pick(this.tasks));
      if (r.chance(0.5)) this.machine.fireNext();
      quiet = this.begun.size === begun && this.running.size === 0 ? quiet + 1 : 0;
      begun = this.begun.size;
    }
    // Nothing fails any more: whatever is still to come must come by itself.
    await this.machine.advanceBy(600_000);
    this.machine.throwReported();
    await this.#check();
    // And is the same for a process that knows nothing but the store.
    this.kill();
    await this.boot();
    await this.machine.advanceBy(120_000);
    this.facts.ends = {};
    Object.assign(this.facts, { tasks: 0, decisions: 0, workers: 0, notTaken: 0 });
    await this.#check();
    this.#count();
    return this.facts;
  }

  async #check(): Promise<void> {
    assert.equal(this.running.size, 0, 'handlers are running');
    for (const task of this.tasks) {
      const steps = await this.complete(this.engine.steps(task.id, { results: true, includeNotTaken: true } as never), 'steps');
      const view = await this.complete(this.engine.task(task.id), 'task');
      const line = (): string =>
        steps
          .map(
            (s) => `${s.name}(${s.dependencies.map((d) => d.name + (d.required ? '' : '?')).join(',')}):${s.state}${s.reason === null ? '' : `/${s.reason}`}`,
          )
          .join(' ');
      try {
        this.#checkTask(task, steps, view.state);
        assert.equal(view.totalSteps, steps.filter((s) => s.state !== 'not_taken' && s.state !== 'undecided').length, 'total');
      } catch (e) {
        throw new Error(`task ${task.id} (${task.template.name}, ${task.template.policy}) is ${view.state}: ${(e as Error).message} | ${line()}`, { cause: e });
      }
      this.facts.tasks++;
      this.facts.ends[view.state] = (this.facts.ends[view.state] ?? 0) + 1;
    }
  }

  #checkTask(task: World['tasks'][number], steps: readonly StepView[], state: string): void {
    const { template } = task;
    const isOver = ['complete', 'error', 'cancelled', 'blocked_by_failures'].includes(state);
    assert.ok(isOver, 'it is stuck');
    const blocked = state === 'blocked_by_failures';
    const there = new Map<string, Ended>();
    for (const s of steps) {
      if (s.state === 'not_taken' || s.state === 'undecided') {
        assert.ok(blocked || s.state === 'not_taken', `${s.name} is still undecided`);
        assert.equal(s.attempts, 0, `${s.name} does not exist and has run`);
        this.facts.notTaken++;
      } else there.set(s.name, { state: s.state, reason: s.reason, result: s.result ?? null });
      if (s.type === 'decision' && s.state === 'complete') this.facts.decisions++;
      if (s.type === 'batch_worker' && s.state === 'complete') this.facts.workers++;
    }
    const expected = expectedOf(template, there, task.reset ? there.keys() : []);
    assert.deepEqual([...there.keys()].sort(), [...expected.exist].sort(), 'the steps that exist');
    for (const t of this.toldAbsent)
      if (t.id === task.id && !task.reset) assert.ok(!there.has(t.name), `${t.name} exists, and somebody was told it was not taken`);
    // Who was first decides what a cancel or fail_fast meets.
    const inOrder = !task.cancelled && template.policy !== 'fail_fast';
    let unhandled = 0;
    for (const [name, { state: is, reason }] of there) {
      const entry = entryOf(template, name);
      const deps = expected.deps.get(name)!;
      const unmet = deps.filter((d) => d.required && there.get(d.name)!.state !== 'complete');
      if (is === 'complete' || is === 'error')
        assert.deepEqual(
          unmet.map((d) => d.name),
          [],
          `${name} ran without them (I7)`,
        );
      if (is === 'error') {
        const dependants = [...expected.deps.values()].flatMap((list) => list.filter((d) => d.name === name));
        const handled = entry.allowFailure === true || (dependants.length > 0 && dependants.every((d) => !d.required));
        if (!handled) unhandled++;
      }
      if (!inOrder) {
        assert.ok(['complete', 'error', 'cancelled'].includes(is), `${name} is ${is}`);
        continue;
      }
      const siblings = [...there].filter(([other]) => other !== name && entry.type === 'batch_worker' && entryOf(template, other) === entry);
      const maker = template.steps.find((s) => s.batch?.workerTemplate === entry.name);
      const mayFollow = maker?.batch?.failureStrategy === 'fail_fast' && siblings.some(([, s]) => s.state === 'error');
      if (is === 'complete' || is === 'error') continue;
      if (is === 'cancelled' && mayFollow) assert.equal(reason, 'sibling_failed', name);
      else if (is === 'cancelled')
        assert.ok(unmet.length > 0 && reason === 'dependency_failed', `${name} is cancelled (${reason}), and nothing it needs failed`);
      else {
        assert.ok(blocked && is === 'pending', `${name} is ${is}`);
        const open = entry.dependencies.some((d) => steps.some((o) => o.name === d.name && o.state === 'undecided'));
        assert.ok(
          open ||
            deps.some((d) => !['complete', 'error', 'cancelled'].includes(there.get(d.name)!.state) || (d.required && there.get(d.name)!.state === 'error')),
          `${name} waits for nothing`,
        );
      }
    }
    if (!inOrder) return;
    const failed = template.policy === 'block' ? 'blocked_by_failures' : 'error';
    assert.equal(state, unhandled > 0 ? failed : 'complete', `${unhandled} failures are not handled`);
  }
}

async function branchingRun(seed: number): Promise<Facts> {
  const world = new World(seed);
  try {
    return await world.run();
  } finally {
    world.life.alive = false;
    void world.inner.close();
  }
}

const one = process.env.TUTTI_SEED;
const many = Number(process.env.TUTTI_SEEDS ?? 150);
const first = Number(process.env.TUTTI_FIRST_SEED ?? 1);

test(one === undefined ? `${many} seeds of decisions and batches: what exists, how it ended, and nothing is stuck` : `seed ${one}`, {
  timeout: 3_600_000,
}, async (t) => {
  if (one !== undefined) {
    t.diagnostic(JSON.stringify(await branchingRun(Number(one))));
    return;
  }
  const sums: Omit<Facts, 'ends'> = { tasks: 0, attempts: 0, faults: 0, kills: 0, resets: 0, decisions: 0, workers: 0, notTaken: 0 };
  const ends: Record<string, number> = {};
  for (let seed = first; seed < first + many; seed++) {
    try {
      const facts = await branchingRun(seed);
      for (const k of Object.keys(sums) as (keyof typeof sums)[]) sums[k] += facts[k];
      for (const [state, n] of Object.entries(facts.ends)) ends[state] = (ends[state] ?? 0) + n;
    } catch (e) {
      throw new Error(
        `seed ${seed} failed; replay it with TUTTI_SEED=${seed} node --conditions=tutti-source --test test/properties/branches-in-engine.test.ts`,
        { cause: e },
      );
    }
  }
  t.diagnostic(`${JSON.stringify(sums)} ${JSON.stringify(ends)}`);
  if (many < 100) return;
  assert.ok(
    sums.faults > 100 && sums.kills > many && sums.resets > 50 && sums.decisions > 100 && sums.workers > 100 && sums.notTaken > 100,
    JSON.stringify(sums),
  );
  for (const state of ['complete', 'error', 'cancelled', 'blocked_by_failures']) assert.ok(ends[state] > 0, `some task ended ${state}`);
});
