import type { Migration } from '../migrations.ts';

/*
 * Steps that no template defines keep their definition in `nodes`, written once; `steps` stays small, since its rows are written with
 * every hop. `asked` is the one column that changes, and only when a retried parent asks for a child again. Supplied ids are unique in
 * the store; generated ones are computed and have no row (ADR 0004).
 */
export const liveGraphs: Migration = {
  version: 3,
  name: 'live graphs',
  sql: `
alter table steps add column phase_attempts integer not null default 0 check (phase_attempts >= 0);
alter table tasks add column key text;
alter table dead_letters add column resolution text;
create unique index tasks_live_key on tasks(coalesce(template, -1), key) where key is not null and completed_at is null;
create index tasks_by_key on tasks(key) where key is not null;

create table nodes(
  task integer not null,
  no integer not null check (no >= 0),
  parent integer,
  asked integer not null default 0 check (asked >= 0),
  body text not null,
  primary key (task, no)
) strict, without rowid;
create index nodes_by_parent on nodes(task, parent, no) where parent is not null;

create table element_ids(
  id text primary key,
  task integer not null,
  no integer not null
) strict, without rowid;
create index element_ids_by_task on element_ids(task);

create table links(
  task integer not null,
  no integer not null,
  to_task integer not null,
  to_no integer not null,
  primary key (task, no)
) strict, without rowid;
create index links_by_target on links(to_task, to_no);
`,
};
