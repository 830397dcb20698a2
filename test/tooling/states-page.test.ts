/** docs/states.md draws the two machines; this compares every (state, event) of its tables with the functions that decide. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { baseState, isStepSuccessful, isStepTerminal, nextStepState, STEP_EVENTS, STEP_STATES, type StepState } from '../../src/core/step-states.ts';
import { isTaskTerminal, nextTaskState, TASK_EVENTS, TASK_STATES, type TaskState } from '../../src/core/task-states.ts';

const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/states.md'), 'utf8');
const plain = (cell: string): string => cell.trim().replaceAll('`', '');
const rowsOf = (text: string): string[][] =>
  text
    .split('\n')
    .filter((l) => l.startsWith('| `') || l.startsWith('| any'))
    .map((l) => l.split('|').slice(1, -1).map(plain));

/** (state, event) -> state as the table between two markers has it. */
function tableOf(name: string, states: readonly string[], isTerminal: (s: number) => boolean): Map<string, string> {
  const body = new RegExp(`<!-- ${name}:[^>]*-->([^]*?)<!-- /${name} -->`).exec(page)?.[1];
  assert.ok(body, `docs/states.md has no ${name}`);
  const moves = new Map<string, string>();
  for (const [from, event, to] of rowsOf(body)) {
    const sources = from === 'any live' ? states.filter((_, i) => !isTerminal(i)) : [from];
    for (const source of sources) {
      assert.ok(states.includes(source) && states.includes(to), `unknown state in ${from} | ${event} | ${to}`);
      assert.ok(!moves.has(`${source} ${event}`), `${source}, ${event} is listed twice`);
      moves.set(`${source} ${event}`, to);
    }
  }
  return moves;
}

/** Arrows of a drawing that carry an event. */
const arrowsOf = (heading: string): string[] => {
  const drawing = page.slice(page.indexOf(heading)).split('```')[1];
  return [...drawing.matchAll(/^\s*(\w+) --> (\w+): (\w+)$/gm)].map(([, from, to, event]) => `${from} ${event} ${to}`);
};

function compare(moves: Map<string, string>, states: readonly string[], events: readonly string[], next: (s: number, e: number) => number | undefined): void {
  const decided = new Map<string, string>();
  states.forEach((state, s) => {
    events.forEach((event, e) => {
      const to = next(s, e);
      if (to !== undefined) decided.set(`${state} ${event}`, states[to]);
    });
  });
  assert.deepEqual(Object.fromEntries(moves), Object.fromEntries(decided));
}

describe('docs/states.md', () => {
  const tasks = tableOf('task-table', TASK_STATES, isTaskTerminal);
  const steps = tableOf('step-table', STEP_STATES, isStepTerminal);

  test('has the legal moves of a task and no others', () => {
    compare(tasks, TASK_STATES, TASK_EVENTS, (s, e) => nextTaskState(s as TaskState, TASK_EVENTS[e]));
  });

  test('has the legal moves of a step and no others', () => {
    compare(steps, STEP_STATES, STEP_EVENTS, (s, e) => nextStepState(s as StepState, STEP_EVENTS[e]));
  });

  test('draws only moves that its tables have', () => {
    for (const [heading, moves] of [
      ['## Task: twelve states', tasks],
      ['## Step: ten states', steps],
    ] as const) {
      const arrows = arrowsOf(heading);
      assert.ok(arrows.length > 10);
      for (const arrow of arrows) {
        const [from, event, to] = arrow.split(' ');
        assert.equal(moves.get(`${from} ${event}`), to, arrow);
      }
    }
  });

  test('says of each step state how it is stored, whether it is terminal, what it lets start and its base state', () => {
    const rows = rowsOf(page.slice(page.indexOf('## Step: ten states'), page.indexOf('### Legal moves of a step')));
    assert.deepEqual(
      rows.map((r) => r[0]),
      [...STEP_STATES],
    );
    rows.forEach(([, stored, terminal, lets, base], s) => {
      assert.equal(Number(stored), s);
      assert.equal(terminal === 'yes', isStepTerminal(s));
      assert.equal(lets === 'yes', isStepSuccessful(s));
      assert.equal(base, baseState(s));
    });
  });

  test('says of each task state how it is stored and whether it is terminal', () => {
    const rows = rowsOf(page.slice(page.indexOf('## Task: twelve states'), page.indexOf('### Legal moves of a task')));
    assert.deepEqual(
      rows.map((r) => r[0]),
      [...TASK_STATES],
    );
    rows.forEach(([, stored, terminal], s) => {
      assert.equal(Number(stored), s);
      assert.equal(terminal === 'yes', isTaskTerminal(s));
    });
  });
});
