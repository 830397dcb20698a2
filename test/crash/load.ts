/** The load of the crash tests: four shapes, steps of a few to 50 ms, some of which fail once or hold a checkpoint. */
import type { TemplateDefinition } from '../../src/core/definition.ts';
import { diamond, graph, mixedDag, pipeline, tree } from '../support/template-fixtures.ts';

export const SLOTS = 50;
export const MAX_ATTEMPTS = 8;

const working = (d: TemplateDefinition): TemplateDefinition => ({
  ...d,
  namespace: 'crash',
  policy: 'fail',
  steps: d.steps.map((s) => ({
    ...s,
    handler: 'crash.work',
    retry: { ...s.retry, maxAttempts: MAX_ATTEMPTS, backoff: 'linear' as const, baseMs: 5, maxMs: 50, jitter: 0.5 },
  })),
});

export const TEMPLATES: readonly TemplateDefinition[] = [
  working(diamond()),
  working(tree()),
  working(mixedDag()),
  working(pipeline()),
  // The last allowed attempt may be the one that a kill takes: such a step ends in error and its task with it.
  ((d) => ({ ...d, steps: d.steps.map((s) => ({ ...s, retry: { ...s.retry, maxAttempts: 2 } })) }))(
    working(graph('fragile', [{ name: 'a' }, { name: 'b', after: ['a'] }, { name: 'c', after: ['b?'] }])),
  ),
];

/** A number from 0 to 999 that follows from the text. */
export function hash(text: string): number {
  let h = 7;
  for (let i = 0; i < text.length; i++) h = (Math.imul(h, 31) + text.charCodeAt(i)) | 0;
  return Math.abs(h) % 1000;
}
