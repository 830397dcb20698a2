/**
 * Two task plans on real files: the folder data/airports (57 CSV files, one a state) becomes a table, three files a batch; then a purge rewrites
 * its segments without the airports north of 45 degrees; then SQL over what is left.
 */
import { fileURLToPath } from 'node:url';
import { isTuttiError, type PlanHandle, type QueryResult, type Tutti } from 'tutti';
import type { Terminal } from '../src/cli/terminal.ts';
import { followPlan } from './follow-plan.ts';

const TABLE = 'airports_OFFLINE';
const COLUMNS = [
  { name: 'iata', type: 'VARCHAR' },
  { name: 'name', type: 'VARCHAR' },
  { name: 'city', type: 'VARCHAR' },
  { name: 'state', type: 'VARCHAR' },
  { name: 'country', type: 'VARCHAR' },
  { name: 'latitude', type: 'DOUBLE' },
  { name: 'longitude', type: 'DOUBLE' },
];
export const NORTH_OF = 45;

/** Null: a plan did not complete, and the terminal says why. */
export async function airports(tutti: Tutti, out: Terminal): Promise<QueryResult | null> {
  const say = (text: string): void => out.write(`${text}\n`);
  // A plan that the last process left unfinished has gone on since this one opened the store.
  const [left] = await tutti.plans.active({ resource: TABLE });
  let plan: PlanHandle | null;
  if (left === undefined) {
    await tutti.tables.drop(TABLE, { ignoreActiveTasks: true }).catch((e: unknown) => {
      if (!isTuttiError(e) || e.code !== 'NOT_FOUND') throw e;
    });
    await tutti.tables.create({ name: 'airports', type: 'OFFLINE', schema: { columns: COLUMNS } });
    plan = await tutti.plans.run('FileIngestionTask', TABLE, {
      inputDirURI: fileURLToPath(new URL('./data/airports', import.meta.url)),
      includeFileNamePattern: '*.csv',
      tableMaxNumTasks: 3,
    });
  } else {
    say(`going on with the plan ${left.planId}`);
    plan = await tutti.plans.get(left.planId);
  }
  if (plan !== null && (await followPlan(plan, out)).status !== 'COMPLETED') return null;
  if (left?.taskType !== 'SegmentPurgeTask') {
    const purge = await tutti.plans.run('SegmentPurgeTask', TABLE, { purgePredicate: `latitude > ${NORTH_OF}`, tableMaxNumTasks: 10 });
    if (purge !== null && (await followPlan(purge, out)).status !== 'COMPLETED') return null;
  }
  return await tutti.tables.query(
    TABLE,
    'select state, count(*) as airports, round(avg(latitude), 3) as latitude from airports group by state order by airports desc, state',
  );
}
