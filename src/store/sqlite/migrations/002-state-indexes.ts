import type { Migration } from '../migrations.ts';

/*
 * One index over all states was rewritten with every move of a task and held every task for ever. Live tasks are few and are what
 * recovery and sweeps ask for; those that ended badly are few and are what people ask for; complete ones are nearly all, and found
 * along the primary key, newest first.
 */
export const stateIndexes: Migration = {
  version: 2,
  name: 'state indexes',
  sql: `
drop index tasks_by_state;
create index tasks_live on tasks(state, id) where state < 8;
create index tasks_unsuccessful on tasks(state, id) where state > 8;
`,
};
