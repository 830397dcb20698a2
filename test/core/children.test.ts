/** Tied children in the pure core: what each commit writes, and that a restart would know the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FamilyDriver } from '../properties/family-driver.ts';

test('a parent that asked for nothing again, whose last child was dropped, ends once: what waits for it and another starts with both', () => {
  const d = new FamilyDriver({ steps: [{ name: 'p' }, { name: 'other' }, { name: 'after', after: ['p', 'other'] }] });
  d.start('p');
  d.spawn('p', ['a']);
  d.finish('p', 'retryable');
  d.wake();
  d.start('p');
  d.finish('p');
  assert.deepEqual([d.state('p'), d.state('a'), d.state('after')], ['complete', 'cancelled: not_respawned', 'pending']);
  assert.ok(!d.graph.ready.has(d.no('after')));
  d.run('other');
  d.run('after');
  assert.equal(d.taskState, 'complete');
});

test('wait_all: a failed child that the retry did not ask for is no failure, though an open one goes before it', () => {
  const d = new FamilyDriver({ steps: [{ name: 'p', onChildFailure: 'wait_all' }] });
  d.start('p');
  d.spawn('p', ['open', 'failed']);
  d.run('failed', 'permanent');
  d.finish('p', 'retryable');
  d.wake();
  d.start('p');
  d.finish('p');
  assert.deepEqual([d.state('p'), d.state('open')], ['complete', 'cancelled: not_respawned']);
});

test('a child that may fail does not fail its parent', () => {
  const d = new FamilyDriver({ steps: [{ name: 'p' }] });
  d.start('p');
  d.spawn('p', [{ key: 'a', allowFailure: true }]);
  d.run('a', 'permanent');
  assert.equal(d.state('p'), 'in_progress');
  d.finish('p');
  assert.equal(d.state('p'), 'complete');
});

test('hundreds that a retry did not ask for: the rest ends by implication, also for a restart in between', () => {
  for (const finalize of [false, true]) {
    const d = new FamilyDriver({ steps: [{ name: 'p' }, { name: 'after', after: ['p'] }], traits: { p: { finalize }, child: { abort: true } } });
    d.start('p');
    d.spawn(
      'p',
      Array.from({ length: 600 }, (_, i) => `c${i}`),
    );
    d.start('c599');
    d.finish('p', 'retryable');
    d.wake();
    d.start('p');
    d.spawn('p', ['c0']);
    d.finish('p');
    assert.equal(d.state('c599'), 'cancelled: not_respawned', 'one that runs is told at once');
    assert.ok(d.graph.debts.length > 300);
    d.forget();
    assert.ok(d.graph.debts.length > 300);
    d.followUp();
    d.finish('c599', 'permanent');
    const after = d.no('after');
    for (let i = 0; i < 1000 && d.startReady(50, (no) => no !== after).length > 0; i++) {
      for (const no of [...d.graph.live.keys()]) d.give(no, 'ok');
      d.commit();
    }
    d.run('after');
    assert.equal(d.taskState, 'complete');
    d.mirror.assertSettled();
  }
});

test('one child that was let go and is cancelled before it starts lets the next one go', () => {
  const d = new FamilyDriver({ steps: [{ name: 'p', maxChildren: 1 }] });
  d.start('p');
  d.spawn('p', ['a', 'b', 'c']);
  assert.deepEqual(
    d.startReady().map((no) => d.task.facts[no].name),
    ['a'],
  );
  d.finish('a');
  // b was let go and waits for a slot.
  d.cancelStep('b');
  assert.deepEqual(
    d.startReady().map((no) => d.task.facts[no].name),
    ['c'],
  );
});

const names = (n: number): string[] => Array.from({ length: n }, (_, i) => `c${i}`);

test('what a failed child means, by policy, and in each state of the parent', () => {
  // [policy, failures of three children, parent while it runs, parent when it waits, in the end]
  const table: [policy: 'fail_fast' | 'wait_all' | number, failures: number, running: string, end: string][] = [
    ['fail_fast', 0, 'in_progress', 'complete'],
    ['fail_fast', 1, 'error', 'error'],
    ['wait_all', 1, 'in_progress', 'error'],
    ['wait_all', 3, 'in_progress', 'error'],
    [0, 1, 'error', 'error'],
    [1, 1, 'in_progress', 'complete'],
    [1, 2, 'error', 'error'],
    [3, 3, 'in_progress', 'complete'],
  ];
  for (const [onChildFailure, failures, running, end] of table) {
    for (const finalize of [false, true]) {
      for (const returnsFirst of [false, true]) {
        const d = new FamilyDriver({ steps: [{ name: 'p', onChildFailure }], traits: { p: { finalize } } });
        const at = `${onChildFailure}, ${failures} fail, ${returnsFirst ? 'waits' : 'runs'}`;
        d.start('p');
        d.spawn('p', names(3));
        if (returnsFirst) d.finish('p');
        for (let i = 0; i < failures; i++) if (d.graph.ready.has(i + 1)) d.run(`c${i}`, 'permanent');
        if (!returnsFirst) assert.equal(d.state('p'), running, at);
        for (let i = failures; i < 3; i++) if (d.graph.ready.has(i + 1)) d.run(`c${i}`);
        if (!returnsFirst && d.graph.live.has(0)) d.finish('p', 'ok');
        if (finalize && d.graph.ready.has(0)) d.run('p', 'nothing');
        assert.equal(d.state('p'), end, at);
        assert.equal(d.taskState, end, at);
        if (end === 'error')
          for (const c of names(3).slice(failures)) if (onChildFailure !== 'wait_all') assert.equal(d.state(c), 'cancelled: sibling_failed', at);
      }
    }
  }
});

test('which steps have their hook run: what was begun, and every tied child, unless a dependency of it failed', () => {
  const d = new FamilyDriver({
    nodes: [
      { name: 'root', handler: 'h' },
      { name: 'begun', handler: 'h', parent: 0, tied: true },
      { name: 'waiting', handler: 'h', parent: 0, tied: true },
      { name: 'untied', handler: 'h', parent: 0, deps: [[1, true]] },
      { name: 'below', handler: 'h', parent: 0, tied: true, deps: [[5, true]] },
      {
        name: 'failed',
        handler: 'h',
        parent: 0,
        tied: true,
        allowFailure: true,
        retry: { retryable: false, maxAttempts: 1, backoff: 'none', baseMs: 0, maxMs: 0, jitter: 0 },
      },
    ],
    traits: { h: { abort: true } },
  });
  d.start('root');
  d.start('begun');
  d.run('failed', 'permanent');
  assert.equal(d.state('below'), 'cancelled: dependency_failed');
  d.cancelStep('root');
  assert.deepEqual(
    ['root', 'begun', 'waiting', 'untied'].map((n) => d.state(n)),
    ['cancelled: by_request', 'cancelled: parent_cancelled', 'cancelled: parent_cancelled', 'cancelled: dependency_failed'],
  );
  assert.deepEqual(
    ['root', 'begun', 'waiting', 'untied', 'below', 'failed'].map((n) => d.graph.phaseOf(d.no(n))),
    [2, 2, 2, 0, 0, 0],
  );
  // The hook follows the attempt that was told to stop.
  assert.deepEqual([...d.graph.ready.keys()], [d.no('waiting')]);
  d.finish('begun', 'retryable');
  d.finish('root', 'ok');
  for (const n of ['root', 'begun', 'waiting']) d.run(n);
  d.mirror.assertSettled();
});

test('hundreds of children of a parent that is cancelled: the hook of each runs, also of those that end by implication and after a restart', () => {
  for (const restart of [false, true]) {
    const d = new FamilyDriver({ steps: [{ name: 'p' }], traits: { child: { abort: true } } });
    d.start('p');
    d.spawn('p', names(700));
    d.finish('p');
    d.cancelStep('p');
    assert.ok(d.graph.debts.length > 400);
    if (restart) d.crash();
    d.followUp();
    for (let i = 0; i < 1000 && d.startReady(100).length > 0; i++) {
      for (const no of [...d.graph.live.keys()]) d.give(no, 'ok');
      d.commit();
    }
    assert.equal([...d.task.aborts.values()].filter((a) => a.at(-1) === 'aborted').length, 700);
    d.mirror.assertSettled();
  }
});

test('identity of a spawn: key, else position with hash; the same is adopted, another is told and adds nothing', () => {
  const d = new FamilyDriver({});
  d.start('p');
  const [a, b] = d.spawn('p', ['a', { position: 0, hash: 5 }]);
  const asked = (c: Parameters<FamilyDriver['ask']>[1]): unknown => {
    const [s] = d.ask('p', c);
    d.commit();
    return s.ok ? [s.no, s.adopted] : s.message;
  };
  assert.deepEqual(asked(['a']), [a, true]);
  assert.deepEqual(asked([{ position: 0, hash: 5 }]), [b, true]);
  assert.match(String(asked([{ key: 'a', handler: 'another' }])), /handler child, not another/);
  assert.match(String(asked([{ position: 0, hash: 6 }, { key: 'new' }])), /other inputs/);
  assert.match(String(asked([{ key: 'y' }, { key: 'y', handler: 'another' }])), /two children of key y were asked for, of handlers child and another/);
  assert.equal(d.graph.size, 3);
  assert.deepEqual(d.spawn('p', ['x', 'x']), [3, 3], 'one key, one child');
});

test('finalize is tried again by its own count and run never again, whatever is lost on the way', () => {
  const d = new FamilyDriver({ steps: [{ name: 'p', retry: { maxAttempts: 3 } }], traits: { p: { finalize: true } } });
  d.run('p', 'retryable');
  d.wake();
  d.start('p');
  d.spawn('p', ['a']);
  d.finish('p');
  d.run('a');
  d.start('p');
  d.crash();
  d.wake();
  assert.equal(d.graph.phaseOf(0), 1);
  d.start('p');
  d.timeout('p');
  d.abandon('p');
  if (d.graph.retryAt.size > 0) d.wake();
  d.start('p');
  assert.deepEqual([d.graph.attempts[0], d.graph.phaseAttempts.get(0)], [2, 3]);
  d.finish('p', 'nothing');
  assert.deepEqual([d.state('p'), d.graph.resultToken(0)], ['complete', 2]);
});

test('a late result of a parent that its child has ended is kept on the attempt and changes nothing', () => {
  const d = new FamilyDriver({});
  const token = d.start('p');
  d.spawn('p', ['a']);
  d.run('a', 'permanent');
  assert.deepEqual([d.state('p'), d.graph.live.get(0)?.stopping], ['error', true]);
  d.finish('p', 'ok', token);
  assert.equal(d.state('p'), 'error');
  assert.equal(d.task.rows[0].resultToken, 0);
  assert.ok(d.task.payloads.has(`0/${token}`));
});

test('children go on through the backoff of their parent, and may end it', () => {
  const d = new FamilyDriver({});
  d.start('p');
  d.spawn('p', ['a', 'b']);
  d.finish('p', 'retryable');
  assert.equal(d.state('p'), 'waiting_for_retry');
  d.run('a');
  assert.equal(d.state('p'), 'waiting_for_retry');
  d.run('b', 'permanent');
  assert.equal(d.state('p'), 'error');
  assert.equal(d.graph.retryAt.size, 0);
});

test('below a thousand folders that become ready at once everything starts, a turn after the other', () => {
  const nodes = [{ name: 'first', handler: 'h' }];
  for (let i = 0; i < 1_200; i++) nodes.push({ name: `f${i}`, handler: i % 3 === 0 ? '' : 'h', deps: [[0, true]] } as never);
  const d = new FamilyDriver({ nodes, traits: { h: { finalize: true } } });
  d.run('first', 'ok');
  d.run('first', 'ok');
  for (let i = 0; i < 100 && d.taskState !== 'complete'; i++) {
    d.followUp();
    d.startReady(400);
    for (const no of [...d.graph.live.keys()]) d.give(no, 'ok');
    d.commit();
  }
  assert.equal(d.taskState, 'complete');
});
