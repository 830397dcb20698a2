/** Rows of spec/apflow.md §8.3 about running again and of §8.5 about copies, links and archives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../src/core/definition.ts';
import type { StepView, TaskView } from '../../src/engine/views.ts';
import { Tutti, template } from '../../src/main.ts';

const once = { max_attempts: 1 };

interface Kitchen {
  tutti: Tutti;
  /** Names of steps that fail. */
  broken: Set<string>;
  ran: string[];
  tree(elements: JsonObject[], o?: { execute?: boolean }): Promise<string>;
  done(id: string): Promise<string>;
  steps(id: string): Promise<Record<string, StepView>>;
}

/** Every element is run by `cook`, which gives its name and what it was given. */
async function kitchen(t: { after(fn: () => Promise<void>): void }, o: { retention?: boolean } = {}): Promise<Kitchen> {
  const broken = new Set<string>();
  const ran: string[] = [];
  const flow = template<{ n: number }>('tests/flow@1.0.0')
    .step('one', async ({ input }) => input.n)
    .step('two', { after: ['one'], retry: { maxAttempts: 1 } }, async ({ results }) => {
      ran.push('two');
      if (broken.has('two')) throw new Error('no');
      return results.one * 2;
    });
  const tutti = await Tutti.open({
    store: ':memory:',
    templates: [flow],
    retention: o.retention === true ? { maxAge: 0 } : false,
    logger: () => {},
    handlers: {
      cook: async (ctx: { stepName: string; input: unknown; results: Record<string, unknown>; config?: JsonObject }) => {
        ran.push(ctx.stepName);
        if (broken.has(ctx.stepName)) throw new Error(`${ctx.stepName} is broken`);
        return { name: ctx.stepName, input: ctx.input, from: ctx.results };
      },
    } as never,
  } as never);
  t.after(() => tutti.close());
  return {
    tutti,
    broken,
    ran,
    tree: async (elements, r = {}) => {
      const { task } = await tutti.engine.submitTree({ elements: elements.map((e) => ({ handler: 'cook', retry: once, ...e })), ...r });
      return task.id;
    },
    done: async (id) => (await tutti.engine.done(id)).state,
    steps: async (id) => Object.fromEntries((await tutti.engine.steps(id, { results: true, inputs: true })).map((s) => [s.name, s])),
  };
}

/** root ─ part, whole(part) */
const pair: JsonObject[] = [
  { name: 'root', id: 'the-root', user_id: 'ann', inputs: { r: 1 } },
  { name: 'part', parent_id: 'root', inputs: { p: 1 }, params: { tool: 'knife' } },
  { name: 'whole', parent_id: 'root', dependencies: ['part'], inputs: { w: 1 }, priority: 1 },
];

test('row 37: a failed task whose cause is gone runs again: completed, without error, with its result', async (t) => {
  const k = await kitchen(t);
  k.broken.add('part');
  const id = await k.tree([{ name: 'part' }]);
  assert.equal(await k.done(id), 'error');
  k.broken.clear();
  await k.tutti.retry(id);
  assert.equal(await k.done(id), 'complete');
  const { part } = await k.steps(id);
  assert.deepEqual([part.error, (part.result as JsonObject).name], [null, 'part']);
});

test('row 38: a failed parent runs again, its completed child dependency does not', async (t) => {
  const k = await kitchen(t);
  k.broken.add('root');
  const id = await k.tree([
    { name: 'root', dependencies: ['child'] },
    { name: 'child', parent_id: 'root' },
  ]);
  assert.equal(await k.done(id), 'error');
  assert.deepEqual([(await k.steps(id)).root.needsReexecution, (await k.steps(id)).child.needsReexecution], [true, false]);
  k.broken.clear();
  k.ran.length = 0;
  await (await k.tutti.get(id)).reset('root');
  assert.equal(await k.done(id), 'complete');
  assert.deepEqual(k.ran, ['root']);
  const s = await k.steps(id);
  assert.deepEqual([s.root.state, s.root.error, s.child.state], ['complete', null, 'complete']);
});

test('rows 40 and 41: a completed task, and one that runs, are not started again', async (t) => {
  const k = await kitchen(t);
  const id = await k.tree([{ name: 'only' }]);
  const running = k.tutti.retry(id);
  await assert.rejects(running, { code: 'ILLEGAL_STATE' });
  assert.equal(await k.done(id), 'complete');
  await assert.rejects(k.tutti.retry(id), { code: 'ILLEGAL_STATE' });
  assert.equal((await k.tutti.engine.task(id)).state, 'complete');
  assert.deepEqual(k.ran, ['only']);
});

test('rows 43 and 46: nothing of an ended task stays in memory, a refused verb included; an unknown id is an error', async (t) => {
  const k = await kitchen(t);
  k.broken.add('bad');
  for (const name of ['good', 'bad']) {
    const id = await k.tree([{ name }]);
    await k.done(id);
    await k.tutti.engine.copy(id, { mode: 'archive' });
    if (name === 'good') await assert.rejects(k.tutti.retry(id));
  }
  assert.equal(k.tutti.engine.metrics().cachedSteps, 0);
  await assert.rejects(k.tutti.retry('01900000-0000-7000-8000-000000000000'), { code: 'NOT_FOUND' });
});

test('row 47: cancel and execute at once: one of them is first, and the task is in one piece', async (t) => {
  const k = await kitchen(t);
  for (let i = 0; i < 20; i++) {
    const id = await k.tree([{ name: 'a' }, { name: 'b', dependencies: ['a'] }], { execute: false });
    const verbs = [() => k.tutti.engine.executeTree(id), () => k.tutti.cancel(id)];
    if (i % 2 === 1) verbs.reverse();
    await Promise.allSettled(verbs.map((v) => v()));
    assert.ok(['complete', 'cancelled'].includes(await k.done(id)));
  }
});

test('row 50: cancel of a completed step is refused with the status it has', async (t) => {
  const k = await kitchen(t);
  const id = await k.tree([{ name: 'only' }]);
  await k.done(id);
  await assert.rejects(k.tutti.cancel(id), (e: { code: string; details: { state: string } }) => e.code === 'ILLEGAL_STATE' && e.details.state === 'complete');
});

test('row 68: an unfinished tree cannot be linked', async (t) => {
  const k = await kitchen(t);
  const id = await k.tree(pair, { execute: false });
  await assert.rejects(k.tutti.link(id), { code: 'ILLEGAL_STATE', message: /Only a fully completed task tree can be linked/ });
  k.broken.add('whole');
  await k.tutti.engine.executeTree(id);
  assert.equal(await k.done(id), 'error');
  await assert.rejects(k.tutti.link(id), { code: 'ILLEGAL_STATE', message: /Only a fully completed task tree can be linked/ });
  const part = await k.tutti.link(id, { element: 'part' });
  assert.deepEqual(await part.result(), { part: { name: 'part', input: { p: 1 }, from: {} } });
});

test('row 70: a completed tree, linked: every node a link, complete at once, read through, and the original cannot go', async (t) => {
  const k = await kitchen(t);
  const id = await k.tree(pair);
  const before = await k.tutti.engine.steps(id, { results: true, inputs: true });
  await k.done(id);
  const original = await k.steps(id);
  k.ran.length = 0;
  const link = await k.tutti.link(id);
  const view = await link.view();
  assert.equal(view.state, 'complete');
  assert.equal(view.completedSteps, 3);
  const s = await k.steps(link.id);
  for (const name of ['root', 'part', 'whole']) {
    assert.deepEqual([s[name].state, s[name].result, s[name].inputs], ['complete', original[name].result, original[name].inputs], name);
    assert.deepEqual(s[name].origin, { type: 'link', taskId: id, stepId: original[name].id });
    assert.notEqual(s[name].id, original[name].id);
  }
  assert.deepEqual(s.part.params, { tool: 'knife' });
  assert.deepEqual(s.whole.dependencies, [{ id: s.part.id, name: 'part', required: true, type: 'result' }]);
  assert.deepEqual(await link.result(), await (await k.tutti.get(id)).result());
  const again = await k.tutti.link(link.id);
  assert.deepEqual((await k.steps(again.id)).part.origin?.taskId, id, 'the first ancestor');
  assert.deepEqual(k.ran, [], 'nothing ran');
  assert.equal(before.length, 3);
  await assert.rejects(k.tutti.engine.purge(id), { code: 'ILLEGAL_STATE', message: /Other tasks link to it/ });
  await link.purge();
  await assert.rejects(k.tutti.engine.purge(id), { code: 'ILLEGAL_STATE' });
  await again.purge();
  await k.tutti.engine.purge(id);
});

test('row 71: nobody else can be made the owner', async (t) => {
  const k = await kitchen(t);
  const id = await k.tree(pair);
  await k.done(id);
  const overrides = { userId: 'bob' };
  await assert.rejects(k.tutti.link(id, { overrides }), { code: 'INVALID_INPUT', message: "Deny linking to a different user's task." });
  await assert.rejects(k.tutti.mixed(id, { overrides, link: ['part'] }), { message: "Deny linking to a different user's task." });
  await assert.rejects(k.tutti.copy(id, { overrides }), { code: 'INVALID_INPUT' });
  const mine = await k.tutti.copy(id, { overrides: { userId: 'ann' } });
  assert.equal((await mine.view()).userId, 'ann');
});

test('row 73: a copy is pending, without results, progress and times, in a tree of its own; the original is as it was', async (t) => {
  const k = await kitchen(t);
  k.broken.add('whole');
  const id = await k.tree(pair);
  await k.done(id);
  const wasTask = await k.tutti.engine.task(id);
  const was = await k.tutti.engine.steps(id, { results: true, inputs: true });
  const copy = await k.tutti.copy(id);
  const view = await copy.view();
  assert.deepEqual([view.state, view.completedAt, view.error, view.completedSteps, view.failedSteps], ['pending', null, null, 0, 0]);
  assert.notEqual(copy.id, id);
  const s = await k.steps(copy.id);
  for (const v of Object.values(s)) {
    assert.deepEqual(
      [v.state, v.attempts, v.startedAt, v.completedAt, v.result, v.error, v.progress?.fraction ?? 0],
      ['pending', 0, null, null, undefined, null, 0],
    );
    assert.equal(v.elementId, null);
    assert.equal(v.origin?.type, 'copy');
  }
  assert.deepEqual([s.whole.parentId, s.whole.priority, s.part.inputs], [s.root.id, 1, { p: 1 }]);
  k.broken.clear();
  k.ran.length = 0;
  await k.tutti.engine.executeTree(copy.id);
  assert.equal(await k.done(copy.id), 'complete');
  assert.deepEqual(k.ran.sort(), ['part', 'root', 'whole']);
  assert.deepEqual(await k.tutti.engine.task(id), wasTask);
  assert.deepEqual(await k.tutti.engine.steps(id, { results: true, inputs: true }), was);
});

test('a copy of a task of a template runs its steps with the same input, or another', async (t) => {
  const k = await kitchen(t);
  const task = await k.tutti.submit('tests/flow@1.0.0', { n: 4 });
  await task.done();
  const same = await k.tutti.copy(task.id, { execute: true });
  assert.deepEqual(await same.result(), { two: 8 });
  const other = await k.tutti.copy(task.id, { execute: true, overrides: { inputs: { n: 10 } } });
  assert.deepEqual(await other.result(), { two: 20 });
  assert.deepEqual((await other.view()).input, { n: 10 });
});

test('mixed: what is linked gives its result to what is copied', async (t) => {
  const k = await kitchen(t);
  const id = await k.tree(pair);
  await k.done(id);
  k.ran.length = 0;
  const mixed = await k.tutti.mixed(id, { link: ['part'], execute: true, overrides: { elements: { whole: { inputs: { w: 2 } } } } });
  assert.equal(await k.done(mixed.id), 'complete');
  assert.deepEqual(k.ran.sort(), ['root', 'whole']);
  const { whole, part } = await k.steps(mixed.id);
  assert.deepEqual((whole.result as JsonObject).from, { part: part.result });
  assert.deepEqual((whole.result as JsonObject).input, { w: 2 });
});

test('mixed, held and read again: what waits only for links begins when it is executed', async (t) => {
  const k = await kitchen(t);
  const id = await k.tree([{ name: 'a' }, { name: 'b', dependencies: ['a'] }, { name: 'c', dependencies: ['b'] }]);
  await k.done(id);
  const mixed = await k.tutti.mixed(id, { link: ['a', 'b'] });
  assert.equal((await mixed.view()).state, 'pending');
  await k.tutti.engine.executeTree(mixed.id);
  assert.equal(await k.done(mixed.id), 'complete');
});

test('row 74: an archive keeps what stood, and every later write is refused', async (t) => {
  const k = await kitchen(t);
  k.broken.add('whole');
  const id = await k.tree([...pair, { name: 'after', dependencies: ['whole'] }]);
  await k.done(id);
  const original = await k.steps(id);
  const archive = await k.tutti.archive(id);
  k.broken.clear();
  await k.tutti.retry(id);
  assert.equal(await k.done(id), 'complete');
  const view = await archive.view();
  assert.deepEqual([view.state, view.failedSteps, view.completedSteps, view.cancelledSteps], ['error', 1, 2, 1]);
  const s = await k.steps(archive.id);
  for (const name of Object.keys(original)) {
    const [a, o] = [s[name], original[name]];
    assert.deepEqual(
      [a.state, a.reason, a.error, a.result, a.inputs, a.attempts, a.startedAt, a.completedAt],
      [o.state, o.reason, o.error, o.result, o.inputs, o.attempts, o.startedAt, o.completedAt],
      name,
    );
    assert.equal(a.origin?.type, 'archive');
  }
  for (const write of [
    () => archive.cancel(),
    () => archive.patch({ priority: 0 }),
    () => archive.reset(),
    () => archive.reset('whole'),
    () => archive.purge(),
    () => k.tutti.engine.executeTree(archive.id),
    () => k.tutti.engine.addSteps(archive.id, [{ name: 'x', handler: 'cook' }]),
    () => k.tutti.engine.cancelStep(archive.id, 'whole'),
  ]) {
    await assert.rejects(write(), (e: { code: string; message: string }) => {
      assert.equal(e.code, 'ILLEGAL_STATE', e.message);
      assert.match(e.message, /archive/);
      return true;
    });
  }
});

test('a task that runs is archived as it stands, and goes on', async (t) => {
  const k = await kitchen(t);
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  k.tutti.handler('wait', async () => {
    begun.resolve();
    await gate.promise;
    return 1;
  });
  const id = await k.tree([
    { name: 'slow', handler: 'wait' },
    { name: 'then', dependencies: ['slow'] },
  ]);
  await begun.promise;
  const archive = await k.tutti.archive(id);
  gate.resolve();
  assert.equal(await k.done(id), 'complete');
  const s = await k.steps(archive.id);
  assert.deepEqual([s.slow.state, s.then.state], ['in_progress', 'pending']);
  const view: TaskView = await archive.view();
  assert.deepEqual([view.state, view.error?.code], ['cancelled', 'archived']);
  assert.match(view.error!.message, /^Archived while the task was steps_in_process\.$/);
  assert.deepEqual(view.origin, { type: 'archive', taskId: id });
  assert.equal(k.tutti.engine.metrics().cachedSteps, 0);
});

test('each copy says what it is and which task was the first, in its view, its answer and in lists; what was submitted is no copy', async (t) => {
  const k = await kitchen(t);
  const id = await k.tree(pair);
  await k.done(id);
  assert.equal((await k.tutti.engine.task(id)).origin, null);
  for (const mode of ['copy', 'link', 'archive', 'mixed'] as const) {
    const made = await k.tutti.engine.copy(id, { mode, ...(mode === 'mixed' ? { link: ['part'] } : {}) });
    assert.deepEqual(made.origin, { type: mode, taskId: id });
    assert.deepEqual((await k.tutti.engine.task(made.id)).origin, made.origin);
    assert.deepEqual((await k.tutti.list()).tasks.find((x) => x.id === made.id)?.origin, made.origin);
    assert.deepEqual((await k.tutti.engine.copy(made.id, { mode: 'copy' })).origin, { type: 'copy', taskId: id });
  }
});

test('retention leaves alone what is linked to, and archives', async (t) => {
  const k = await kitchen(t, { retention: true });
  const id = await k.tree(pair);
  await k.done(id);
  // Held, so that the link itself does not end.
  const mixed = await k.tutti.mixed(id, { link: ['part'] });
  const archive = await k.tutti.archive(id);
  const other = await k.tree([{ name: 'other' }]);
  await k.done(other);
  const { maintenance } = k.tutti.engine as unknown as { maintenance: { sweep(): Promise<number> } };
  // What ended in this very millisecond is left for the next sweep.
  for (let removed = 0; removed < 1; ) removed += await maintenance.sweep();
  await assert.rejects(k.tutti.engine.task(other), { code: 'NOT_FOUND' });
  assert.equal(await maintenance.sweep(), 0);
  assert.equal((await archive.view()).state, 'complete');
  assert.equal((await k.tutti.engine.task(id)).state, 'complete');
  await mixed.cancel();
  for (let removed = 0; removed < 2; ) removed += await maintenance.sweep();
  await assert.rejects(k.tutti.engine.task(mixed.id), { code: 'NOT_FOUND' });
  await assert.rejects(k.tutti.engine.task(id), { code: 'NOT_FOUND' });
  assert.equal((await archive.view()).state, 'complete');
});

test('row 76: without saving: elements that can be submitted, and nothing stored', async (t) => {
  const k = await kitchen(t);
  const id = await k.tree(pair);
  await k.done(id);
  const elements = await k.tutti.copy(id, { save: false });
  assert.deepEqual(
    elements.map((e) => [e.name, e.parent_id ?? null, e.inputs, e.handler, e.status]),
    [
      ['root', null, { r: 1 }, 'cook', 'pending'],
      ['part', 'root', { p: 1 }, 'cook', 'pending'],
      ['whole', 'root', { w: 1 }, 'cook', 'pending'],
    ],
  );
  assert.equal((await k.tutti.list()).tasks.length, 1);
  const { task } = await k.tutti.engine.submitTree({ elements });
  assert.equal(await k.done(task.id), 'complete');
  assert.deepEqual(
    (await k.tutti.link(id, { save: false })).map((e) => [e.status, e.origin_type]),
    Array(3).fill(['completed', 'link']),
  );
});

test('what is asked for wrongly is named', async (t) => {
  const k = await kitchen(t);
  const id = await k.tree(pair);
  await k.done(id);
  const wrong = async (mode: 'copy' | 'link' | 'archive' | 'mixed', o: object, field: string): Promise<void> => {
    await assert.rejects(k.tutti.engine.copy(id, { mode, ...o }), (e: { code: string; field: string }) => {
      assert.deepEqual([e.code, e.field], ['INVALID_INPUT', field]);
      return true;
    });
  };
  await wrong('copy', { recursive: false }, 'recursive');
  await wrong('copy', { link: ['part'] }, 'link');
  await wrong('mixed', {}, 'link');
  await wrong('archive', { overrides: { priority: 1 } }, 'overrides');
  await wrong('link', { overrides: { inputs: {} } }, 'overrides');
  await wrong('copy', { overrides: { priority: 7 } }, 'priority');
  await wrong('archive', { execute: true }, 'execute');
  await assert.rejects(k.tutti.copy(id, { element: 'nobody' }), { code: 'NOT_FOUND' });
  await assert.rejects(k.tutti.copy(id, { overrides: { inputs: { a: Number.NaN } } }), { code: 'UNSTORABLE_VALUE' });
  assert.equal((await k.tutti.list()).tasks.length, 1);
});

test('the whole of a template task, copied: what the template says of it stays, its names, `returns` and its deadline from when it is let run', async (t) => {
  const k = await kitchen(t);
  let hold = false;
  const kept = template('tests/kept@2.1.0', { deadline: '1h' })
    .step('a', async ({ signal }) => {
      if (!hold) return 1;
      return await new Promise<number>((_, no) => signal.addEventListener('abort', () => no(new Error('stopped'))));
    })
    .step('b', { after: ['a'] }, () => 2)
    .returns('a');
  await k.tutti.register(kept);
  const task = await k.tutti.submit(kept, {}, { initiator: 'ann', reason: 'month end', correlationId: '0195a000-0000-7000-8000-000000000001' });
  assert.equal(await task.result(), 1);
  const names = { namespace: 'tests', name: 'kept', version: '2.1.0' };
  const namesOf = ({ namespace, name, version }: TaskView): object => ({ namespace, name, version });
  for (const mode of ['copy', 'link', 'mixed', 'archive'] as const) {
    const request = { mode, ...(mode === 'mixed' ? { link: ['a'] } : {}) };
    const made = await k.tutti.engine.copy(task.id, request);
    assert.deepEqual([made.deadlineAt, namesOf(made)], [null, names], mode);
    const again = await k.tutti.engine.copy(made.id, { mode: 'copy' });
    for (const { id } of [made, again]) {
      if ((await k.tutti.engine.task(id)).state === 'pending') {
        const begun = await k.tutti.engine.executeTree(id);
        if (begun.deadlineAt !== null) assert.ok(begun.deadlineAt >= begun.createdAt + 3_600_000, mode);
      }
      assert.equal(await k.tutti.engine.result(id), 1, mode);
      assert.deepEqual(namesOf(await k.tutti.engine.task(id)), names, mode);
    }
    // Who asks for a copy, and why, is said with the copy; an archive is the task as it stood.
    const said = mode === 'archive' ? ['ann', 'month end', '0195a000-0000-7000-8000-000000000001'] : ['system', '', made.id];
    assert.deepEqual([made.initiator, made.reason, made.correlationId], said, mode);
  }
  const listed = (await k.tutti.list({})).tasks.filter((v) => v.name === 'kept');
  assert.equal(listed.length, 9);

  hold = true;
  const running = await k.tutti.copy(task.id, { execute: true });
  const view = await running.view();
  assert.equal(view.deadlineAt, view.createdAt + 3_600_000);
  // A part is no run of the template.
  const part = await (await k.tutti.copy(task.id, { element: 'b' })).view();
  assert.deepEqual([part.name, part.deadlineAt], ['', null]);
  await running.cancel();
});
