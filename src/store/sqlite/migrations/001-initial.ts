import type { Migration } from '../migrations.ts';

/*
 * Why it looks like this:
 * - States are small integers with a CHECK: a CHECK over names makes every write dearer. Ids are integers for the same reason.
 * - No index holds a column that every hop changes. `rank` and `wake_at` are null on nearly every step, and their indexes partial.
 * - The foreign key is deferred: checked at once, it makes SQLite copy pages to be able to undo a statement.
 * - `payloads` has a rowid, so that a turn's bodies lie on few pages side by side; clustered by task, each would dirty its own.
 * - `steps` keeps no payloads, so that its rows stay small where two updates per step hit them.
 * - `log.id` is given by the writer and never used twice: a cursor over all tasks can be built on it.
 */
export const initial: Migration = {
  version: 1,
  name: 'initial',
  sql: `
create table meta(
  key text primary key,
  value any not null
) strict, without rowid;

create table templates(
  id integer primary key,
  namespace text not null,
  name text not null,
  version text not null,
  revision integer not null check (revision >= 1),
  hash text not null,
  definition text not null,
  created_at integer not null,
  unique (namespace, name, version, revision)
) strict;
create index templates_by_hash on templates(namespace, name, version, hash);

create table tasks(
  id integer primary key,
  template integer,
  state integer not null check (state between 0 and 11),
  priority integer not null check (priority between 0 and 3),
  policy integer not null check (policy between 0 and 3),
  created_at integer not null,
  completed_at integer,
  wake_at integer,
  total_steps integer not null check (total_steps >= 0),
  n_complete integer,
  n_error integer,
  n_cancelled integer,
  n_resolved integer,
  error text,
  initiator text,
  source_system text,
  tags text,
  meta text,
  check ((state >= 8) = (completed_at is not null)),
  check ((n_complete is null) = (n_error is null) and (n_complete is null) = (n_cancelled is null) and (n_complete is null) = (n_resolved is null))
) strict;
create index tasks_by_state on tasks(state, id);
create index tasks_by_template on tasks(template, id);
create index tasks_due on tasks(wake_at) where wake_at is not null;
create index tasks_ended on tasks(completed_at) where completed_at is not null;

create table steps(
  task integer not null references tasks(id) deferrable initially deferred,
  no integer not null check (no >= 0),
  state integer not null check (state between 0 and 9),
  token integer not null default 0 check (token >= 0),
  attempts integer not null default 0 check (attempts >= 0),
  phase integer not null default 0 check (phase between 0 and 2),
  owner integer,
  rank integer,
  wake_at integer,
  started_at integer,
  finished_at integer,
  reason integer,
  error text,
  result_token integer not null default 0 check (result_token between 0 and token),
  primary key (task, no)
) strict, without rowid;
create index steps_ready on steps(rank, task, no) where rank is not null;
create index steps_due on steps(wake_at) where wake_at is not null;

create table payloads(
  task integer not null,
  no integer not null check (no >= -1),
  token integer not null check (token >= 0),
  body text not null,
  unique (task, no, token)
) strict;

create table log(
  id integer primary key,
  task integer not null,
  seq integer not null check (seq >= 1),
  count integer not null check (count >= 1),
  at integer not null,
  body text not null,
  unique (task, seq)
) strict;

create table checkpoints(
  task integer not null,
  no integer not null check (no >= 0),
  token integer not null,
  at integer not null,
  body text not null,
  primary key (task, no)
) strict, without rowid;

create table dead_letters(
  id integer primary key,
  task integer not null,
  at integer not null,
  reason text not null,
  snapshot text not null,
  resolved_at integer
) strict;
create unique index dead_letters_open on dead_letters(task) where resolved_at is null;
create index dead_letters_by_task on dead_letters(task);

create table attempt_lines(
  id integer primary key,
  task integer not null,
  no integer not null,
  token integer not null,
  at integer not null,
  level integer not null check (level between 0 and 3),
  message text not null
) strict;
create index attempt_lines_by_attempt on attempt_lines(task, no, token);
`,
};
