import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handler, template, Tutti } from '../../src/main.ts';

/** A gate that handlers wait at, and that tells when so many have come to it. */
function gate(): { open: () => void; wait: () => Promise<void> } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, wait: () => opened };
}

async function family(): Promise<{ tutti: Tutti; go: ReturnType<typeof gate>; arrived: () => Promise<void> }> {
  const go = gate();
  let waiting = 0;
  let tell!: () => void;
  const all = new Promise<void>((resolve) => (tell = resolve));
  const part = handler('part', async (ctx) => {
    const { n, size } = ctx.input as { n: number; size: number };
    ctx.progress({ bytes: n < 7 ? size : 0, total: size });
    if (n < 7) return n;
    if (++waiting === 13) tell();
    await go.wait();
    return n;
  });
  const whole = handler('whole', {
    async call(ctx: { spawnAll: (items: Iterable<object>) => Promise<unknown> }) {
      await ctx.spawnAll(Array.from({ length: 20 }, (_, n) => ({ handler: 'part', inputs: { n, size: 100 }, key: `p${n}`, expectedBytes: 100 })));
      return 'sent';
    },
  });
  const t = template('progress/upload@1.0.0').step('upload', { handler: 'whole' });
  const tutti = await Tutti.open({ store: ':memory:', templates: [t], handlers: [part, whole], slots: 20 });
  return { tutti, go, arrived: () => all };
}

test('7 of 20 parts are 35 %, of the parent and of the task, weighted by size (spec/taskmill.md S8)', async () => {
  const { tutti, go, arrived } = await family();
  const task = await tutti.submit('progress/upload@1.0.0', {});
  await arrived();
  // The seven that returned are durable once a later commit is seen: their states are in the views.
  for await (const e of task.events()) if (e.type === 'step.state' && e.data.state === 'complete' && (await task.view()).completedSteps === 7) break;
  const upload = await task.step('upload');
  assert.deepEqual(upload.progress?.parts, { done: 7, total: 20 });
  assert.equal(upload.progress?.fraction, 0.35);
  assert.deepEqual([upload.progress?.done, upload.progress?.total, upload.progress?.unit], [700, 2000, 'bytes']);
  assert.equal((await task.view()).progress, 0.35);
  go.open();
  await task.result();
  assert.equal((await task.step('upload')).progress?.fraction, 1);
  await tutti.close();
});

test('a progress event names step, parent and task, with the fraction of each ancestor', async () => {
  const { tutti, go, arrived } = await family();
  const seen: Record<string, unknown>[] = [];
  let first!: () => void;
  const one = new Promise<void>((resolve) => (first = resolve));
  const abort = new AbortController();
  const task = await tutti.submit('progress/upload@1.0.0', {});
  const reading = (async () => {
    for await (const e of task.events({ signal: abort.signal }))
      if (e.type === 'step.progress') {
        seen.push({ ...e.data, taskId: e.taskId });
        first();
      }
  })();
  await arrived();
  await one;
  go.open();
  await task.result();
  abort.abort();
  await reading;
  for (const e of seen) {
    assert.equal(e.taskId, task.id);
    assert.equal(e.parent, 'upload');
    const [ancestor] = e.ancestors as { step: string; fraction: number; parts: { total: number } }[];
    assert.equal(ancestor.step, 'upload');
    assert.ok(ancestor.fraction >= 0 && ancestor.fraction <= 1);
    assert.ok(typeof e.task_fraction === 'number');
  }
  await tutti.close();
});
