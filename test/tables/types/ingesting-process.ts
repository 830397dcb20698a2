/** A process that loads a folder by a plan, or goes on with the plan it finds; it is killed from outside. Tells how the plan ended. */
import { Tutti } from '../../../src/main.ts';

const [store, tables, settings] = process.argv.slice(2);

const tutti = await Tutti.open({ store, slots: 2, plans: { poll: '100ms' }, tables: { folder: tables, memory: '128MB', threads: 2 } });
let [known] = await tutti.plans.list({ resource: 'trips_OFFLINE' });
if (known === undefined) {
  // The first life may have ended before it came to this.
  if ((await tutti.tables.list()).length === 0) {
    await tutti.tables.create({ name: 'trips', type: 'OFFLINE', schema: { columns: [{ name: 'id', type: 'BIGINT' }] } });
  }
  const plan = await tutti.plans.run('FileIngestionTask', 'trips', JSON.parse(settings) as Record<string, string>);
  known = await plan!.view();
}
const view = await (await tutti.plans.get(known.planId)).done();
const { rows } = await tutti.tables.query('trips', 'SELECT count(*), count(DISTINCT id), sum(id) FROM trips');
const items = await tutti.engine.resources.items('trips_OFFLINE', { limit: 10_000 });
process.send!({ kind: 'end', view, row: rows[0], keys: items.map((i) => `${i.key} ${i.version}`) });
await tutti.close();
process.disconnect();
