/** A process with a running family is killed at four places; the next one goes on where it was, and nothing is done twice that had been counted. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readLines } from './execution-log.ts';

interface Ending {
  state: string;
  repairs: number;
  result: unknown;
  steps: [name: string, state: string, attempts: number][];
}

async function killedAt(place: string): Promise<{ ending: Ending; lines: string[][]; of: (what: string, life: number) => string[][] }> {
  const folder = mkdtempSync(join(tmpdir(), 'tutti-family-'));
  const [store, log] = [join(folder, 'tasks.db'), join(folder, 'executions.log')];
  const start = (life: number): ChildProcess =>
    fork(new URL('./family-process.ts', import.meta.url).pathname, [store, log, String(life), place], {
      execArgv: ['--disable-warning=ExperimentalWarning', '--conditions=tutti-source'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  const children: ChildProcess[] = [];
  try {
    const first = start(1);
    children.push(first);
    first.once('message', () => first.send('cancel'));
    const [, signal] = (await once(first, 'exit')) as [number | null, string | null];
    assert.equal(signal, 'SIGKILL', 'it died where it should');
    const second = start(2);
    children.push(second);
    const [ending] = (await Promise.race([
      once(second, 'message'),
      once(second, 'exit').then(([code]) => Promise.reject(new Error(`the second process ended by itself: ${code}`))),
    ])) as [Ending];
    await once(second, 'exit');
    const lines = readLines(log);
    return { ending, lines, of: (what, life) => lines.filter((l) => l[0] === what && Number(l[1]) === life) };
  } finally {
    for (const c of children) c.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

const limit = { timeout: 120_000 };

test('killed between the last child and finalize: finalize follows, neither run nor a child is run again', limit, async () => {
  const { ending, of, lines } = await killedAt('gap');
  assert.deepEqual([ending.state, ending.result, ending.repairs], ['complete', { upload: { sum: 3 } }, 0]);
  assert.ok(lines.some((l) => l[0] === 'kill' && l[1] === 'gap'));
  assert.deepEqual([of('run', 1).length, of('part', 1).length, of('finalize', 1).length], [1, 3, 0]);
  assert.deepEqual([of('run', 2).length, of('part', 2).length, of('finalize', 2)], [0, 0, [['finalize', '2', '1', '{"plan":3}']]]);
});

test('killed inside finalize: finalize is tried again, by its own count, and nothing else', limit, async () => {
  const { ending, of } = await killedAt('finalize');
  assert.deepEqual([ending.state, ending.result, ending.repairs], ['complete', { upload: { sum: 3 } }, 0]);
  assert.deepEqual(of('finalize', 1), [['finalize', '1', '1', '{"plan":3}']]);
  assert.deepEqual([of('run', 2).length, of('part', 2).length, of('finalize', 2)], [0, 0, [['finalize', '2', '2', '{"plan":3}']]]);
  assert.deepEqual(ending.steps[0], ['upload', 'complete', 1]);
});

test('killed in the middle of a spawnAll of 2,000: the retry adopts what was there and asks for the rest, none twice', limit, async () => {
  const { ending, of, lines } = await killedAt('spawn');
  assert.deepEqual([ending.state, ending.result, ending.repairs], ['complete', { upload: { sum: (1_999 * 2_000) / 2 } }, 0]);
  assert.equal(ending.steps.length, 2_001);
  assert.deepEqual([of('run', 1).length, of('spawned', 1).length, of('run', 2), of('spawned', 2)], [1, 0, [['run', '2', '2']], [['spawned', '2', '2000']]]);
  const ran = new Map<string, Set<string>>();
  for (const [what, , i, attempt] of lines) {
    if (what !== 'part') continue;
    const attempts = ran.get(i) ?? new Set();
    assert.ok(!attempts.has(attempt), `part ${i}: attempt ${attempt} ran twice (I6)`);
    ran.set(i, attempts.add(attempt));
  }
  assert.equal(ran.size, 2_000);
  // Only what was running at the kill ran a second time.
  assert.ok([...ran.values()].filter((a) => a.size > 1).length <= 8);
});

test('killed while abort hooks run: each hook comes to an end, and no step runs again', limit, async () => {
  const { ending, of } = await killedAt('abort');
  assert.deepEqual([ending.state, ending.repairs], ['cancelled', 0]);
  assert.deepEqual([of('run', 2).length, of('part', 2).length, of('finalize', 2).length], [0, 0, 0]);
  const undone = new Set([...of('undone', 1), ...of('undone', 2)].map((l) => l[2]));
  assert.deepEqual([...undone].sort(), ['0', '1', '2', 'upload']);
  assert.deepEqual(
    of('abort', 2).filter((l) => l[2] === '1'),
    [['abort', '2', '1', '2']],
    'the hook that the kill took is its second attempt',
  );
});
