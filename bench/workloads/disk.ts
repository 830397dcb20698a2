/** Bytes that a finished step leaves in the file, with a log kept and payloads of 200 bytes. */
import { Diamonds } from '../bed.ts';
import { DIAMOND_STEPS } from '../graphs.ts';
import { atMost, type Workload } from '../workload.ts';

export const diskWorkload: Workload = {
  name: 'disk',
  about: 'bytes of the closed file per finished step of a diamond',
  slots: 'one',
  repetitions: { quick: 1, full: 1 },
  limit: 60,
  // A diamond stores one input and six results of 200 bytes: what its values alone occupy, per step.
  lines: [{ metric: 'bytes_per_step', unit: 'bytes', floor: () => (200 * (DIAMOND_STEPS + 1)) / DIAMOND_STEPS, budget: () => atMost(900) }],
  async run(bed) {
    const count = bed.pick(1000, 5000);
    const diamonds = new Diamonds(count + 30);
    const first = await bed.open([diamonds.template]);
    await diamonds.run(first, 30);
    await bed.close();
    const empty = bed.bytes;
    const tutti = await bed.open([diamonds.template]);
    for (let done = 0; done < count; done += 1000) await diamonds.run(tutti, 1000);
    await bed.close();
    return { bytes_per_step: (bed.bytes - empty) / (count * DIAMOND_STEPS) };
  },
};
