/**
 * Follows a plan to its end by asking for it again and again. On a terminal: bars, drawn again as things happen. Elsewhere: one line a
 * change; with `json`, the plan as it then is, one object a line.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { WirePlan } from '../contract/plan-wire.ts';
import { type HttpClient, ServerUnreachable } from '../sdk/client/http-client.ts';
import type { CommandContext } from './context.ts';
import { CommandError, EXIT } from './exit-code.ts';
import { LiveRegion } from './live-region.ts';
import { drawPlan, isLive } from './plan-bars.ts';
import { clockTime, printable } from './terminal.ts';

const POLL_MS = 500;
/** Answers in a row that may fail to come. */
const PATIENCE = 20;
const LAST_BATCHES = 50;

interface Screen {
  show(p: WirePlan): void;
  lost(): void;
  done(): void;
}

/** Resolves with the plan as it ended. Throws CommandError(interrupted) when the person stopped watching: the plan goes on. */
export const watchPlan = async (ctx: CommandContext, client: HttpClient, planId: string, o: { json?: boolean; pollMs?: number } = {}): Promise<WirePlan> => {
  const screen = o.json ? jsonLines(ctx) : ctx.out.live ? bars(ctx) : lines(ctx);
  let failures = 0;
  for (;;) {
    try {
      const plan = await client.plans.get(planId, { batches: LAST_BATCHES });
      failures = 0;
      screen.show(plan);
      if (!isLive(plan)) {
        screen.done();
        return plan;
      }
    } catch (e) {
      if (!(e instanceof ServerUnreachable) || ++failures > PATIENCE) throw e;
      screen.lost();
    }
    await sleep(o.pollMs ?? POLL_MS, undefined, { signal: ctx.interrupted }).catch(() => undefined);
    if (ctx.interrupted.aborted) {
      screen.done();
      throw new CommandError(EXIT.interrupted, `stopped watching; the plan goes on: tutti plan watch ${planId}`);
    }
  }
};

const bars = (ctx: CommandContext): Screen => {
  const region = new LiveRegion(ctx.out);
  let last: string[] = [];
  return {
    show(p) {
      last = drawPlan(p, { width: ctx.out.columns, maxLines: Math.max(6, ctx.out.rows - 2), paint: ctx.out.paint });
      region.draw(last);
    },
    lost: () => region.draw([...last, ctx.out.paint('yellow', '  the server does not answer; trying again')]),
    done: () => region.keep(),
  };
};

const lines = (ctx: CommandContext): Screen => {
  const told = new Map<string, string>();
  const tell = (key: string, text: string, at: number): void => {
    if (told.get(key) === text) return;
    told.set(key, text);
    ctx.line(`${clockTime(at)}  ${text}`);
  };
  return {
    show(p) {
      for (const b of p.batches) {
        const { complete, total, failed } = b.subtasks;
        const counts = b.finishedAtMs === null ? '' : `  ${complete} of ${total} complete${failed > 0 ? `, ${failed} failed` : ''}`;
        tell(`batch ${b.batchSequence}`, `batch ${b.batchSequence}  ${b.taskState ?? 'GONE'}${counts}`, b.finishedAtMs ?? b.submittedAtMs);
      }
      const why = p.blocked === null ? p.statusMessage : `blocked: ${p.blocked}`;
      const progress = `${p.inputsProcessed} of ${p.inputsToProcess} ${p.inputUnit}`;
      tell('plan', `plan is ${p.status}  ${progress}  ${printable(why)}`, p.endedAtMs ?? p.updatedAtMs);
    },
    lost: () => undefined,
    done: () => undefined,
  };
};

const jsonLines = (ctx: CommandContext): Screen => {
  let last = '';
  return {
    show(plan) {
      const text = JSON.stringify({ plan });
      if (text !== last) ctx.line(text);
      last = text;
    },
    lost: () => undefined,
    done: () => undefined,
  };
};

export const exitCodeOfPlan = (p: Pick<WirePlan, 'status'>): number => (p.status === 'COMPLETED' ? EXIT.ok : EXIT.taskFailed);
