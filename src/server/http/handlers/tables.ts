/** /tables: tables, their segments, rows and queries. */
import { Readable } from 'node:stream';
import type { JsonObject } from '../../../core/definition.ts';
import { TuttiError } from '../../../core/errors.ts';
import type { ResourceAction } from '../../../engine/resource-port.ts';
import { MAX_ROWS, type Tables } from '../../../tables/tables.ts';
import { demand, permissions } from '../authorise.ts';
import type { Call, Handlers, Services } from '../call.ts';
import { jsonLines } from '../json-lines.ts';

type TableHandlers = Handlers<
  'createTable' | 'listTables' | 'getTable' | 'setTableConfig' | 'dropTable' | 'listSegments' | 'addRows' | 'sealTable' | 'queryTable'
>;
type TableCall = Pick<Call<'getTable'>, 'services' | 'engine' | 'caller' | 'params'>;

/** Of rows that come line by line: they are held until the last one is there, and kept by one commit, since all are kept or none. */
const MAX_LINES_BYTES = 16 * 2 ** 20;

export const tableHandlers: TableHandlers = {
  async createTable({ services, caller, body, reply }) {
    const tables = tablesOf(services);
    const id = `${body.name}_${body.type}`;
    if (!(await tables.mayCreate(caller, id))) throw new TuttiError('FORBIDDEN', `${caller?.name ?? 'this caller'} may not write ${id}`);
    const made = await tables.create({ ...body, config: body.config as JsonObject | undefined });
    reply.code(201).header('location', `/tables/${made.id}`);
    return made;
  },

  async listTables(call) {
    const may = permissions(call, 'read');
    const found = await tablesOf(call.services).list();
    const seen = await Promise.all(found.map((t) => may(t.id)));
    return { tables: found.filter((_, i) => seen[i]) };
  },

  async getTable(call) {
    return tablesOf(call.services).get(await demanded(call, 'read'));
  },

  async setTableConfig(call) {
    return tablesOf(call.services).setConfig(await demanded(call, 'write'), call.body as JsonObject);
  },

  async dropTable(call) {
    const { id } = await tablesOf(call.services).drop(await demanded(call, 'write'), { ignoreActiveTasks: call.query.ignoreActiveTasks === 'true' });
    return { status: `Table ${id} dropped`, table: id };
  },

  async listSegments(call) {
    return tablesOf(call.services).segments(await demanded(call, 'read'), call.query);
  },

  async addRows(call) {
    const id = await demanded(call, 'write');
    return tablesOf(call.services).addRows(id, await rowsOf(call.body));
  },

  async sealTable(call) {
    return tablesOf(call.services).seal(await demanded(call, 'write'));
  },

  async queryTable(call) {
    const id = await demanded(call, 'read');
    const gone = new AbortController();
    const leave = (): void => gone.abort(new TuttiError('INVALID_INPUT', 'the caller has left'));
    call.reply.raw.once('close', leave);
    try {
      return await tablesOf(call.services).query(id, call.query.sql, { limit: call.query.limit, signal: gone.signal });
    } finally {
      call.reply.raw.off('close', leave);
    }
  },
};

function tablesOf({ tables }: Services): Tables {
  if (tables === null) throw new TuttiError('ILLEGAL_STATE', 'this server has no tables');
  return tables;
}

/** The id of the table, if the caller may do this to it. */
async function demanded(call: TableCall, action: ResourceAction): Promise<string> {
  const id = await tablesOf(call.services).idOf(call.params.table);
  await demand(call, id, action);
  return id;
}

async function rowsOf(body: readonly unknown[] | Readable): Promise<readonly unknown[]> {
  if (!(body instanceof Readable)) return body;
  const rows: unknown[] = [];
  for await (const row of jsonLines(body, { maxBytes: MAX_LINES_BYTES })) {
    if (rows.length >= MAX_ROWS) throw new TuttiError('INVALID_INPUT', `there are more rows than ${MAX_ROWS}, the limit of one request`, { field: 'rows' });
    rows.push(row);
  }
  return rows;
}
