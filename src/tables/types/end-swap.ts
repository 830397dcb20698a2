/**
 * The end of a full swap. All that the plan loaded belongs to the swap, and is hidden while the table's current swap is another; the commit
 * that ends the plan names it as the current one, which is the whole switch. So it happens once, however often this is asked.
 */
import type { EndAnswer, PlanContext } from '../../sdk/plans/task-type.ts';
import { SWAP_KEY } from '../segments.ts';
import { failedCount } from './failed-inputs.ts';
import { filePrefix } from './file-registry.ts';
import type { IngestionState } from './ingestion-state.ts';
import { countOf, currentSwap, type ItemWrites, itemsOf, MAX_WRITES, removeSegment, segmentsOf, type TableTaskContext } from './table-task-context.ts';

type Context = PlanContext<IngestionState>;

export async function endSwap(x: TableTaskContext, ctx: Context, status: string, message: string): Promise<EndAnswer | undefined> {
  const s = ctx.state;
  const current = await currentSwap(ctx);
  // It has switched: this call was made again after a commit that nobody heard of.
  if (current === s.set) return undefined;
  const w: ItemWrites = { put: [], remove: [] };
  if (status === 'COMPLETED' && s.complete && failedCount(s.failed) === 0 && s.files > 0) {
    const old = await ctx.item(SWAP_KEY);
    w.put.push({ key: SWAP_KEY, body: { swap: s.set!, plan: ctx.planId, at: x.now() }, expect: old?.version ?? null });
    const left = await addRemoved(ctx, w, current, x.now());
    const rest = left ? ' The rest of the old segments are hidden, and removed by later plans.' : '';
    return { message: `${message} The table has switched to swap ${s.set}.${rest}`, changes: w };
  }
  await addRemoved(ctx, w, s.set, x.now());
  return { message: `${message} The table is as it was: not everything was loaded, so there was no swap.`, changes: w };
}

/** As much as one commit can take of a swap's segments and registry. Returns whether there is more. */
async function addRemoved(ctx: Context, w: ItemWrites, swap: string | null, at: number): Promise<boolean> {
  for await (const stored of segmentsOf(ctx)) {
    if (stored.segment.swap !== swap) continue;
    if (countOf(w) >= MAX_WRITES) return true;
    removeSegment(w, stored, at);
  }
  for await (const item of itemsOf(ctx, filePrefix(swap))) {
    if (countOf(w) >= MAX_WRITES) return true;
    w.remove.push({ key: item.key, expect: item.version });
  }
  return false;
}
