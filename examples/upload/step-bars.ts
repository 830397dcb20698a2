/** Steps of the upload as bars. */
import type { StepView } from 'tutti';
import type { BarFacts, BarStep } from '../../src/cli/progress-bars.ts';

/** What a view has beyond the fraction, where it has it. */
type ProgressView = Partial<BarFacts> & { bytes?: { done: number; total: number } };

export const barsOf = (steps: readonly StepView[]): BarStep[] => {
  const parentOf = (s: StepView): string | null => (s as StepView & { parentId?: string | null }).parentId ?? null;
  return steps.map((s) => {
    const p: ProgressView = s.progress ?? {};
    const endedBadly = s.state === 'error' || s.state === 'cancelled';
    const children = steps.filter((c) => parentOf(c) === s.id && (endedBadly || c.state !== 'cancelled'));
    return {
      ...p,
      id: s.id,
      parentId: parentOf(s),
      name: s.name,
      state: s.state,
      fraction: s.state === 'complete' ? 1 : (p.fraction ?? 0),
      done: p.done ?? p.bytes?.done ?? null,
      total: p.total ?? p.bytes?.total ?? null,
      parts: p.parts ?? { done: children.filter((c) => c.state === 'complete').length, total: children.length },
      note: s.reason ?? s.error?.message ?? null,
    };
  });
};
