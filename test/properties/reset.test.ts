/**
 * Trees of random steps that fail, are cancelled, reset and crash in random order: the graph is always what its rows say, nothing starts
 * before what it needs (I7) or beside itself, no live child has a parent that ended (I5), and once nothing fails any more a reset brings
 * the task to its end.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { finishAttempt, startStep } from '../../src/core/decide-attempt.ts';
import { cancelOne } from '../../src/core/decide-step.ts';
import { TuttiError } from '../../src/core/errors.ts';
import type { TaskGraph } from '../../src/core/graph.ts';
import { type NewNode, spawn } from '../../src/core/grow.ts';
import type { NodeDefinition } from '../../src/core/node.ts';
import { REOPENED_AT_ONCE, goOnReopening } from '../../src/core/reopening.ts';
import { resetStep, resetTask } from '../../src/core/reset.ts';
import { edgeRequired, edgeStep } from '../../src/core/shape.ts';
import { isStepSuccessful, isStepTerminal } from '../../src/core/step-states.ts';
import { CoreTask, coreStep } from '../support/core-task.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const retry = { ...coreStep('x').retry };

function randomTree(r: SeededRandom): NewNode[] {
  const size = r.int(1, 10);
  const nodes: NewNode[] = [];
  for (let no = 0; no < size; no++) {
    const parent = no > 0 && r.chance(0.5) ? r.int(0, no - 1) : undefined;
    const tied = parent !== undefined && r.chance(0.6);
    const deps = new Map<number, boolean>();
    // A tied child that waited for its parent would wait for ever, and so would what its parent waits for.
    if (!tied) for (let i = r.int(0, 2); i > 0 && no > 0; i--) deps.set(r.int(0, no - 1), r.chance(0.6));
    for (let at = parent; at !== undefined; at = nodes[at].definition.parent) deps.delete(at);
    const definition: NodeDefinition = {
      name: `s${no}`,
      handler: r.pick(['plain', 'final', 'abort', 'both', '']),
      retry: r.chance(0.2) ? { ...retry, maxAttempts: 2, baseMs: 1000 } : retry,
      ...(parent === undefined ? {} : { parent }),
      ...(tied ? { tied: true } : {}),
      ...(deps.size === 0 ? {} : { deps: [...deps] }),
      ...(r.chance(0.2) ? { onChildFailure: r.pick(['wait_all', 1, 'fail_fast'] as const) } : {}),
      ...(r.chance(0.1) ? { allowFailure: true } : {}),
      ...(r.chance(0.2) ? { maxChildren: 1 } : {}),
    };
    nodes.push({ definition, inputs: '{}' });
  }
  return nodes;
}

const traits = { final: { finalize: true }, abort: { abort: true }, both: { finalize: true, abort: true } };

function checkStart(g: TaskGraph, no: number): void {
  assert.ok(!g.live.has(no), `s${no} starts beside itself`);
  if (g.phaseOf(no) === 2) return;
  for (const e of g.shape.deps[no]) {
    const state = g.state[edgeStep(e)];
    assert.ok(edgeRequired(e) ? isStepSuccessful(state) : isStepTerminal(state), `${g.shape.names[no]} starts before ${g.shape.names[edgeStep(e)]} (I7)`);
  }
}

function checkFates(g: TaskGraph): void {
  for (let no = 0; no < g.size; no++) {
    const parent = g.tiedTo(no);
    if (parent >= 0 && !isStepTerminal(g.state[no]))
      assert.ok(!isStepTerminal(g.state[parent]), `${g.shape.names[no]} lives on below a parent that ended (I5)`);
  }
  if (g.taskState >= 8) for (let no = 0; no < g.size; no++) assert.ok(isStepTerminal(g.state[no]), 'a task that ended has a live step (I5)');
}

function run(seed: number): { resets: number; refused: number; parts: number; state: string } {
  const r = new SeededRandom(seed);
  const policy = r.pick(['fail', 'fail', 'fail_fast', 'block'] as const);
  const t = new CoreTask({ nodes: randomTree(r) }, { policy, traits });
  let trouble = 0.35;
  let resets = 0;
  let refused = 0;
  let parts = 0;
  let cancels = 0;
  const reset = (step: number | null): void => {
    const before = t.graph.taskState;
    const atOnce = r.chance(0.5) ? r.int(1, 4) : REOPENED_AT_ONCE;
    const n = t.turn((out, g) => (step === null ? resetTask(out, g, atOnce) : resetStep(out, g, step, atOnce)));
    if (n instanceof TuttiError) {
      refused++;
      assert.equal(t.graph.taskState, before);
    } else {
      resets++;
      assert.ok(n > 0);
      if (t.graph.reopening !== null) parts++;
      writeTheRest();
    }
  };
  const start = (): void => {
    const [no] = r.pick([...t.graph.ready]);
    checkStart(t.graph, no);
    t.turn((out, g) => startStep(out, g, no));
  };
  /** Of a reset in parts. Whatever was ready before it may start meanwhile, and the process may die; what it ran is lost afterwards. */
  const writeTheRest = (): void => {
    let died = false;
    while (t.graph.reopening !== null) {
      checkFates(t.graph);
      if (r.chance(0.2)) {
        t.graph = t.load();
        died = true;
      }
      if (!died && t.graph.ready.size > 0 && r.chance(0.2)) start();
      t.turn((out, g) => goOnReopening(out, g, r.int(1, 4)));
    }
    if (died) t.crash();
  };
  const end = (): void => {
    const [no, a] = r.pick([...t.graph.live]);
    const parent = no;
    if (a.phase === 0 && !a.stopping && r.chance(0.2) && t.graph.size < 25 && t.graph.shape.rules[no].handler !== '') {
      const key = `k${r.int(0, 2)}`;
      t.turn((out, g) =>
        spawn(out, g, parent, a.token, [
          { definition: { name: `${g.shape.names[parent]}.${key}`, handler: 'plain', parent, tied: true, key, retry }, inputs: '{}' },
        ]),
      );
      return;
    }
    const ok = !r.chance(trouble);
    t.turn((out, g) =>
      finishAttempt(out, g, no, a.token, ok ? { ok: true, body: '1' } : { ok: false, error: { code: 'boom', message: 'boom', retryable: r.chance(0.3) } }),
    );
  };
  for (let i = 0; i < 150; i++) {
    const dice = r.next();
    if (dice < 0.04) t.crash();
    else if (dice < 0.1) reset(r.chance(0.5) ? null : r.int(0, t.graph.size - 1));
    else if (dice < 0.11 && t.graph.taskState < 8) {
      t.turn((out, g) => void (cancelOne(out, g, r.int(0, g.size - 1), 'by the test') && cancels++));
    } else if (dice < 0.5 && t.graph.ready.size > 0) start();
    else if (t.graph.live.size > 0) end();
    else if (t.graph.ready.size > 0) start();
    else if (t.graph.retryAt.size > 0) t.wake();
    else if (t.graph.taskState >= 8) reset(null);
    checkFates(t.graph);
  }
  // Nothing fails from here on.
  trouble = 0;
  for (let i = 0; i < 2000; i++) {
    if (t.graph.ready.size > 0) start();
    else if (t.graph.live.size > 0) end();
    else if (t.graph.retryAt.size > 0) t.wake();
    else if (t.graph.taskState === 9 || t.graph.taskState === 7) {
      const left = refused;
      reset(null);
      if (refused > left) break;
    } else break;
    checkFates(t.graph);
  }
  assert.ok(t.graph.taskState >= 8, `seed ${seed}: the task stands still as ${t.task}: ${JSON.stringify(t.states)}`);
  if (cancels === 0) assert.equal(t.task, 'complete', `seed ${seed}: ${JSON.stringify(t.states)}`);
  void t.store.close();
  return { resets, refused, parts, state: t.task };
}

const SEEDS = Number(process.env.TUTTI_SEEDS ?? 120);
const FIRST = Number(process.env.TUTTI_FIRST_SEED ?? 1);
test(`${SEEDS} tasks that are reset at random`, () => {
  let resets = 0;
  let parts = 0;
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    try {
      const facts = run(seed);
      resets += facts.resets;
      parts += facts.parts;
    } catch (e) {
      throw new Error(`seed ${seed}: ${e instanceof Error ? e.message : String(e)}`, { cause: e });
    }
  }
  assert.ok(resets > SEEDS / 2, `${resets} resets`);
  assert.ok(parts > SEEDS / 10, `${parts} resets in parts`);
});
