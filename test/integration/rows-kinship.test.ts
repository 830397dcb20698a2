/** Rows 14, 16 and 19 of spec/taskmill.md §14: what children have of their parents, and what only a child can have, as we read them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handler, type TaskHandle, template, Tutti, type UntypedStepContext } from '../../src/main.ts';
import { ONCE, family } from '../support/staged-family.ts';

const opened = (o: Omit<Parameters<typeof Tutti.open>[0], 'store'>): Promise<Tutti> =>
  Tutti.open({ store: ':memory:', retention: false, logger: () => {}, ...o });

/**
 * There each child is a task with a map of tags, its parent's with its own over them. Ours are steps of one task, and tags are the task's: a
 * child is found by all of them and cannot be without one. What a child says over that is in its `params`; there are no tags to override.
 */
test('row 14: children are found by the tags of their task; a child has none of its own', async (t) => {
  const refused: unknown[] = [];
  const tutti = await opened({
    templates: [template('tests/tagged@1.0.0').step('p', { handler: 'parent' })],
    handlers: {
      parent: async (ctx: UntypedStepContext) => {
        await ctx.spawn('child', {}, { key: 'a', params: { b: 3 } });
        await ctx.spawn('child', {}, { key: 'b', tags: ['b=3'] } as never).catch((e: Error) => refused.push(e.message));
      },
      child: (ctx: UntypedStepContext) => ctx.config,
    },
  });
  t.after(() => tutti.close());
  const task = await tutti.submit('tests/tagged', {}, { tags: ['a=1', 'b=2'] });
  await task.done();
  const child = await task.step('p.a');
  assert.deepEqual([child.result, child.params], [{ b: 3 }, { b: 3 }]);
  for (const tag of ['a=1', 'b=2']) {
    const { tasks } = await tutti.list({ tag });
    assert.deepEqual(
      tasks.map((x) => [x.id, x.tags]),
      [[child.taskId, ['a=1', 'b=2']]],
    );
  }
  assert.deepEqual(refused, ['spawn: "tags" is no option']);
});

/**
 * There a child may spawn a sibling, and a root may not. Ours spawns children only. A sibling is added to the task, tied to the parent by
 * name; a step without a parent has nobody to be tied to, and once the parent has ended there is nothing to join.
 */
test('row 16: a child adds siblings that are tied to its parent, all or none; for a root that is refused', async (t) => {
  const refused: unknown[] = [];
  const added: string[][] = [];
  const submitted = Promise.withResolvers<TaskHandle>();
  const sibling = (name: string, parent_id?: string): { name: string; handler: string; tied: true; parent_id?: string } => ({
    name,
    handler: 'sibling',
    tied: true,
    ...(parent_id === undefined ? {} : { parent_id }),
  });
  const tutti = await opened({
    templates: [template('tests/siblings@1.0.0').step('p', { handler: 'parent', retry: { maxAttempts: 1 } })],
    handlers: [
      handler(
        'parent',
        async (ctx) => {
          const task = await submitted.promise;
          assert.equal('spawnSibling' in ctx, false);
          await task.addSteps([sibling('s')]).catch((e: { code: string; message: string }) => refused.push([e.code, e.message]));
          await ctx.spawn('child', {}, { key: 'a' });
        },
        {
          finalize: async (_, children) => {
            const names: string[] = [];
            for await (const c of children) names.push(`${c.name} ${c.state}`);
            return names.sort();
          },
        },
      ),
      handler('child', async () => {
        const task = await submitted.promise;
        const ten = Array.from({ length: 10 }, (_, i) => sibling(`s${i}`, 'p'));
        await task.addSteps([...ten, sibling('s0', 'p')]).catch((e: { message: string }) => refused.push(e.message.slice(0, 40)));
        added.push((await task.addSteps(ten)).map((s) => s.name));
      }),
      handler('sibling', () => 1),
    ],
  });
  t.after(() => tutti.close());
  const task: TaskHandle = await tutti.submit('tests/siblings', {});
  submitted.resolve(task);
  const names = Array.from({ length: 10 }, (_, i) => `s${i}`);
  assert.deepEqual(await task.result(), { p: ['p.a complete', ...names.map((n) => `${n} complete`)] });
  assert.deepEqual(added, [names]);
  assert.deepEqual(refused[0], ['INVALID_INPUT', '[0].tied is true, but the element has no parent to be tied to']);
  assert.equal(refused[1], 'Duplicate task name "s0" at index [10]; ');
  assert.equal((await task.view()).totalSteps, 12);
  const events = tutti.events({ taskId: task.id, types: ['step.added'], after: undefined });
  const at = new Set<number>();
  for await (const e of events) {
    if (names.includes(e.data.step as string)) at.add(e.at);
    if (e.data.step === 's9') break;
  }
  assert.equal(at.size, 1, 'all came at once (row 17)');
  await assert.rejects(task.addSteps([sibling('late', 'p')]), { code: 'ILLEGAL_STATE' });
});

/**
 * There TTL and tags are copied to the child unless it is given others. Ours: one task, one deadline, whosever handler runs the child; a child
 * can be given less time, by the limit of its attempts, and never more.
 */
test("row 19: a child of anybody's handler ends with its task's deadline, or with a shorter limit of its own", async () => {
  await family(
    {
      template: { deadlineMs: 10_000 },
      steps: [{ name: 'p', retry: ONCE, onChildFailure: 'wait_all' }],
      doing: {
        p: {
          spawn: [
            { key: 'short', handler: 'elsewhere/child', timeoutMs: 1_000, retry: ONCE },
            { key: 'long', handler: 'elsewhere/child', timeoutMs: 3_600_000, retry: ONCE },
            { key: 'plain', handler: 'child', retry: ONCE },
          ],
        },
        '*': { delayMs: 60_000 },
      },
    },
    async (f) => {
      const begun = f.world.machine.now();
      await f.until(() => f.state('p.short') === 'error', 'its own limit passes');
      assert.ok(f.world.machine.now() < begun + 2_000);
      assert.deepEqual([f.state('p.long'), f.taskState], ['in_progress', 'steps_in_process']);
      await f.until(() => f.taskState === 'error', 'the deadline passes');
      const after = f.world.machine.now() - begun;
      assert.ok(after >= 9_900 && after < 11_000, String(after));
      assert.deepEqual(f.states('p.short', 'p.long', 'p.plain'), ['error', 'cancelled: expired', 'cancelled: expired']);
      assert.match(f.world.task(f.id).rows[1].error!, /step_timeout/);
    },
  );
});
