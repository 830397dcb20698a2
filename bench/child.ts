/** One measurement in this process, in the folder it is given: the answer goes to the parent over IPC. Forked by main.ts. */
import { Bed } from './bed.ts';
import { FLOORS, type FloorName } from './floors.ts';
import type { Facts, Order } from './order.ts';
import type { Numbers } from './workload.ts';
import { WORKLOADS } from './workloads.ts';

async function measure(order: Order): Promise<{ numbers: Numbers; facts: Facts }> {
  if (order.kind === 'floor') return { numbers: await FLOORS[order.name as FloorName](order.dir, order.size), facts: {} };
  const workload = WORKLOADS.find((w) => w.name === order.name);
  if (workload === undefined) throw new Error(`no workload ${order.name}`);
  const bed = new Bed(order);
  const numbers = await workload.run(bed);
  await bed.close();
  return { numbers, facts: bed.facts };
}

const order = JSON.parse(process.argv[2]) as Order;
let answer: object;
try {
  answer = await measure(order);
} catch (error) {
  answer = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}
// A workload that failed half-way may have left timers or a server behind: the process ends here in any case.
process.send?.(answer, () => process.exit(0));
