/** Reset: what failed and what depends on it runs again, and nothing else (design.md §2; spec/apflow.md §4.7). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Decisions } from '../../src/core/decisions.ts';
import { cancelOne } from '../../src/core/decide-step.ts';
import { TuttiError } from '../../src/core/errors.ts';
import type { TaskGraph } from '../../src/core/graph.ts';
import type { NewNode } from '../../src/core/grow.ts';
import { spawn } from '../../src/core/grow.ts';
import type { NodeDefinition } from '../../src/core/node.ts';
import { resetStep, resetTask } from '../../src/core/reset.ts';
import { CoreTask, coreStep as step } from '../support/core-task.ts';

const done = (n: number | TuttiError): number => {
  if (n instanceof TuttiError) throw n;
  return n;
};
const reset = (t: CoreTask, name?: string): number =>
  t.turn((out: Decisions, g: TaskGraph) => done(name === undefined ? resetTask(out, g) : resetStep(out, g, t.no(name))));
const refused = (t: CoreTask, name?: string): TuttiError => {
  const e = t.turn((out, g) => (name === undefined ? resetTask(out, g) : resetStep(out, g, t.no(name))));
  assert.ok(e instanceof TuttiError, 'it was not refused');
  assert.equal(e.code, 'ILLEGAL_STATE');
  return e;
};
const child = (name: string, o: Partial<NodeDefinition> = {}): NewNode => ({
  definition: { name, handler: 'child', parent: 0, tied: true, retry: { ...step('x').retry }, ...o },
  inputs: '{}',
});
const spawned = (t: CoreTask, parent: string, ...names: string[]): void => {
  const no = t.no(parent);
  t.turn((out, g) => {
    const nodes = names.map((n) => child(n, { parent: no, key: n }));
    assert.ok(spawn(out, g, no, g.live.get(no)!.token, nodes).every((s) => s.ok));
  });
};

test('a failed task runs again what failed and what depended on it; complete steps keep their results', () => {
  const t = new CoreTask([step('a'), step('b', ['a']), step('c', ['b']), step('d', ['a'])]);
  t.runAll(['b']);
  assert.deepEqual(t.states, { a: 'complete', b: 'error', c: 'cancelled/dependency_failed', d: 'complete' });
  assert.equal(t.task, 'error');
  const token = t.graph.token[1];
  assert.equal(reset(t), 2);
  assert.deepEqual(t.states, { a: 'complete', b: 'pending', c: 'pending', d: 'complete' });
  assert.equal(t.task, 'steps_in_process');
  assert.deepEqual(t.changes.deadLetterClosings, [{ task: 4096, at: t.now, resolution: 'reset' }]);
  assert.equal(t.graph.attempts[1], 0);
  assert.equal(t.graph.token[1], token, 'the token never goes back');
  assert.equal(t.graph.failure, null);
  assert.deepEqual(t.runAll(), ['b', 'c']);
  assert.equal(t.task, 'complete');
  assert.equal(t.graph.token[1], token + 1);
});

test('the move of the task is one commit: error, reset, and what it is then', () => {
  const t = new CoreTask([step('a')]);
  t.runAll(['a']);
  reset(t);
  const body = JSON.parse(t.changes.log[0].body) as unknown[][];
  assert.deepEqual(body[0], ['r', -1, 1]);
  assert.equal(body[1][0], 's');
  assert.deepEqual(body.at(-1)?.slice(0, 3), ['t', 3, [0, 1, 2]]);
});

test('complete steps run again when what they depend on does, over optional edges too', () => {
  const t = new CoreTask([step('a'), step('fallback', ['a?']), step('after', ['fallback']), step('other')]);
  t.runAll(['a']);
  assert.equal(t.task, 'complete', 'a failure that is handled');
  const u = new CoreTask([step('a'), step('fallback', ['a?']), step('after', ['fallback']), step('bad'), step('other')]);
  u.runAll(['a', 'bad']);
  assert.equal(u.task, 'error');
  assert.equal(reset(u), 4);
  assert.deepEqual(u.states, { a: 'pending', fallback: 'pending', after: 'pending', bad: 'pending', other: 'complete' });
  assert.equal(u.graph.resultToken(1), u.graph.token[1]);
  assert.deepEqual(u.runAll().sort(), ['a', 'after', 'bad', 'fallback']);
  assert.equal(u.task, 'complete');
});

test('what a person cancelled stays, and so does what cannot run without it', () => {
  const t = new CoreTask([step('a'), step('b'), step('needs-a', ['a']), step('needs-both', ['needs-a', 'b']), step('free')]);
  t.turn((out, g) => assert.ok(cancelOne(out, g, 0, 'no')));
  t.runAll(['b', 'free']);
  assert.equal(t.task, 'error');
  assert.equal(reset(t), 2);
  assert.deepEqual(t.states, {
    a: 'cancelled/by_request',
    b: 'pending',
    'needs-a': 'cancelled/dependency_failed',
    'needs-both': 'cancelled/dependency_failed',
    free: 'pending',
  });
  t.runAll();
  assert.equal(t.task, 'complete');
});

test('one step: the others that failed stay failed, and the task fails by them again', () => {
  const t = new CoreTask([step('a'), step('b'), step('both', ['a', 'b']), step('after-a', ['a'])]);
  t.runAll(['a', 'b']);
  assert.equal(reset(t, 'a'), 2);
  assert.deepEqual(t.states, { a: 'pending', b: 'error', both: 'cancelled/dependency_failed', 'after-a': 'pending' });
  assert.match(t.graph.failure ?? '', /step b: /);
  assert.deepEqual(t.runAll(), ['a', 'after-a']);
  assert.equal(t.task, 'error');
  assert.match(t.graph.failure ?? '', /step b: /);
  assert.equal(reset(t, 'b'), 2);
  assert.deepEqual(t.runAll(), ['b', 'both']);
  assert.equal(t.task, 'complete');
});

test('a cancelled dependant is reset once what it needs has not failed any more; before that the refusal names it', () => {
  const t = new CoreTask([step('a'), step('b', ['a'])]);
  t.runAll(['a']);
  const e = refused(t, 'b');
  assert.match(e.message, /b cannot run while a \(error\) stays/);
  assert.equal(e.details?.blocked_by, 'a');
});

test('refusals say the state and what is legal', () => {
  const t = new CoreTask([step('a'), step('b')]);
  assert.deepEqual(refused(t).details, { state: 'enqueuing_steps', legal: ['cancel', 'patch', 'copy', 'archive'] });
  assert.deepEqual(refused(t, 'a').details, { state: 'pending', legal: ['cancel'] });
  t.runAll();
  assert.deepEqual(refused(t).details, { state: 'complete', legal: ['purge', 'copy', 'link', 'archive'] });
  assert.deepEqual(refused(t, 'a').details?.state, 'complete');
  const batch = new CoreTask([step('a')], { policy: 'record' });
  batch.runAll(['a']);
  assert.match(refused(batch).message, /batch of a plan/);
  assert.deepEqual(refused(batch).details?.legal, ['purge', 'copy', 'archive']);
});

test('a live task: the failed step runs again beside the others, and the task never passes an end', () => {
  const t = new CoreTask([step('a'), step('b', ['a']), step('slow')]);
  t.startAll();
  t.fail('a');
  assert.equal(t.task, 'steps_in_process');
  assert.equal(reset(t), 2);
  assert.equal(t.changes.deadLetterClosings.length, 0);
  assert.equal(t.graph.unhandled, 0);
  assert.deepEqual(t.startAll(), ['a']);
  t.ok('a');
  t.ok('slow');
  t.runAll();
  assert.equal(t.task, 'complete');
});

test('policy block: from blocked_by_failures on, without an end between', () => {
  const t = new CoreTask([step('a'), step('b', ['a'])], { policy: 'block' });
  t.runAll(['a']);
  assert.equal(t.task, 'blocked_by_failures');
  assert.equal(reset(t), 1);
  assert.equal(t.task, 'steps_in_process');
  assert.deepEqual(t.runAll(), ['a', 'b']);
  assert.equal(t.task, 'complete');
});

test('policy fail_fast: what ended with the task runs again, also when one step is reset; running handlers are waited for', () => {
  const t = new CoreTask([step('a'), step('running'), step('later', ['running'])], { policy: 'fail_fast' });
  t.startAll();
  t.fail('a');
  assert.equal(t.task, 'error');
  assert.deepEqual(t.states, { a: 'error', running: 'cancelled/task_ended', later: 'cancelled/task_ended' });
  assert.equal(t.graph.live.get(1)?.stopping, true);
  assert.equal(reset(t, 'a'), 3);
  assert.deepEqual(t.states, { a: 'pending', running: 'pending', later: 'pending' });
  assert.deepEqual(t.startAll(), ['a'], 'no attempt beside a live one');
  t.return('running');
  assert.deepEqual(t.startAll(), ['running']);
  t.ok('a');
  t.ok('running');
  t.runAll();
  assert.equal(t.task, 'complete');
});

test('a crash while a reset step still waits for its old handler', () => {
  const t = new CoreTask([step('a'), step('running')], { policy: 'fail_fast' });
  t.startAll();
  t.fail('a');
  reset(t);
  t.crash();
  assert.deepEqual(t.runAll(), ['a', 'running']);
  assert.equal(t.task, 'complete');
});

test('a dependant that has begun on what failed is told to stop and begins anew', () => {
  const t = new CoreTask([step('a'), step('b', ['a?'])]);
  t.startAll();
  t.fail('a');
  t.startAll();
  assert.equal(t.states.b, 'in_progress');
  assert.equal(reset(t, 'a'), 2);
  assert.deepEqual(
    t.out.stops.map((s) => s.no),
    [1],
  );
  assert.deepEqual(t.states, { a: 'pending', b: 'pending' });
  t.return('b');
  assert.deepEqual(t.runAll(), ['a', 'b']);
  assert.equal(t.task, 'complete');
});

test('a dependant that is ready and has not begun waits again', () => {
  const t = new CoreTask([step('a'), step('b', ['a?'])]);
  t.startAll();
  t.fail('a');
  assert.deepEqual([...t.graph.ready.keys()], [1]);
  assert.equal(reset(t, 'a'), 1);
  assert.deepEqual([...t.graph.ready.keys()], [0]);
  assert.deepEqual(t.runAll(), ['a', 'b']);
});

test('a parent that failed by a child goes back to waiting, with what its run returned; its siblings run again', () => {
  const t = new CoreTask([step('p'), step('after', ['p'])], { traits: { p: { finalize: true } } });
  t.startAll();
  spawned(t, 'p', 'x', 'y', 'z');
  t.ok('p', '"own"');
  const own = t.graph.resultToken(0);
  t.startAll();
  t.ok('z');
  t.fail('x');
  assert.equal(t.task, 'error');
  assert.deepEqual(t.states, { p: 'error', after: 'cancelled/dependency_failed', x: 'error', y: 'cancelled/sibling_failed', z: 'complete' });
  t.return('y');
  assert.equal(reset(t), 4);
  assert.deepEqual(t.states, { p: 'waiting_for_children', after: 'pending', x: 'pending', y: 'pending', z: 'complete' });
  assert.equal(t.graph.resultToken(0), own);
  assert.equal(t.graph.families.get(0)?.failed, 0);
  t.crash();
  assert.deepEqual(t.runAll(), ['x', 'y', 'p', 'after']);
  assert.equal(t.task, 'complete');
  assert.equal(t.graph.attempts[0], 1, 'its run was not run again');
});

test('reset of the child alone reopens the parent and the siblings that ended with it', () => {
  const t = new CoreTask([step('p')]);
  t.startAll();
  spawned(t, 'p', 'x', 'y');
  t.ok('p', '"own"');
  t.startAll();
  t.fail('x');
  t.return('y');
  assert.equal(reset(t, 'x'), 3);
  assert.deepEqual(t.states, { p: 'waiting_for_children', x: 'pending', y: 'pending' });
  t.runAll();
  assert.equal(t.task, 'complete');
});

test('a parent whose run failed runs again and adopts its children', () => {
  const t = new CoreTask([step('p')]);
  t.startAll();
  spawned(t, 'p', 'x', 'y');
  t.startAll();
  t.ok('x');
  t.fail('p');
  assert.deepEqual(t.states, { p: 'error', x: 'complete', y: 'cancelled/parent_failed' });
  t.return('y');
  assert.equal(reset(t), 2);
  assert.deepEqual(t.states, { p: 'pending', x: 'complete', y: 'pending' });
  assert.deepEqual(t.startAll().sort(), ['p', 'y']);
  spawned(t, 'p', 'x', 'y');
  assert.equal(t.graph.size, 3, 'no new children');
  t.ok('y');
  t.ok('p');
  assert.equal(t.task, 'complete');
});

test('a parent whose finalize failed repeats only that', () => {
  const t = new CoreTask([step('p')], { traits: { p: { finalize: true } } });
  t.startAll();
  spawned(t, 'p', 'x');
  t.ok('p', '"own"');
  t.runAll(['p']);
  assert.deepEqual(t.states, { p: 'error', x: 'complete' });
  assert.equal(reset(t), 1);
  assert.deepEqual(t.states, { p: 'waiting_for_children', x: 'complete' });
  assert.deepEqual(t.runAll(), ['p']);
  assert.equal(t.task, 'complete');
  assert.equal(t.graph.attempts[0], 1);
});

test('a pending abort hook is dropped; one that has begun ends first, and then the whole run is repeated', () => {
  const make = (): CoreTask => {
    const t = new CoreTask([step('p')], { traits: { p: { abort: true, finalize: true } } });
    t.startAll();
    spawned(t, 'p', 'x');
    t.ok('p', '"own"');
    t.startAll();
    t.fail('x');
    assert.equal(t.task, 'error');
    return t;
  };
  const pending = make();
  reset(pending);
  assert.equal(pending.states.p, 'waiting_for_children');
  assert.deepEqual(pending.runAll(), ['x', 'p']);
  assert.equal(pending.task, 'complete');
  const begun = make();
  assert.deepEqual(begun.startAll(), ['p']);
  reset(begun);
  assert.deepEqual(begun.states, { p: 'pending', x: 'pending' });
  assert.deepEqual(begun.startAll(), ['x'], 'the hook still holds its slot');
  begun.ok('p');
  assert.deepEqual(begun.startAll(), ['p']);
  assert.equal(begun.graph.live.get(0)?.phase, 0);
  spawned(begun, 'p', 'x');
  begun.ok('x');
  begun.ok('p');
  begun.runAll();
  assert.equal(begun.task, 'complete');
  const crashed = make();
  crashed.startAll();
  reset(crashed);
  crashed.crash();
  assert.deepEqual(crashed.startAll().sort(), ['p', 'x']);
});

test('a child that a person cancelled stays so; a tolerated failure of a complete parent is left alone', () => {
  const t = new CoreTask([step('p', [], { onChildFailure: 1 }), step('bad')]);
  t.startAll();
  spawned(t, 'p', 'x', 'y');
  t.ok('p');
  t.startAll();
  t.turn((out, g) => assert.ok(cancelOne(out, g, t.no('y'), 'no')));
  t.fail('x');
  assert.equal(t.states.p, 'complete');
  t.fail('bad');
  assert.equal(reset(t), 1);
  assert.deepEqual(t.states, { p: 'complete', bad: 'pending', x: 'error', y: 'cancelled/by_request' });
});

test('a complete parent that runs again because its dependency does gets new children for new inputs', () => {
  const t = new CoreTask([step('a'), step('p', ['a?'])]);
  const ask = (hash: number): boolean[] =>
    t.turn((out, g) => spawn(out, g, 1, g.live.get(1)!.token, [child('c', { parent: 1, position: 0, hash })]).map((s) => s.ok && s.adopted));
  t.startAll();
  t.fail('a');
  t.startAll();
  assert.deepEqual(ask(1), [false]);
  t.ok('p');
  t.startAll();
  t.ok('c');
  assert.equal(t.task, 'complete');
  // As after a failure elsewhere.
  const u = new CoreTask([step('a'), step('p', ['a?']), step('bad')]);
  u.startAll();
  u.fail('a');
  u.fail('bad');
  u.startAll();
  u.turn((out, g) => spawn(out, g, 1, g.live.get(1)!.token, [child('c', { parent: 1, position: 0, hash: 1 })]));
  u.ok('p');
  u.startAll();
  u.ok('c');
  assert.equal(u.task, 'error');
  assert.equal(reset(u), 3);
  u.startAll();
  u.ok('bad');
  u.ok('a');
  u.startAll();
  const found = u.turn((out, g) => spawn(out, g, 1, g.live.get(1)!.token, [child('c', { parent: 1, position: 0, hash: 2 })]));
  assert.deepEqual(found, [{ ok: true, no: 4, adopted: false }]);
  u.ok('p');
  u.runAll();
  assert.equal(u.task, 'complete');
});

test('a failed decision that is reset may choose again: what was not taken is undecided', () => {
  const t = new CoreTask([
    step('d', [], { type: 'decision', branches: { left: ['l'], right: ['r'] } }),
    step('l', ['d']),
    step('r', ['d']),
    step('join', ['l', 'r'], { type: 'deferred_convergence' }),
    step('last', ['join']),
  ]);
  t.runAll(['d']);
  assert.equal(t.task, 'error');
  assert.deepEqual(t.states, { d: 'error', l: 'not_taken', r: 'not_taken', join: 'not_taken', last: 'not_taken' });
  assert.equal(reset(t), 1);
  assert.deepEqual(t.states, { d: 'pending', l: 'undecided', r: 'undecided', join: 'undecided', last: 'undecided' });
  t.startAll();
  t.ok('d', '{"type":"create_steps","step_names":["left"]}');
  assert.deepEqual(t.runAll(), ['l', 'join', 'last']);
  assert.equal(t.task, 'complete');
});

test('a deadline begins anew, and what ran out of time runs again', async () => {
  const { expireTask } = await import('../../src/core/decide-task.ts');
  const t = new CoreTask([step('a'), step('b', ['a'])], { deadlineMs: 10_000 });
  t.startAll();
  t.now += 10_000;
  t.turn((out, g) => assert.ok(expireTask(out, g)));
  assert.equal(t.task, 'error');
  t.return('a');
  assert.equal(reset(t), 2);
  assert.equal(t.graph.deadlineAt, t.now + 10_000);
  assert.deepEqual(t.runAll(), ['a', 'b']);
  assert.equal(t.task, 'complete');
});

test('what ended by implication is brought up to date and runs again', () => {
  const many = Array.from({ length: 400 }, (_, i) => step(`s${i}`, ['a']));
  const t = new CoreTask([step('a'), ...many]);
  t.runAll(['a']);
  assert.ok(t.graph.debts.length > 0);
  assert.equal(reset(t), 401);
  assert.equal(t.graph.debts.length, 0);
  assert.equal(t.runAll().length, 401);
  assert.equal(t.task, 'complete');
});
