import { setTimeout as sleep } from 'node:timers/promises';
import type { PlanHandle, PlanView } from 'tutti';
import { LiveRegion } from '../src/cli/live-region.ts';
import { drawPlan } from '../src/cli/plan-bars.ts';
import type { Terminal } from '../src/cli/terminal.ts';
import { planToWire } from '../src/contract/plan-to-wire.ts';

const FRAME_MS = 100;

/** Shows a plan until it has ended: bars in place on a terminal, else a line a batch. */
export async function followPlan(plan: PlanHandle, out: Terminal): Promise<PlanView> {
  const region = new LiveRegion(out);
  const lines = (p: PlanView): string[] => drawPlan(planToWire(p, 10), { width: out.columns, paint: out.paint, maxLines: 10 });
  const told = new Set<number>();
  const show = (p: PlanView): void => {
    if (out.live) region.draw(lines(p));
    else {
      for (const b of p.batches) {
        if (b.finishedAtMs === null || told.has(b.batchSequence)) continue;
        told.add(b.batchSequence);
        out.write(`${p.taskType}  batch ${b.batchSequence}  ${b.taskState}  ${b.subtasks.complete} of ${b.subtasks.total} complete\n`);
      }
    }
  };
  const done = plan.done();
  for (let ended = false; !ended; ) {
    show(await plan.view());
    ended = await Promise.race([done.then(() => true), sleep(FRAME_MS).then(() => false)]);
  }
  const last = await done;
  show(last);
  if (out.live) region.keep();
  else out.write(`${lines(last).join('\n')}\n`);
  return last;
}
