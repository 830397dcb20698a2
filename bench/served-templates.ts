/** What the served engine of the rest workload registers. */
import { single, Tally } from './graphs.ts';

export const singleTemplate = single(new Tally(100_000, 1));
