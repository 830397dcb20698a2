/** Why steps are not running, as the engine answers it: core/explain.ts with what only the engine knows. */
import { explainStep } from '../core/explain.ts';
import type { TaskGraph } from '../core/graph.ts';
import { stepUuid } from '../core/ids.ts';
import type { EngineParts } from './engine-parts.ts';
import { statesOf } from './step-views.ts';
import type { ExplainView } from './views.ts';

/** Finding a step's place in the queue looks at the queue: not for more than this many at once. */
const PLACES = 200;

export function explainSteps(p: EngineParts, g: TaskGraph, nos: readonly number[], now: { draining: boolean; storeWritable: boolean }): ExplainView[] {
  return nos.map((no) => {
    const { handler } = g.shape.rules[no];
    const slots = p.dispatcher.slotsFor(handler);
    const gates = explainStep(g, no, {
      ...now,
      now: p.host.now(),
      slots: slots.total,
      slotsUsed: slots.used,
      hasHandler: p.dispatcher.hasHandler(handler),
      cancelable: g.shape.rules[no].cancelable && p.dispatcher.traits(handler).cancelable,
      ahead: nos.length > PLACES ? null : p.queue.ahead(g, no),
      lastSignAt: p.dispatcher.active(g.id, no)?.lastSign ?? null,
    });
    return {
      stepId: stepUuid(g.id, no, p.store.tag),
      name: g.shape.names[no],
      state: statesOf(g.state[no]).state,
      runnable: gates.length === 1 && (gates[0].kind === 'starting' || gates[0].kind === 'slots'),
      gates,
    };
  });
}
