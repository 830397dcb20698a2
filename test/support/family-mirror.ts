/**
 * What the store was told of tasks that grow, kept a second time: every commit is held against the rows it was decided on, and what
 * it leaves against family-rules.ts.
 */
import assert from 'node:assert/strict';
import type { ChangeSet, StepWrite } from '../../src/core/changes.ts';
import type { TemplateDefinition } from '../../src/core/definition.ts';
import type { NodeDefinition } from '../../src/core/node.ts';
import {
  type FamilyFacts,
  type FamilyRow,
  type FamilyTask,
  type FamilyTraits,
  CANCELLED,
  COMPLETE,
  ERROR,
  IN_PROGRESS,
  abortDue,
  checkFamilies,
  over,
  showFamily,
  taskOver,
} from './family-rules.ts';

export interface MirroredTask extends FamilyTask {
  /** Token of the run that returned, by step; 0: none has. */
  ranAs: number[];
  createdAt: number;
  completedAt: number | null;
  priority: number;
  error: string | null;
  total: number;
  nextSeq: number;
  nodes: { no: number; asked: number; body: string }[];
  payloads: Map<string, string>;
  /** Steps that have ended and whose hook has not come to an end. */
  aborting: Set<number>;
  /** Outcomes of abort hooks by step, from the log. */
  aborts: Map<number, string[]>;
}

const INITIALIZING = 1;
const toleratedOf = (p: unknown): number => (p === 'wait_all' ? Number.POSITIVE_INFINITY : typeof p === 'number' ? p : 0);

export class FamilyMirror {
  readonly tasks = new Map<number, MirroredTask>();
  readonly definitions = new Map<number, TemplateDefinition>();
  readonly traits: (handler: string) => FamilyTraits;
  /** Said of an attempt whose owner is still written: may another begin? */
  returned: (task: number, no: number, token: number) => boolean = () => false;
  commits = 0;

  constructor(traits: (handler: string) => FamilyTraits) {
    this.traits = traits;
  }

  apply(c: ChangeSet): void {
    this.commits++;
    const touched = new Set<MirroredTask>();
    for (const id of c.removals) this.tasks.delete(id);
    for (const t of c.tasks) {
      assert.ok(!this.tasks.has(t.id), `task ${t.id} is created twice`);
      const definition = t.template === null ? undefined : this.definitions.get(t.template);
      const number = new Map(definition?.steps.map((s, no) => [s.name, no]));
      const facts = (definition?.steps ?? []).map(
        (s): FamilyFacts => ({
          name: s.name,
          handler: s.handler,
          parent: -1,
          tied: false,
          asked: 0,
          key: null,
          deps: s.dependencies.map((d) => ({ no: number.get(d.name)!, required: d.required })),
          maxAttempts: Math.max(1, s.retry.maxAttempts),
          maxChildren: s.maxChildren ?? 0,
          tolerated: toleratedOf(s.onChildFailure),
          allowFailure: s.allowFailure ?? false,
        }),
      );
      const task: MirroredTask = {
        id: t.id,
        state: t.state,
        policy: t.policy,
        rows: [],
        facts,
        traits: this.traits,
        ranAs: [],
        createdAt: t.createdAt,
        completedAt: t.completedAt,
        priority: t.priority,
        error: t.error,
        total: t.totalSteps,
        nextSeq: 1,
        nodes: [],
        payloads: new Map(),
        aborting: new Set(),
        aborts: new Map(),
      };
      this.tasks.set(t.id, task);
      touched.add(task);
    }
    for (const n of c.nodes) {
      const t = this.#task(n.task);
      assert.equal(n.no, t.facts.length, `task ${t.id}: nodes come in order`);
      const d = JSON.parse(n.body) as NodeDefinition;
      t.nodes.push({ no: n.no, asked: n.asked, body: n.body });
      t.facts.push({
        name: d.name,
        handler: d.handler,
        parent: d.parent ?? -1,
        tied: d.tied === true,
        asked: n.asked,
        key: d.key !== undefined ? `k${d.key}` : d.position === undefined ? null : `p${d.position}`,
        deps: (d.deps ?? []).map(([no, required]) => ({ no, required })),
        maxAttempts: Math.max(1, d.retry?.maxAttempts ?? 3),
        maxChildren: d.maxChildren ?? 0,
        tolerated: toleratedOf(d.onChildFailure),
        allowFailure: d.allowFailure ?? false,
      });
    }
    for (const n of c.nodeUpdates) {
      const t = this.#task(n.task);
      t.facts[n.no].asked = n.asked;
      t.nodes.find((x) => x.no === n.no)!.asked = n.asked;
    }
    for (const p of c.payloads) {
      const t = this.#task(p.task);
      const key = `${p.no}/${p.token}`;
      assert.ok(!t.payloads.has(key), `payload ${p.task}/${key} is written twice (I4)`);
      t.payloads.set(key, p.body);
    }
    for (const w of c.steps) {
      const t = this.#task(w.task);
      touched.add(t);
      this.#step(t, w);
    }
    for (const r of c.releases) {
      const row = this.#task(r.task).rows[r.no];
      if (row?.token === r.token) row.owner = null;
    }
    for (const u of c.taskUpdates) {
      const t = this.#task(u.id);
      touched.add(t);
      assert.equal(t.state, u.fromState, `task ${u.id} is updated from a state it is not in (I3)`);
      assert.ok(!taskOver(u.fromState) || u.state === u.fromState, `terminal task ${u.id} is changed (I5)`);
      Object.assign(t, { state: u.state, completedAt: u.completedAt, error: u.error });
    }
    for (const p of c.taskPatches) {
      const t = this.#task(p.id);
      if (p.totalSteps !== undefined) t.total = p.totalSteps;
      if (p.priority !== undefined) t.priority = p.priority;
    }
    for (const l of c.log) {
      const t = this.#task(l.task);
      assert.equal(l.seq, t.nextSeq, `task ${l.task}: the log skips or repeats (I3)`);
      const items = JSON.parse(l.body) as [string, number, number, string][];
      assert.equal(items.length, l.count, `task ${l.task}: log row ${l.seq} miscounts`);
      t.nextSeq += l.count;
      for (const [kind, no, , outcome] of items) {
        if (kind !== 'a' || !outcome.startsWith('abort')) continue;
        t.aborts.set(no, [...(t.aborts.get(no) ?? []), outcome]);
        if (outcome === 'aborted' || outcome === 'abort_failed') t.aborting.delete(no);
      }
    }
    for (const t of touched) {
      if (t.state !== INITIALIZING) assert.equal(t.total, t.facts.length, `task ${t.id}: total_steps`);
      if (t.rows.length === t.facts.length) checkFamilies(t, (no) => t.ranAs[no]);
    }
  }

  #task(id: number): MirroredTask {
    const t = this.tasks.get(id);
    assert.ok(t, `a row of the unknown task ${id} is written`);
    return t;
  }

  #step(t: MirroredTask, w: StepWrite): void {
    const at = (): string => `task ${t.id} step ${w.no} (${t.facts[w.no]?.name}) | ${showFamily(t)}`;
    if (w.insert) {
      assert.equal(w.no, t.rows.length, `rows arrive in order: ${at()}`);
      t.rows.push({ ...blank, no: w.no });
      t.ranAs.push(0);
    }
    const old = t.rows[w.no];
    if (!w.insert && (old.token !== w.fromToken || old.state !== w.fromState))
      assert.fail(`decided on token ${w.fromToken} state ${w.fromState} (I3): ${at()}`);
    if (w.token < old.token || w.token > old.token + 1) assert.fail(`token ${old.token} -> ${w.token}: ${at()}`);
    if (w.abortOnly === true && !w.insert) {
      if (!over(old.state)) assert.fail(`abortOnly of a live step: ${at()}`);
      if (w.token > old.token) this.#begins(t, old, at);
      Object.assign(old, { token: w.token, phase: w.phase, phaseAttempts: w.phaseAttempts, owner: w.owner, rank: w.rank, wakeAt: w.wakeAt });
      // Who was to run it has no hook.
      if (w.phase !== 2) {
        if (this.traits(t.facts[w.no].handler).abort) assert.fail(`its hook is forgone: ${at()}`);
        t.aborting.delete(w.no);
      }
      return;
    }
    if (over(old.state) && (w.state !== old.state || w.error !== old.error || w.reason !== old.reason))
      assert.fail(`was terminal, becomes ${w.state} (I5): ${at()}`);
    const folder = t.facts[w.no].handler === '';
    if (w.token > old.token && !folder) {
      if (w.owner === null && w.state === IN_PROGRESS) assert.fail(`begins without an owner: ${at()}`);
      this.#begins(t, old, at);
      if (w.state === IN_PROGRESS && w.phase === 0) {
        if (w.attempts !== old.attempts + 1) assert.fail(`an attempt is not counted (I6): ${at()}`);
        if (t.ranAs[w.no] > 0) assert.fail(`run begins again after it returned: ${at()}`);
      } else if (w.attempts !== old.attempts) assert.fail(`attempts change without an attempt (I6): ${at()}`);
    } else if (w.attempts !== old.attempts) assert.fail(`attempts change without an attempt (I6): ${at()}`);
    if (w.resultToken > 0 && t.ranAs[w.no] === 0) t.ranAs[w.no] = w.resultToken;
    if (w.resultToken > 0 && !t.payloads.has(`${w.no}/${w.resultToken}`)) assert.fail(`result ${w.resultToken} is nowhere: ${at()}`);
    if (t.ranAs[w.no] > 0 && w.resultToken === 0) assert.fail(`forgets what its run returned: ${at()}`);
    if (w.state !== COMPLETE && w.resultToken !== 0 && w.resultToken !== t.ranAs[w.no]) assert.fail(`result ${w.resultToken} is not its run's: ${at()}`);
    const ends = over(w.state) && !over(old.state);
    Object.assign(old, {
      state: w.state,
      token: w.token,
      attempts: w.attempts,
      phase: w.phase,
      phaseAttempts: w.phaseAttempts,
      owner: w.owner,
      rank: w.rank,
      wakeAt: w.wakeAt,
      startedAt: w.startedAt,
      firstStartedAt: w.firstStartedAt,
      finishedAt: w.finishedAt,
      reason: w.reason,
      error: w.error,
      resultToken: w.resultToken,
    });
    if (ends && (w.state === CANCELLED || w.state === ERROR) && w.phase === 2) t.aborting.add(w.no);
    if (w.state === CANCELLED && t.facts[w.no].tied && abortDue(t, old) && w.phase !== 2) assert.fail(`its hook is not asked for: ${at()}`);
  }

  #begins(t: MirroredTask, old: FamilyRow, at: () => string): void {
    if (old.owner !== null && !this.returned(t.id, old.no, old.token)) assert.fail(`a new attempt begins beside the live one: ${at()}`);
  }

  /** At the end of a run: everything is where it stays. */
  assertSettled(): void {
    for (const t of this.tasks.values()) {
      const blocked = t.policy === 'block' && t.state === 7;
      if (!taskOver(t.state) && !blocked) assert.fail(`task never ended | ${showFamily(t)}`);
      for (const r of t.rows) {
        if (r.owner !== null) assert.fail(`step ${r.no}: an attempt was never ended | ${showFamily(t)}`);
        if (!blocked && !over(r.state)) assert.fail(`step ${r.no} never ended | ${showFamily(t)}`);
        if (r.phase === 2 && (r.rank !== null || r.wakeAt !== null)) assert.fail(`step ${r.no}: its hook was never run | ${showFamily(t)}`);
      }
      for (const no of t.aborting) assert.fail(`step ${no}: its hook came to no end | ${showFamily(t)}`);
    }
  }
}

const blank: Omit<FamilyRow, 'no'> = {
  state: 0,
  token: 0,
  attempts: 0,
  phase: 0,
  phaseAttempts: 0,
  owner: null,
  rank: null,
  wakeAt: null,
  startedAt: null,
  firstStartedAt: null,
  finishedAt: null,
  reason: null,
  error: null,
  resultToken: 0,
};
