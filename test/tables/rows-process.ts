/** Adds rows to a table until it is killed: one line of output for each request that was answered, and for each seal. */
import { Tutti } from '../../src/main.ts';

const [store, from] = process.argv.slice(2);
const tutti = await Tutti.open({ store, tables: { memory: '128MB', threads: 1 }, logger: () => {} });
if ((await tutti.tables.list()).length === 0) {
  await tutti.tables.create({
    name: 'trips',
    type: 'REALTIME',
    schema: {
      columns: [
        { name: 'id', type: 'BIGINT' },
        { name: 'note', type: 'VARCHAR' },
      ],
    },
    config: { realtime: { flushRows: 5 } },
  });
}
/** More than one commit takes: all of them are there in the end, or none. */
const LARGE = Array.from({ length: 7 }, () => 'x'.repeat(90_000));
/** Every hundredth row of the first lane waits for a seal; the other lanes go on meanwhile. */
const add = async (lane: number): Promise<void> => {
  for (let i = 0; ; i++) {
    const id = Number(from) + lane * 100_000 + i;
    if (lane === 2 && i % 60 === 10) {
      const first = Number(from) + 300_000 + i * LARGE.length;
      const rows = LARGE.map((note, n) => ({ id: first + n, note }));
      await tutti.tables.addRows('trips', rows);
      process.stdout.write(rows.map((r) => `${r.id}\n`).join(''));
    }
    await tutti.tables.addRows('trips', [{ id }]);
    process.stdout.write(`${id}\n`);
    if (lane > 0 || i % 100 !== 0) continue;
    await tutti.tables.seal('trips');
    process.stdout.write('sealed\n');
  }
};
await Promise.all([add(0), add(1), add(2)]);
