/**
 * `npm run example backfill`: a plan fetches an API page by page, five pages a batch, while two of its pages fail at first. Then orders
 * come in, and a second plan fetches what is new. Exits with 0 only if every order is in the files, once.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineResourceKind, Tutti } from 'tutti';
import { backfill } from './backfill.ts';
import { startOrdersFeed } from './orders-feed.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

export async function run(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'tutti-backfill-'));
  const api = await startOrdersFeed(1_030);
  // Pages 3 and 12, each once.
  api.missing.set(150, 1).set(600, 1);
  const tutti = await Tutti.open({ store: ':memory:', taskTypes: [backfill], resourceKinds: [defineResourceKind({ name: 'feed' })] });
  try {
    await tutti.resources.create({ id: 'orders', kind: 'feed', body: { url: api.url, folder } });
    const idsInFiles = async (): Promise<number[]> => {
      const items = await tutti.resources.items('orders', { prefix: 'page/' });
      const lines = items.flatMap((item) =>
        readFileSync(join(folder, (item.body as { file: string }).file), 'utf8')
          .trimEnd()
          .split('\n'),
      );
      return lines.map((line) => (JSON.parse(line) as { id: number }).id);
    };
    const fetchAll = async (): Promise<boolean> => {
      const plan = await tutti.plans.run(backfill, 'orders', { pagesPerBatch: 5 });
      if (plan === null) {
        say('nothing to fetch');
        return false;
      }
      const end = await plan.done();
      for (const b of end.batches)
        say(`  batch ${b.batchSequence}  ${b.subtasks.complete} of ${b.subtasks.total} pages${b.subtasks.failed === 0 ? '' : `, ${b.subtasks.failed} failed`}`);
      const ids = await idsInFiles();
      const good = ids.length === api.rows && ids.every((id, i) => id === i + 1);
      say(`${end.status}: ${end.statusMessage} ${ids.length} of ${api.rows} orders are in the files${good ? '' : ', and that is wrong'}`);
      return good && end.status === 'COMPLETED';
    };
    say(`1,030 orders at ${api.url}`);
    const first = await fetchAll();
    api.rows = 1_111;
    say('\n81 orders come in');
    const second = await fetchAll();
    const pages = api.requests.filter((r) => r.startsWith('/orders')).length;
    say(`\n${pages} pages were asked for`);
    return first && second ? 0 : 1;
  } finally {
    await tutti.close();
    await api.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
