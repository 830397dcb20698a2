/** Both machines over every (state, event): the table is written out here a second time, as a person would check it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { baseState, isStepTerminal, nextStepState, STEP_EVENTS, STEP_STATES, type StepState } from '../../src/core/step-states.ts';
import { isTaskTerminal, nextTaskState, TASK_EVENTS, TASK_STATES, taskPath, type TaskState } from '../../src/core/task-states.ts';

const TASK_TABLE: Record<string, Record<string, string>> = {
  pending: { start: 'initializing' },
  initializing: { ready_steps_found: 'enqueuing_steps', no_steps_found: 'complete', no_dependencies_ready: 'waiting_for_dependencies' },
  enqueuing_steps: { steps_enqueued: 'steps_in_process', enqueue_failed: 'error' },
  steps_in_process: { step_completed: 'evaluating_results', step_failed: 'waiting_for_retry' },
  evaluating_results: {
    all_steps_successful: 'complete',
    ready_steps_found: 'enqueuing_steps',
    no_dependencies_ready: 'waiting_for_dependencies',
    permanent_failure: 'blocked_by_failures',
  },
  waiting_for_dependencies: { dependencies_ready: 'evaluating_results' },
  waiting_for_retry: { retry_ready: 'enqueuing_steps' },
  blocked_by_failures: { give_up: 'error', manual_resolution: 'resolved_manually' },
  complete: {},
  error: { reset: 'pending' },
  cancelled: {},
  resolved_manually: {},
};

test('task machine: every (state, event)', () => {
  let checked = 0;
  for (const [i, state] of TASK_STATES.entries()) {
    for (const event of TASK_EVENTS) {
      const terminal = i >= 8;
      let expected: string | undefined = TASK_TABLE[state][event];
      if (!terminal && event === 'cancel') expected = 'cancelled';
      if (!terminal && event === 'resolve_manually') expected = 'resolved_manually';
      const got = nextTaskState(i as TaskState, event);
      assert.equal(got === undefined ? undefined : TASK_STATES[got], expected, `${state} --${event}-->`);
      checked++;
    }
  }
  assert.equal(checked, 12 * 17);
  assert.deepEqual(
    TASK_STATES.filter((_, i) => isTaskTerminal(i)),
    ['complete', 'error', 'cancelled', 'resolved_manually'],
  );
});

const STEP_TABLE: Record<string, Record<string, string>> = {
  pending: { enqueue: 'enqueued', start: 'in_progress', wait_for_retry: 'waiting_for_retry' },
  enqueued: { start: 'in_progress', wait_for_retry: 'waiting_for_retry' },
  in_progress: {
    receive_result: 'enqueued_for_orchestration',
    complete: 'complete',
    wait_for_retry: 'waiting_for_retry',
    wait_for_children: 'waiting_for_children',
  },
  enqueued_for_orchestration: { complete: 'complete', wait_for_retry: 'waiting_for_retry', wait_for_children: 'waiting_for_children' },
  waiting_for_retry: { retry: 'pending' },
  waiting_for_children: { start: 'in_progress', complete: 'complete', wait_for_retry: 'waiting_for_retry' },
  complete: { reset: 'pending' },
  error: { reset: 'pending', complete_manually: 'complete', resolve_manually: 'resolved_manually' },
  cancelled: { reset: 'pending' },
  resolved_manually: { complete_manually: 'complete' },
};

test('step machine: every (state, event)', () => {
  let checked = 0;
  for (const [i, state] of STEP_STATES.entries()) {
    const terminal = i >= 6;
    for (const event of STEP_EVENTS) {
      let expected: string | undefined = STEP_TABLE[state][event];
      if (!terminal && event === 'cancel') expected = 'cancelled';
      if (!terminal && event === 'fail') expected = 'error';
      if (!terminal && event === 'complete_manually') expected = 'complete';
      if (!terminal && event === 'resolve_manually') expected = 'resolved_manually';
      const got = nextStepState(i as StepState, event);
      assert.equal(got === undefined ? undefined : STEP_STATES[got], expected, `${state} --${event}-->`);
      checked++;
    }
  }
  assert.equal(checked, 10 * 12);
  assert.deepEqual(
    STEP_STATES.filter((_, i) => isStepTerminal(i)),
    ['complete', 'error', 'cancelled', 'resolved_manually'],
  );
});

test('the eight states that seed 003 counts', () => {
  assert.deepEqual(
    STEP_STATES.map((_, i) => baseState(i)),
    ['pending', 'enqueued', 'in_progress', 'enqueued_for_orchestration', 'pending', 'in_progress', 'complete', 'error', 'cancelled', 'resolved_manually'],
  );
});

test('states passed through inside a commit are legal moves', () => {
  for (const [from] of TASK_STATES.entries()) {
    for (const [to] of TASK_STATES.entries()) {
      const via = taskPath(from as TaskState, to as TaskState);
      if (via === undefined) continue;
      const walk = [from, ...via, to] as TaskState[];
      for (let i = 1; i < walk.length; i++) {
        assert.ok(
          TASK_EVENTS.some((e) => nextTaskState(walk[i - 1], e) === walk[i]),
          `${TASK_STATES[walk[i - 1]]} to ${TASK_STATES[walk[i]]} on the way from ${TASK_STATES[from]} to ${TASK_STATES[to]}`,
        );
      }
    }
  }
  const name = (from: TaskState, to: TaskState): string[] | undefined => taskPath(from, to)?.map((s) => TASK_STATES[s]);
  assert.deepEqual(name(3, 8), ['evaluating_results']);
  assert.deepEqual(name(3, 9), ['evaluating_results', 'blocked_by_failures']);
  assert.deepEqual(name(0, 3), ['initializing', 'enqueuing_steps']);
  assert.deepEqual(name(6, 3), ['enqueuing_steps']);
  assert.equal(taskPath(8, 3), undefined);
});
