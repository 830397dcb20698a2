/** The code behind word-count.yaml: a file names its handlers, `handlers` says what they are. */
import type { UntypedStepContext } from 'tutti';

export const handlers = {
  'words.split': ({ input }: UntypedStepContext) =>
    String(input.text)
      .toLowerCase()
      .match(/\p{L}+/gu) ?? [],
  'words.count': ({ results }: UntypedStepContext) => {
    const counts: Record<string, number> = {};
    for (const word of results.split as string[]) counts[word] = (counts[word] ?? 0) + 1;
    return Object.fromEntries(
      Object.entries(counts)
        .sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
        .slice(0, 100),
    );
  },
  'words.longest': ({ results, config }: UntypedStepContext) =>
    [...new Set(results.split as string[])].sort((a, b) => b.length - a.length || (a < b ? -1 : 1)).slice(0, Number(config.top ?? 1)),
  'words.summary': ({ results }: UntypedStepContext) => ({
    words: Object.values(results.count as Record<string, number>).reduce((a, b) => a + b, 0),
    most: Object.keys(results.count as object)[0] ?? null,
    longest: results.longest,
  }),
};
