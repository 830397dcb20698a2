/** A process that runs a plan of a table, or goes on with the one it finds; it is killed from outside. Tells how the plan ended. */
import { Tutti } from '../../../src/main.ts';

const [store, tables, table, type, settings] = process.argv.slice(2);

const tutti = await Tutti.open({ store, slots: 2, plans: { poll: '100ms' }, tables: { folder: tables, memory: '128MB', threads: 2 } });
const [known] = await tutti.plans.list({ resource: table, type });
const plan = known === undefined ? await tutti.plans.run(type, table, JSON.parse(settings) as Record<string, string>) : await tutti.plans.get(known.planId);
const view = await plan!.done();
const { rows } = await tutti.tables.query(table, `SELECT count(*), count(DISTINCT id), sum(id) FROM ${table}`);
const items = await tutti.engine.resources.items(table, { limit: 10_000 });
process.send!({ kind: 'end', view, row: rows[0], keys: items.map((i) => `${i.key} ${i.version}`) });
await tutti.close();
process.disconnect();
