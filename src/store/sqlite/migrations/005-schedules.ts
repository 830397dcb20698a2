import type { Migration } from '../migrations.ts';

/*
 * The key of a tick is its schedule and its time: a tick that is decided twice meets it. A row outlives its firing, as long as it is
 * among the newest of its schedule or its task lives, because the overlap rule asks for those tasks after a restart.
 */
export const schedules: Migration = {
  version: 5,
  name: 'schedules',
  sql: `
create table schedules(
  id integer primary key,
  key text not null unique,
  definition text not null,
  input text,
  paused integer not null check (paused in (0, 1)),
  next_at integer,
  version integer not null check (version >= 1),
  created_at integer not null,
  updated_at integer not null
) strict;
create index schedules_due on schedules(next_at) where next_at is not null and paused = 0;

create table schedule_ticks(
  schedule integer not null,
  at integer not null,
  state integer not null check (state between 0 and 3),
  manual integer not null check (manual in (0, 1)),
  task integer,
  plan text,
  reason text,
  message text,
  done_at integer,
  primary key (schedule, at),
  check ((state = 0) = (done_at is null))
) strict, without rowid;
create index schedule_ticks_pending on schedule_ticks(at, schedule) where state = 0;
`,
};
