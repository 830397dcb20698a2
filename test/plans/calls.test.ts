/** Calls of generators: so many at once, each answered once, stopped and dropped ones hold up nobody. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan } from '../../src/core/plan.ts';
import type { Host } from '../../src/engine/host.ts';
import type { GeneratorHost, PlanAnswer, PlanCall } from '../../src/engine/plan-port.ts';
import { PlanCalls } from '../../src/engine/plans/plan-calls.ts';
import { plan } from '../core/plan-cases.ts';
import { type Life, SimulatedMachine } from '../support/simulated-host.ts';

interface Asked {
  call: PlanCall;
  signal: AbortSignal;
  answer: (a: PlanAnswer) => void;
}

function world(o: { known?: boolean } = {}): { calls: PlanCalls; asked: Asked[]; answered: [number, PlanAnswer][]; machine: SimulatedMachine } {
  const machine = new SimulatedMachine(1);
  const life: Life = { alive: true };
  const asked: Asked[] = [];
  const answered: [number, PlanAnswer][] = [];
  const generators = {
    taskType: () => ({ callTimeoutMs: 1000 }),
    call: (call: PlanCall, signal: AbortSignal) => new Promise<PlanAnswer>((answer) => asked.push({ call, signal, answer })),
  } as unknown as GeneratorHost;
  const calls = new PlanCalls({
    host: { timer: (ms: number, run: () => void) => machine.timer(life, ms, run) } as Host,
    generators: () => (o.known === false ? null : generators),
    answered: (p: Plan, _token: number, a: PlanAnswer) => answered.push([p.id, a]),
    batchOf: () => undefined,
    ran: () => undefined,
  });
  return { calls, asked, answered, machine };
}

const calling = (id: number, token = 1): Plan => plan({ id, token, owner: 7, attempts: 1 });
const DONE: PlanAnswer = { kind: 'done' };

test('64 at once, the others in their order; one that was dropped while it waited is never made, and holds up nobody', async () => {
  const { calls, asked, answered, machine } = world();
  for (let id = 1; id <= 264; id++) calls.start(calling(id));
  assert.equal(asked.length, 64);
  for (let id = 65; id <= 263; id++) calls.drop(id);
  for (const a of asked.slice(0, 64)) a.answer(DONE);
  await machine.settle();
  assert.deepEqual([asked.length, asked.at(-1)?.call.plan, answered.length], [65, 264, 64]);
});

test('a call is not made twice beside itself, before its answer is decided', async () => {
  const { calls, asked, machine } = world();
  calls.start(calling(1));
  calls.start(calling(1));
  asked[0].answer(DONE);
  await machine.settle();
  calls.start(calling(1));
  assert.equal(asked.length, 1);
  calls.finished(1, 1);
  assert.equal(calls.has(1, 1), false);
  calls.start(calling(1, 2));
  assert.deepEqual([asked.length, asked[1].call.token], [2, 2]);
});

test('one that takes too long is told, has a moment to answer, and is answered for; what it says later is dropped', async () => {
  const { calls, asked, answered, machine } = world();
  calls.start(calling(1));
  calls.start(calling(2));
  await machine.advanceBy(999);
  assert.equal(asked[0].signal.aborted, false);
  await machine.advanceBy(1);
  assert.deepEqual([asked[0].signal.aborted, answered], [true, []]);
  // Within its grace an answer is an answer.
  asked[1].answer(DONE);
  await machine.settle();
  await machine.advanceBy(5000);
  assert.deepEqual(answered, [
    [2, DONE],
    [1, { kind: 'failed', message: 'the call took longer than 1000 ms' }],
  ]);
  asked[0].answer(DONE);
  await machine.settle();
  assert.equal(answered.length, 2);
});

test('a stop is for the call with this token only; a dropped one is told, and its answer is nobody’s', async () => {
  const { calls, asked, answered, machine } = world();
  calls.start(calling(1, 5));
  calls.stop(1, 4);
  assert.equal(asked[0].signal.aborted, false);
  calls.stop(1, 5);
  assert.equal(asked[0].signal.aborted, true);
  calls.start(calling(2));
  calls.drop(2);
  assert.equal(asked[1].signal.aborted, true);
  for (const a of asked) a.answer(DONE);
  await machine.settle();
  assert.deepEqual(answered, [[1, DONE]]);
});

test('closed, nothing begins and nothing is answered', async () => {
  const { calls, asked, answered, machine } = world();
  calls.start(calling(1));
  calls.close();
  assert.equal(asked[0].signal.aborted, true);
  asked[0].answer(DONE);
  calls.start(calling(2));
  await machine.settle();
  assert.deepEqual([asked.length, answered], [1, []]);
});

test('without anybody who has the type, and from one that breaks its promise not to throw, the answer is a failure', async () => {
  const nobody = world({ known: false });
  nobody.calls.start(calling(1));
  assert.deepEqual(nobody.answered, [[1, { kind: 'failed', message: 'nobody here has the task type Type' }]]);
  const { calls, answered, asked, machine } = world();
  calls.start(calling(1));
  asked[0].answer(Promise.reject(new Error('boom')) as never);
  await machine.settle();
  assert.deepEqual(answered, [[1, { kind: 'failed', message: 'boom' }]]);
});
