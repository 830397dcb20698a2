/**
 * A process with many schedules that fall at the same instant, killed by its own hand in the middle of firing them; the last one counts.
 *
 *   node schedules-process.ts <store file> <life> <handler calls after which it dies; 0: never>
 */
import { Tutti, template } from '../../src/main.ts';

const [store, life, deadly] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const SCHEDULES = 150;

let calls = 0;
let enough = (): void => undefined;
const done = new Promise<void>((resolve) => (enough = resolve));
const job = template('crash/job@1.0.0').step('work', { retry: { maxAttempts: 5, backoff: 'none' } }, async () => {
  calls++;
  if (calls === deadly) process.kill(process.pid, 'SIGKILL');
  if (calls === 2 * SCHEDULES) enough();
});

const tutti: Tutti = await Tutti.open({
  store,
  retention: false,
  templates: [job],
  schedules: Array.from({ length: SCHEDULES }, (_, i) => ({
    key: `s${i}`,
    template: job,
    ...(i % 2 === 0 ? { every: '1s' } : { cron: '* * * * * ?', dialect: 'quartz' as const }),
    overlap: 'allow' as const,
    catchUp: 'all' as const,
    input: { life },
  })),
});

await done;
for (let i = 0; i < SCHEDULES; i++) await tutti.schedules.pause(`s${i}`);
// Once they are paused nothing is being fired, and what waits will not be.
const ticks: { key: string; at: number; state: string; task: string | null }[] = [];
const waiting: string[] = [];
for (let i = 0; i < SCHEDULES; i++) {
  const key = `s${i}`;
  for (const t of await tutti.schedules.ticks(key)) {
    ticks.push({ key, at: t.at, state: t.state, task: t.taskId });
    if (t.state === 'pending') waiting.push(`${key} ${t.at}`);
  }
}
const tasks: { id: string; of: string }[] = [];
for (let cursor: string | undefined; ; ) {
  const page = await tutti.list({ limit: 100, cursor });
  for (const t of page.tasks) tasks.push({ id: t.id, of: `${t.initiator} ${t.reason}` });
  if (page.nextCursor === null) break;
  cursor = page.nextCursor;
}
const counted = { ticks, tasks, waiting, repairs: tutti.engine.metrics().reconcilerRepairs };
await new Promise<void>((sent) => process.send!(counted, () => sent()));
await tutti.close();
process.disconnect?.();
