import type { Migration } from '../migrations.ts';

/*
 * When the first attempt of a step began since its last reset: `started_at` is that of the last one. And how far the reset of a large task
 * has come, which goes on after a kill.
 */
export const reruns: Migration = {
  version: 6,
  name: 'reruns',
  sql: `
alter table steps add column first_started_at integer;
alter table tasks add column reopening text;
`,
};
