/** What a workload stands on: a fresh folder, an engine over a real file in it, and the few ways of driving it that they share. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TaskHandle, Tutti, type UntypedTemplate } from '../src/main.ts';
import { DIAMOND_RESULT, DIAMOND_STEPS, diamond, input, Tally, valueOf } from './graphs.ts';
import type { Facts, Order } from './order.ts';
import { type Size, verify } from './workload.ts';

/** Concurrent callers of the workloads that submit one by one. */
export const CALLERS = 50;

export class Bed {
  readonly dir: string;
  readonly size: Size;
  readonly slots: number;
  readonly facts: Facts = {};
  #open: Tutti | null = null;

  constructor(order: Order) {
    this.dir = order.dir;
    this.size = order.size;
    this.slots = order.slots;
  }

  get file(): string {
    return join(this.dir, 'bench.db');
  }

  /** Bytes of the store's file; its journal is gone once it is closed. */
  get bytes(): number {
    return statSync(this.file).size;
  }

  pick<T>(quick: T, full: T): T {
    return this.size === 'quick' ? quick : full;
  }

  async open(templates: readonly UntypedTemplate[], slots: number = this.slots): Promise<Tutti> {
    this.#open = await Tutti.open({ store: this.file, templates, slots });
    return this.#open;
  }

  /** Tasks with inputs from `first` on, in one call; resolves when all of them are durable. */
  submitMany(template: UntypedTemplate, count: number, first: number): Promise<TaskHandle[]> {
    return this.#running.submitMany(template, inputs(first, count));
  }

  /** Resolves when `count` tasks have completed since the store was opened: durably, the engine counts after the commit. */
  async completed(count: number): Promise<void> {
    while (this.#running.engine.metrics().finished['complete'] < count) await new Promise((next) => setTimeout(next, 1));
  }

  /** Tasks in the file, as another connection sees them. */
  get stored(): number {
    const db = new DatabaseSync(this.file, { readOnly: true });
    const { n } = db.prepare('select count(*) as n from tasks').get() as { n: number };
    db.close();
    return n;
  }

  get #running(): Tutti {
    if (this.#open === null) throw new Error('nothing is open');
    return this.#open;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const tutti = this.#open;
    if (tutti === null) return;
    this.#open = null;
    const { description, flushes } = tutti.storeFacts();
    this.facts.store = description;
    this.facts.flushes = (this.facts.flushes ?? 0) + flushes;
    await tutti.close();
  }
}

function* inputs(first: number, count: number): Generator<ReturnType<typeof input>> {
  for (let at = 0; at < count; at++) yield input(first + at);
}

/** `fn` for 0..count-1, at most `width` at once. */
export async function pool(count: number, width: number, fn: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await fn(next++);
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, lane));
}

/** Diamonds submitted by 50 callers, timed from the first submission to the last durable completion. */
export class Diamonds {
  readonly template: UntypedTemplate;
  readonly #tally: Tally;
  #next = 0;

  constructor(capacity: number) {
    this.#tally = new Tally(capacity, DIAMOND_STEPS);
    this.template = diamond(this.#tally);
  }

  /** Steps per second over `count` diamonds. */
  async run(tutti: Tutti, count: number): Promise<number> {
    const from = this.#next;
    this.#next += count;
    const ends: Promise<void>[] = [];
    const start = performance.now();
    await pool(count, CALLERS, async (i) => {
      const task = await tutti.submit(this.template, input(from + i));
      ends.push(task.result().then((result) => verify(valueOf(result, 'C') === DIAMOND_RESULT, `a diamond gave ${JSON.stringify(result)}`)));
    });
    await Promise.all(ends);
    const ms = performance.now() - start;
    this.#tally.verifyOnce(from, from + count);
    return ((DIAMOND_STEPS * count) / ms) * 1000;
  }
}
