/**
 * Puts finished tasks into a closed store by copying one that really ran, table by table, under ids older than its own. It reads the
 * columns from the schema, so a new column needs no change here; a new table that holds rows per task does (PER_TASK).
 */
import { DatabaseSync } from 'node:sqlite';

/** Tables with a row or more per task, and their column of the task's id. */
const PER_TASK: readonly { table: string; task: string }[] = [
  { table: 'tasks', task: 'id' },
  { table: 'steps', task: 'task' },
  { table: 'payloads', task: 'task' },
  { table: 'log', task: 'task' },
];

const COMPLETE = 8;

/** Tasks per statement: keeps the statement's memory small. */
const SLICE = 10_000;

/** Returns the number of steps that were added. `file` must not be open elsewhere. */
export function seedHistory(file: string, steps: number): number {
  const db = new DatabaseSync(file);
  db.exec('pragma synchronous=off; pragma foreign_keys=off; pragma cache_size=-65536');
  const model = db.prepare('select id, total_steps as steps, state from tasks order by id limit 1').get() as { id: number; steps: number; state: number };
  if (model.state !== COMPLETE) throw new Error(`task ${model.id} has not completed: there is nothing to copy`);
  const tasks = Math.ceil(steps / model.steps);
  const copies = PER_TASK.map(({ table, task }) => {
    const columns = db.prepare(`select name, pk from pragma_table_info('${table}')`).all() as { name: string; pk: number }[];
    const own = columns.find((column) => column.pk > 0 && column.name === 'id' && column.name !== task);
    const rows = Number((db.prepare(`select count(*) as n from ${table} where ${task} = ?`).get(model.id) as { n: number }).n);
    const top = own === undefined ? 0 : Number((db.prepare(`select max(id) as top from ${table}`).get() as { top: number }).top);
    const values = columns.map(({ name }) =>
      name === task ? `m.${name} - :tasks + i` : own?.name === name ? `:top + i * ${rows} + row_number() over (partition by i order by m.id)` : `m.${name}`,
    );
    return {
      top,
      own: own !== undefined,
      insert: db.prepare(
        `with recursive n(i) as (select :from union all select i + 1 from n where i + 1 < :to)
         insert into ${table}(${columns.map(({ name }) => name).join(', ')})
         select ${values.join(', ')} from n cross join ${table} m where m.${task} = :model`,
      ),
    };
  });
  for (let from = 0; from < tasks; from += SLICE) {
    db.exec('begin');
    for (const { insert, own, top } of copies) {
      insert.run({ from, to: Math.min(from + SLICE, tasks), tasks, model: model.id, ...(own ? { top } : {}) });
    }
    db.exec('commit');
  }
  db.close();
  return tasks * model.steps;
}
