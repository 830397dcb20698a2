/**
 * The templates that are measured. Every handler counts that it ran, so that "each step ran once" is checked and not believed.
 * Inputs and results are 200 bytes of JSON.
 */
import { template, type UntypedStepContext, type UntypedTemplate } from '../src/main.ts';

/** Bytes of JSON of every input and result. */
const PAYLOAD = 200;

/** Paddings by the number of characters of the value before them. */
const pads: string[] = [];

function padFor(value: number): string {
  const characters = String(value).length;
  return (pads[characters] ??= 'x'.repeat(PAYLOAD - '{"v":,"pad":""}'.length - characters));
}

/** 200 bytes of JSON around an input's number. */
export const input = (i: number): { i: number; pad: string } => ({ i, pad: padFor(i) });

/** 200 bytes of JSON around a result's number. */
export const output = (v: number): { v: number; pad: string } => ({ v, pad: padFor(v) });

/** How often each step body ran: step `k` of task `i` in a graph of `steps` steps. */
export class Tally {
  readonly #steps: number;
  readonly #ran: Uint8Array;

  constructor(tasks: number, steps: number) {
    this.#steps = steps;
    this.#ran = new Uint8Array(tasks * steps);
  }

  ran(task: number, step: number): void {
    this.#ran[task * this.#steps + step]++;
  }

  /** Throws unless every step of tasks from..to-1 ran exactly once. */
  verifyOnce(from: number, to: number): void {
    for (let at = from * this.#steps; at < to * this.#steps; at++) {
      if (this.#ran[at] !== 1) throw new Error(`wrong result: step ${at % this.#steps} of task ${Math.floor(at / this.#steps)} ran ${this.#ran[at]} times`);
    }
  }
}

const begin = (name: string): UntypedTemplate => template<{ i: number; pad: string }>(`bench/${name}@1.0.0`).untyped();

const indexOf = (ctx: UntypedStepContext): number => (ctx.input as { i: number }).i;

/** The number in `results[step]`, whether of a handler's context or of a whole task. */
export const valueOf = (results: unknown, step: string): number => (results as Record<string, { v: number }>)[step].v;

/** s0 → s1 → …; each gives its predecessor's value + 1, so the last gives n. */
export function chain(n: number, tally: Tally): UntypedTemplate {
  let built = begin(`chain_${n}`);
  for (let k = 0; k < n; k++) {
    const before = `s${k - 1}`;
    built = built.step(`s${k}`, { after: k === 0 ? [] : [before] }, (ctx) => {
      tally.ran(indexOf(ctx), k);
      return output(k === 0 ? 1 : valueOf(ctx.results, before) + 1);
    });
  }
  return built;
}

/** A → B1..B4 → C; A gives 10, Bk gives A + k, C their sum: 50. */
export function diamond(tally: Tally): UntypedTemplate {
  let built = begin('diamond').step('A', {}, (ctx) => {
    tally.ran(indexOf(ctx), 0);
    return output(10);
  });
  const middle = [1, 2, 3, 4].map((k) => `B${k}`);
  for (const [at, name] of middle.entries()) {
    built = built.step(name, { after: ['A'] }, (ctx) => {
      tally.ran(indexOf(ctx), at + 1);
      return output(valueOf(ctx.results, 'A') + at + 1);
    });
  }
  return built.step('C', { after: middle }, (ctx) => {
    tally.ran(indexOf(ctx), 5);
    return output(middle.reduce((sum, name) => sum + valueOf(ctx.results, name), 0));
  });
}

export const DIAMOND_STEPS = 6;
export const DIAMOND_RESULT = 50;

/** One step. `began` hears of each start. */
export function single(tally: Tally, began?: () => void): UntypedTemplate {
  return begin('single').step('only', {}, (ctx) => {
    began?.();
    tally.ran(indexOf(ctx), 0);
    return output(indexOf(ctx));
  });
}

/** n steps that need nothing, and a join that adds what they gave: n (n - 1) / 2. */
export function fan(n: number, tally: Tally): UntypedTemplate {
  let built = begin(`fan_${n}`);
  const names: string[] = [];
  for (let k = 0; k < n; k++) {
    names.push(`l${k}`);
    built = built.step(`l${k}`, {}, (ctx) => {
      tally.ran(indexOf(ctx), k);
      return output(k);
    });
  }
  return built.step('join', { after: names }, async (ctx) => {
    tally.ran(indexOf(ctx), n);
    let sum = 0;
    let count = 0;
    // By iteration: above 1 MiB in all, results cannot be read by name.
    for await (const [, value] of ctx.results) {
      sum += (value as { v: number }).v;
      count++;
    }
    return { v: sum, count };
  });
}

export const fanSum = (n: number): number => (n * (n - 1)) / 2;
