import type { Migration } from '../migrations.ts';

/*
 * Plans and what they work on. A live plan is one row that every decision replaces; its batches are rows of their own, written when they
 * begin and when they end. The unique index is I9. `autoincrement`: the number of a removed plan or resource is never given again, so that
 * what comes late cannot meet a namesake. A dead letter of a plan has the negative of its number where a task's has the task.
 */
export const plans: Migration = {
  version: 4,
  name: 'plans',
  sql: `
create table plans(
  id integer primary key autoincrement,
  plan_id text not null unique,
  resource text not null,
  task_type text not null,
  status integer not null check (status between 0 and 4),
  once integer not null check (once in (0, 1)),
  version integer not null check (version >= 1),
  owner integer,
  batch_task integer,
  created_at integer not null,
  ended_at integer,
  body text not null,
  state text,
  check ((status <= 1) = (ended_at is null))
) strict;
create unique index plans_live on plans(resource, task_type) where status <= 1 and once = 0;
create index plans_by_pair on plans(resource, task_type, id);
create index plans_open on plans(id) where ended_at is null;
create index plans_ended on plans(ended_at, id) where ended_at is not null;

create table plan_batches(
  plan integer not null,
  seq integer not null check (seq >= 0),
  task integer not null unique,
  name text not null,
  submitted_at integer not null,
  state integer not null check (state between -1 and 12),
  finished_at integer,
  total integer not null,
  complete integer not null,
  failed integer not null,
  units integer not null,
  primary key (plan, seq)
) strict, without rowid;

create table plan_queues(
  task_type text primary key,
  stopped_at integer not null
) strict, without rowid;

create table resources(
  incarnation integer primary key autoincrement,
  id text not null unique,
  kind text not null,
  version integer not null check (version >= 1),
  created_at integer not null,
  body text not null
) strict;
create index resources_by_kind on resources(kind, id);

create table resource_items(
  resource integer not null,
  key text not null,
  version integer not null check (version >= 1),
  body text not null,
  primary key (resource, key)
) strict, without rowid;
`,
};
