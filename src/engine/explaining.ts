/** Why steps are not running, as the engine answers it: core/explain.ts with what only the engine knows. */
import { explainStep } from '../core/explain.ts';
import type { TaskGraph } from '../core/graph.ts';
import { stepUuid } from '../core/ids.ts';
import type { EngineParts } from './engine-parts.ts';
import { statesOf } from './step-views.ts';
import type { ExplainView } from './views.ts';

/** Finding a step's place in the queue looks at the queue: not for more than this many at once. */
const PLACES = 200;
/** Steps explained, and a hundred times as many places in the queue looked at, before whoever waits on the loop goes first. */
const SLICE = 1000;

export interface Explaining {
  draining: () => boolean;
  storeWritable: () => boolean;
  pause: () => Promise<void>;
}

/** Of a large task each slice is as of its own moment. */
export async function explainSteps(p: EngineParts, g: TaskGraph, nos: readonly number[], o: Explaining): Promise<ExplainView[]> {
  const views: ExplainView[] = [];
  const places = nos.length <= PLACES;
  let done = 0;
  for (const no of nos) {
    if (done >= SLICE) {
      await o.pause();
      done = 0;
    }
    done += 1 + g.shape.deps[no].length + (places ? p.queue.size / 100 : 0);
    views.push(explainOne(p, g, no, places, o));
  }
  return views;
}

function explainOne(p: EngineParts, g: TaskGraph, no: number, place: boolean, o: Explaining): ExplainView {
  const { handler } = g.shape.rules[no];
  const slots = p.dispatcher.slotsFor(handler);
  const gates = explainStep(g, no, {
    draining: o.draining(),
    storeWritable: o.storeWritable(),
    now: p.host.now(),
    slots: slots.total,
    slotsUsed: slots.used,
    hasHandler: p.dispatcher.hasHandler(handler),
    cancelable: g.shape.rules[no].cancelable && p.dispatcher.traits(handler).cancelable,
    ahead: place ? p.queue.ahead(g, no) : null,
    lastSignAt: p.dispatcher.active(g.id, no)?.lastSign ?? null,
  });
  return {
    stepId: stepUuid(g.id, no, p.store.tag),
    name: g.shape.names[no],
    state: statesOf(g.state[no]).state,
    runnable: gates.length === 1 && (gates[0].kind === 'starting' || gates[0].kind === 'slots'),
    gates,
  };
}
