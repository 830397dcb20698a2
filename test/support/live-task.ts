/** What tests on the real, embedded engine wait for and look at. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { type AnyTemplate, type StepView, type TaskHandle, type TemplateRegistration, Tutti, type UntypedStepContext } from '../../src/main.ts';

export type Work = (ctx: UntypedStepContext) => unknown;
export const quiet = (): void => undefined;

/** An engine on a store in memory, closed with the test. */
export async function opened(
  t: TestContext,
  templates: (AnyTemplate | TemplateRegistration)[],
  more: { handlers?: Record<string, Work>; slots?: number } = {},
): Promise<Tutti> {
  const tutti = await Tutti.open({ store: ':memory:', templates, logger: quiet, ...more });
  t.after(() => tutti.close({ drain: 0 }));
  return tutti;
}

/** Path of a store file that goes with the test. */
export function storeFile(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'tutti-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return path.join(folder, 'a.db');
}

/** A place where handlers wait until the test lets them go on; who comes after that passes. */
export class Hold {
  readonly #held: (() => void)[] = [];
  readonly #tell: (() => void)[] = [];
  #isOpen = false;
  arrived = 0;

  /** Called by a handler. */
  wait(): Promise<void> {
    this.arrived++;
    for (const tell of this.#tell.splice(0)) tell();
    return this.#isOpen ? Promise.resolve() : new Promise((done) => void this.#held.push(done));
  }

  /** Resolves when so many have come. */
  async until(n: number): Promise<void> {
    while (this.arrived < n) await new Promise<void>((done) => void this.#tell.push(done));
  }

  open(): void {
    this.#isOpen = true;
    this.letGo();
  }

  /** Those who wait now go on. */
  letGo(): void {
    for (const done of this.#held.splice(0)) done();
  }
}

/** By name: the state of each step, with the reason of those that were cancelled. */
export const statesOf = (steps: readonly StepView[]): Record<string, string> =>
  Object.fromEntries(steps.map((s) => [s.name, s.reason === null ? s.state : `${s.state} (${s.reason})`]));
/** Of the steps that exist. */
export const shown = async (task: TaskHandle): Promise<Record<string, string>> => statesOf(await task.steps());
/** Of those that do not as well. */
export const whole = async (tutti: Tutti, task: TaskHandle): Promise<Record<string, string>> =>
  statesOf(await tutti.engine.steps(task.id, { includeNotTaken: true }));

/** Waits for the event that says so. */
export async function taskIs(task: TaskHandle, state: string): Promise<void> {
  for await (const e of task.events()) if (e.type === 'task.state' && e.data.state === state) return;
  assert.fail(`the task ended without being ${state}`);
}

/** Waits for the event that says so. */
export async function stepIs(task: TaskHandle, name: string, state: string): Promise<void> {
  for await (const e of task.events()) if (e.type === 'step.state' && e.data.step === name && e.data.state === state) return;
  assert.fail(`the task ended without ${name} being ${state}`);
}
