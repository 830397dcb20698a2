/**
 * Kills a loaded server again and again, then counts. The server dies by SIGKILL; its client, its handlers' log and its store file
 * live on. What a client was told must be so for ever (I10), each attempt is counted before it runs (I6), each result once (I4).
 */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { EngineMetrics } from '../../src/engine/facade.ts';
import type { TaskView } from '../../src/engine/views.ts';
import { Tutti } from '../../src/main.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { mend, readLines } from './execution-log.ts';

export interface KillOptions {
  kills: number;
  seed: number;
  /** Longest life after the server said it was ready. */
  maxLifeMs: number;
  note?: (line: string) => void;
}

export interface KillFacts {
  kills: number;
  /** Kills that hit at least one handler between its first line and its last. */
  inFlight: number;
  acknowledged: number;
  executions: number;
  interrupted: number;
  completedSteps: number;
  ends: Record<string, number>;
  seconds: number;
}

const here = (name: string): string => new URL(name, import.meta.url).pathname;

async function freePort(): Promise<number> {
  const s = createServer().listen(0, '127.0.0.1');
  await once(s, 'listening');
  const { port } = s.address() as { port: number };
  s.close();
  await once(s, 'close');
  return port;
}

const answer = <T>(child: ChildProcess, key: string): Promise<T> =>
  new Promise((resolve, reject) => {
    const heard = (m: unknown): void => {
      if (typeof m === 'object' && m !== null && key in m) {
        child.off('message', heard);
        child.off('exit', gone);
        resolve((m as Record<string, T>)[key]);
      }
    };
    const gone = (code: number | null, signal: string | null): void => reject(new Error(`the server ended by itself: code ${code}, signal ${signal}`));
    child.on('message', heard);
    child.on('exit', gone);
  });

export async function killRun(o: KillOptions): Promise<KillFacts> {
  const began = Date.now();
  const folder = mkdtempSync(join(tmpdir(), 'tutti-crash-'));
  const store = join(folder, 'tasks.db');
  const executions = join(folder, 'executions.log');
  const acknowledgements = join(folder, 'client.log');
  const random = new SeededRandom(o.seed);
  const port = await freePort();
  const children = new Set<ChildProcess>();
  const start = (file: string, args: string[]): ChildProcess => {
    const child = fork(here(file), args, { execArgv: ['--disable-warning=ExperimentalWarning'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    children.add(child);
    child.once('exit', () => children.delete(child));
    return child;
  };
  try {
    const client = start('./submitting-client.ts', [String(port), acknowledgements, '120']);
    let inFlight = 0;
    for (let life = 1; life <= o.kills; life++) {
      const server = start('./loaded-server.ts', [store, String(port), executions, String(life)]);
      await answer(server, 'ready');
      await pause(random.int(30, o.maxLifeMs));
      const dead = once(server, 'exit');
      server.kill('SIGKILL');
      await dead;
      mend(executions);
      if (interruptedIn(executions, life) > 0) inFlight++;
      o.note?.(`kill ${life}: ${inFlight} in flight so far`);
    }
    client.send('stop');
    await once(client, 'exit');
    // The last start: everything runs to its end.
    const server = start('./loaded-server.ts', [store, String(port), executions, String(o.kills + 1)]);
    await answer(server, 'ready');
    const metrics = await drained(server);
    assert.equal(metrics.reconcilerRepairs, 0, 'the reconciler repaired something');
    const over = once(server, 'exit');
    server.send('stop');
    assert.deepEqual((await over)[0], 0, 'the last server ended in order');
    return { kills: o.kills, inFlight, ...(await count(store, executions, acknowledgements)), seconds: Math.round((Date.now() - began) / 100) / 10 };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

async function drained(server: ChildProcess): Promise<EngineMetrics> {
  const limit = Date.now() + 60_000;
  for (;;) {
    const asked = answer<EngineMetrics>(server, 'metrics');
    server.send('metrics');
    const m = await asked;
    const live = Object.entries(m.tasks).filter(([state, n]) => n > 0 && !['complete', 'error', 'cancelled', 'resolved_manually'].includes(state));
    if (live.length === 0 && m.slots.used === 0 && m.ready === 0) return m;
    assert.ok(Date.now() < limit, `tasks are stuck: ${JSON.stringify({ live, slots: m.slots, ready: m.ready })}`);
    await pause(50);
  }
}

/** Handlers of a life that began and never said how it ended. */
function interruptedIn(executions: string, life: number): number {
  const open = new Set<string>();
  for (const [what, ofLife, ...rest] of readLines(executions)) {
    if (Number(ofLife) !== life) continue;
    if (what === 'begin') open.add(`${rest[1]}/${rest[2]}/${rest[3]}`);
    else open.delete(`${rest[0]}/${rest[1]}/${rest[2]}`);
  }
  return open.size;
}

async function count(store: string, executions: string, acknowledgements: string): Promise<Omit<KillFacts, 'kills' | 'inFlight' | 'seconds'>> {
  const acknowledged = new Set<string>();
  const seen = new Map<string, { at: number; result: string }>();
  for (const [what, ...rest] of readLines(acknowledgements)) {
    if (what === 'ack') acknowledged.add(rest[0]);
    else if (what === 'saw') {
      const key = `${rest[1]}/${rest[2]}`;
      const before = seen.get(key);
      if (before === undefined) seen.set(key, { at: Number(rest[0]), result: rest[3] });
      else assert.equal(rest[3], before.result, `${key}: a client saw two results (I4)`);
    } else assert.fail(`the client met ${rest.join(' ')}`);
  }
  const begun = new Map<string, number>();
  const ended = new Set<string>();
  let interrupted = 0;
  for (const [what, ...rest] of readLines(executions)) {
    if (what === 'begin') {
      const [, at, task, step, attempt, most] = rest;
      const key = `${task}/${step}`;
      assert.ok(Number(attempt) <= Number(most), `${key}: attempt ${attempt} of ${most} (I6)`);
      assert.ok(Number(attempt) > (begun.get(key) ?? 0), `${key}: attempt ${attempt} began twice (I6)`);
      begun.set(key, Number(attempt));
      const known = seen.get(key);
      assert.ok(known === undefined || Number(at) <= known.at, `${key}: ran again after a client saw it complete (I4)`);
      interrupted++;
    } else if (what === 'end' || what === 'fail') {
      interrupted--;
      if (what === 'end') ended.add(rest.slice(1).join('/'));
    }
  }
  // Read back through the API of a process that has nothing to do.
  const tutti = await Tutti.open({ store, slots: 0, retention: false });
  try {
    const { engine } = tutti;
    const all: TaskView[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await engine.list({ limit: 100, ...(cursor === undefined ? {} : { cursor }) });
      all.push(...page.tasks);
      if (page.nextCursor === null) break;
      cursor = page.nextCursor;
    }
    const stored = new Map(all.map((t) => [t.id, t]));
    for (const id of acknowledged) assert.ok(stored.has(id), `task ${id} was acknowledged and is gone (I10)`);
    const ends: Record<string, number> = {};
    let completedSteps = 0;
    for (const t of all) {
      ends[t.state] = (ends[t.state] ?? 0) + 1;
      assert.ok(t.state === 'complete' || t.state === 'error', `task ${t.id} is ${t.state}`);
      const steps = await engine.steps(t.id, { results: true });
      const completions = new Map<string, number>();
      for await (const e of engine.events(t.id)) {
        if (e.type !== 'step.state' || e.data.state !== 'complete') continue;
        const name = e.data.step as string;
        completions.set(name, (completions.get(name) ?? 0) + 1);
      }
      for (const s of steps) {
        const key = `${t.id}/${s.name}`;
        assert.ok(s.attempts <= s.maxAttempts, `${key}: ${s.attempts} attempts (I6)`);
        assert.ok((begun.get(key) ?? 0) <= s.attempts, `${key}: attempt ${begun.get(key)} ran, ${s.attempts} are counted (I6)`);
        const known = seen.get(key);
        if (known !== undefined) assert.equal(JSON.stringify(s.result), known.result, `${key}: a result that a client saw is gone (I10)`);
        if (s.state === 'complete') {
          completedSteps++;
          assert.equal(completions.get(s.name), 1, `${key}: completed ${completions.get(s.name)} times in its log (I4)`);
          assert.ok(ended.has(`${key}/${(s.result as { by: string }).by.split('/')[1]}`), `${key}: result of an attempt that never ended`);
        } else {
          assert.ok(!completions.has(s.name), `${key} is ${s.state} and its log completed it`);
          if (s.state === 'error') assert.equal(s.attempts, s.maxAttempts, `${key}: gave up early`);
          else assert.equal(s.state, 'cancelled', key);
        }
      }
      if (t.state === 'error')
        assert.ok(
          steps.some((s) => s.state === 'error'),
          `task ${t.id}: error without a failed step`,
        );
    }
    return { acknowledged: acknowledged.size, executions: begun.size, interrupted, completedSteps, ends };
  } finally {
    await tutti.close();
  }
}
