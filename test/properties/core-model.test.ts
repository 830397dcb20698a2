import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { FailurePolicy, TemplateDefinition } from '../../src/core/definition.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { graph } from '../support/template-fixtures.ts';
import { CoreDriver } from './core-driver.ts';
import { type ModelOutcome, runNaively } from './naive-model.ts';

const arbGraph: fc.Arbitrary<TemplateDefinition> = fc.integer({ min: 1, max: 12 }).chain((n) =>
  fc
    .record({
      policy: fc.constantFrom<FailurePolicy>('fail', 'fail_fast', 'block', 'record'),
      deadline: fc.option(fc.constant(60_000), { nil: undefined, freq: 5 }),
      steps: fc.tuple(
        ...Array.from({ length: n }, (_, i) =>
          fc.record({
            after:
              i === 0
                ? fc.constant<{ no: number; required: boolean }[]>([])
                : fc.uniqueArray(fc.record({ no: fc.nat(i - 1), required: fc.boolean() }), { maxLength: 3, selector: (d) => d.no }),
            allowFailure: fc.boolean(),
            allow: fc.nat(5),
            retryable: fc.boolean(),
            hasRetries: fc.nat(4),
            maxAttempts: fc.nat(3),
          }),
        ),
      ),
    })
    .map(({ policy, deadline, steps }) =>
      graph(
        'random',
        steps.map((s, i) => ({
          name: `s${i}`,
          after: s.after.map((d) => `s${d.no}${d.required ? '' : '?'}`),
          ...(s.allowFailure && s.allow === 0 ? { allowFailure: true } : {}),
          retry: { maxAttempts: s.maxAttempts, retryable: s.retryable || s.hasRetries > 0 },
        })),
        { policy, ...(deadline === undefined ? {} : { deadlineMs: deadline }) },
      ),
    ),
);

const arbOutcome = fc.constantFrom<ModelOutcome>('ok', 'ok', 'ok', 'ok', 'retryable', 'permanent');
/** What each attempt of each step does: row by step, column by attempt. */
const arbScript = fc.array(fc.array(arbOutcome, { minLength: 4, maxLength: 4 }), { minLength: 12, maxLength: 12 });
/** Soak runs look longer. */
const LONGER = process.env.TUTTI_SOAK === undefined ? 1 : 40;
type Draw = () => number;
const arbSeed = fc.integer({ min: 0, max: 2 ** 31 - 1 });

const drawer = (seed: number): Draw => {
  const random = new SeededRandom(seed);
  return () => random.next();
};
const of = (draw: Draw, items: readonly number[]): number => items[Math.floor(draw() * items.length)];

test('undisturbed, any order of starts and results ends where the model says', () => {
  fc.assert(
    fc.property(arbGraph, arbScript, arbSeed, (definition, script, seed) => {
      const draw = drawer(seed);
      const d = new CoreDriver({ ...definition, deadlineMs: undefined });
      for (let turn = 0; !d.over && turn < 500; turn++) {
        d.now += Math.floor(draw() * 50);
        for (const no of [...d.graph.live.keys()]) if (draw() < 0.5) d.answer(no, d.graph.live.get(no)!.token, script[no][d.graph.attempts[no] - 1]);
        // A `fail_fast` task may have ended meanwhile: what is still live then is only stopping.
        d.wake();
        for (const no of [...d.graph.ready.keys()]) if (draw() < 0.5) d.start(no);
        d.commit();
        if (d.graph.live.size === 0 && d.graph.ready.size === 0 && d.graph.retryAt.size === 0) break;
      }
      const { model } = d.task;
      assert.notEqual(model.outcome, 'live', d.mirror.show(d.task));
      if (definition.policy === 'fail_fast' && model.failedForGood()) return;
      const naive = runNaively(model.task, (no, attempt) => script[no][attempt - 1]);
      assert.deepEqual(
        { state: model.state, reason: model.reason, attempts: model.attempts, outcome: model.outcome },
        { state: naive.state, reason: naive.reason, attempts: naive.attempts, outcome: naive.outcome },
      );
    }),
    { numRuns: 1_500 * LONGER },
  );
});

test('late and duplicate results, timeouts, cancels, deadlines, refused commits and crashes leave what the model says', () => {
  fc.assert(
    fc.property(arbGraph, arbScript, arbSeed, (definition, script, seed) => {
      const draw = drawer(seed);
      const d = new CoreDriver(definition);
      const old: { no: number; token: number }[] = [];
      for (let turn = 0; turn < 400; turn++) {
        d.now += draw() < 0.05 ? 20_000 : Math.floor(draw() * 50);
        const refuse = draw() < 0.1;
        const before = d.journal.order.map((r) => ({ answer: r.answer, over: r.over }));
        for (const no of [...d.graph.live.keys()]) {
          const { token } = d.graph.live.get(no)!;
          const dice = draw();
          if (dice < 0.45) {
            d.answer(no, token, script[no][d.graph.attempts[no] - 1]);
            old.push({ no, token });
            if (draw() < 0.3) d.answer(no, token, 'ok');
          }
        }
        if (old.length > 0 && draw() < 0.3) {
          const stale = old[Math.floor(draw() * old.length)];
          d.answer(stale.no, stale.token, of(draw, [0, 1]) === 0 ? 'ok' : 'permanent');
        }
        if (draw() < 0.02) d.cancel();
        d.wake();
        d.expire();
        for (const [no, live] of [...d.graph.live]) {
          if (live.stopping) {
            if (draw() < 0.1) d.abandon(no);
          } else if (draw() < 0.05 && d.definition.steps[no].timeoutMs !== undefined) d.timeout(no);
        }
        if (refuse) {
          d.forget();
          d.journal.order.forEach((r, i) => Object.assign(r, before[i]));
          continue;
        }
        d.commit();
        // Starts are a turn of their own here, so that a refused turn above never spends a token that the journal has seen.
        for (const no of [...d.graph.ready.keys()]) if (draw() < 0.5) d.start(no);
        d.commit();
        if (draw() < 0.05) d.crash();
        if (d.graph.live.size === 0 && d.graph.ready.size === 0 && d.graph.retryAt.size === 0) break;
      }
      d.mirror.assertSettled();
    }),
    { numRuns: 1_500 * LONGER },
  );
});

test('a timed out attempt keeps its place until it returns or is given up; no other begins beside it', () => {
  const timed = graph('timed', [
    { name: 's0', timeoutMs: 1000, retry: { maxAttempts: 3 } },
    { name: 's1', after: ['s0'] },
  ]);
  fc.assert(
    fc.property(arbSeed, (seed) => {
      const draw = drawer(seed);
      const d = new CoreDriver(timed);
      for (let turn = 0; turn < 200; turn++) {
        d.now += Math.floor(draw() * 900);
        for (const [no, live] of [...d.graph.live]) {
          const dice = draw();
          if (live.stopping) {
            if (dice < 0.3) d.abandon(no);
            else if (dice < 0.5) d.answer(no, live.token, 'ok');
          } else if (d.now >= live.startedAt + 1000 && no === 0) d.timeout(no);
          else if (dice < 0.2) d.answer(no, live.token, 'ok');
        }
        d.wake();
        for (const no of [...d.graph.ready.keys()]) d.start(no);
        d.commit();
        if (draw() < 0.03) d.crash();
        if (d.graph.live.size === 0 && d.graph.ready.size === 0 && d.graph.retryAt.size === 0) break;
      }
      d.mirror.assertSettled();
    }),
    { numRuns: 500 * LONGER },
  );
});

test('ending a graph of 2,000 steps by implication leaves the rows the model says, whenever a crash comes', () => {
  for (const policy of ['fail', 'fail_fast'] as const) {
    for (const crashAfter of [0, 1, 5, 1000]) {
      const names = Array.from({ length: 2_000 }, (_, i) => `p${i}`);
      const wide = graph('wide', [{ name: 'first', retry: { maxAttempts: 1 } }, ...names.map((name) => ({ name, after: ['first'] }))], { policy });
      const d = new CoreDriver(wide);
      assert.ok(d.graph.arriving >= 0, 'it arrives in chunks');
      d.arriveAll();
      d.start(0);
      d.commit();
      d.answer(0, 1, 'permanent');
      d.commit();
      assert.equal(d.task.state, 'error');
      if (crashAfter === 0) d.crash();
      for (let i = 0; d.graph.debts.length > 0; i++) {
        d.payDebts(100);
        if (i === crashAfter) d.crash();
      }
      d.mirror.assertSettled();
      const cancelled = d.task.steps.filter((s) => s.state === 'cancelled' && s.reason === 'dependency_failed');
      assert.equal(cancelled.length, 2_000);
    }
  }
});
