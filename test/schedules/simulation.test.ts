/**
 * Schedules of every overlap and catch-up on a store that fails and a process that dies at random places: one time has at most one tick, one
 * tick at most one task, a task that says it is a tick's is one's, rules of overlap hold at every instant, and nothing waits for ever.
 * TUTTI_SEED runs one seed, TUTTI_SEEDS so many.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CATCH_UPS, OVERLAPS, type ScheduleRequest } from '../../src/core/schedule.ts';
import type { CommitFate } from '../support/faulty-store.ts';
import { MINUTE, NOON, ScheduledWorld } from '../support/scheduled-world.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const SEEDS = Number(process.env.TUTTI_SEEDS ?? 6);
const ONLY = process.env.TUTTI_SEED;

async function run(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const w = new ScheduledWorld();
  w.atOnce = false;
  let faulty = true;
  w.fate = (): CommitFate => {
    if (!faulty || !random.chance(0.04)) return 'ok';
    return random.pick<CommitFate>(['busy', 'refused', 'lost', 'applied']);
  };
  await w.boot();
  const target = { kind: 'template' as const, namespace: 't', name: 'job' };
  const requests: ScheduleRequest[] = Array.from({ length: 6 }, (_, i) => ({
    key: `s${i}`,
    target: i === 5 ? { ...target, name: 'big' } : target,
    ...(i % 2 === 0 ? { everySeconds: random.pick([5, 20, 60]) } : { cron: '*/1 * * * *' }),
    overlap: OVERLAPS[i % OVERLAPS.length],
    catchUp: random.pick(CATCH_UPS),
    ...(random.chance(0.3) ? { lateAfterSeconds: 90 } : {}),
  }));
  const put = async (): Promise<void> => {
    faulty = false;
    for (const r of requests) await w.put(r);
    faulty = true;
  };
  await put();
  const begin = w.machine.now();
  for (let round = 0; round < 30; round++) {
    const what = random.next();
    if (what < 0.12) {
      w.kill();
      w.machine.skip(random.int(0, 4 * MINUTE));
      faulty = false;
      await w.boot();
      faulty = true;
    } else if (what < 0.2) {
      const key = `s${random.int(0, 5)}`;
      const verb = random.pick(['pause', 'resume', 'fire', 'resume'] as const);
      await w.wait(w.engine.schedules[verb](key).catch((e: { code?: string }) => assert.equal(e.code, 'STORE_UNAVAILABLE')) as Promise<unknown>);
    } else if (what < 0.6) {
      for (let n = random.int(0, w.running.length); n > 0; n--) await (random.chance(0.8) ? w.finish() : w.fail());
    }
    // A kill in the middle of what happens at one instant.
    if (random.chance(0.2)) {
      while (w.machine.fireNext(w.machine.now() + MINUTE)) if (random.chance(0.3)) break;
      for (let n = random.int(0, 6); n > 0; n--) await w.machine.stepOnce();
      w.kill();
      faulty = false;
      await w.boot();
      faulty = true;
    }
    await w.machine.advanceBy(random.int(1, 90_000));
    overlapHolds();
  }
  // Everything comes to rest: what runs ends, what waits is fired.
  faulty = false;
  for (const r of requests) await w.wait(w.engine.schedules.resume(r.key));
  w.atOnce = true;
  await w.machine.advanceBy(2 * MINUTE);
  while (w.running.length > 0) await w.finish();
  await w.machine.advanceBy(2 * MINUTE);
  while (w.running.length > 0) await w.finish();
  await w.machine.advanceBy(100);

  const tasks = new Map<string, { state: string; initiator: string }>();
  for (let cursor: string | undefined; ; ) {
    const page = await w.wait(w.engine.list({ limit: 100, cursor }));
    for (const t of page.tasks) tasks.set(t.id, t);
    if (page.nextCursor === null || page.nextCursor === undefined) break;
    cursor = page.nextCursor;
  }
  for (const r of requests) {
    const ticks = await w.wait(w.engine.schedules.ticks(r.key, { limit: 1000 }));
    const fired = ticks.filter((t) => t.state === 'fired');
    assert.equal(new Set(fired.map((t) => t.taskId)).size, fired.length, `${r.key}: one task, one tick`);
    for (const t of fired) assert.equal(tasks.get(t.taskId!)?.initiator, `schedule/${r.key}`);
    for (const t of ticks) assert.ok(t.at > begin || t.manual, `${r.key}: nothing before it was made`);
    const own = [...tasks.values()].filter((t) => t.initiator === `schedule/${r.key}`).length;
    // Rows of the past are pruned, tasks are not here.
    if (ticks.length < 100) assert.equal(fired.length, own, `${r.key}: every task is a tick's`);
    const everyMs = (r.everySeconds ?? 60) * 1000;
    for (const t of ticks) if (!t.manual) assert.equal((t.at - NOON) % everyMs, 0);
    assert.ok(ticks.filter((t) => t.state === 'pending').length <= 1, `${r.key}: nothing waits for ever: ${JSON.stringify(ticks.slice(0, 5))}`);
    const view = await w.engine.schedules.get(r.key);
    assert.ok(view.nextAt! > w.machine.now() - 1);
  }
  assert.deepEqual(
    w.logged.filter((l) => l.includes('defect')),
    [],
  );
  await w.close();

  function overlapHolds(): void {
    for (const s of w.inner.schedules()) {
      const { overlap } = JSON.parse(s.definition) as { overlap: string };
      if (overlap === 'allow') continue;
      const { length } = w.inner.liveTickTasks(s.id);
      assert.ok(length <= 1, `${s.key} (${overlap}) has ${length} live tasks`);
    }
  }
}

for (const seed of ONLY === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(ONLY)]) test(`seed ${seed}`, () => run(seed));
