/** /tables: tables, their segments, rows and queries. */
import { Readable } from 'node:stream';
import type { JsonObject } from '../../../core/definition.ts';
import { TuttiError } from '../../../core/errors.ts';
import type { ResourceAction } from '../../../engine/resource-port.ts';
import type { Tables } from '../../../tables/tables.ts';
import { demand, permissions } from '../authorise.ts';
import type { Call, Handlers, Services } from '../call.ts';
import { jsonLines } from '../json-lines.ts';
import { isLong, objectPieces, sendPieces } from '../json-pieces.ts';
import { MAX_LINES_BYTES } from '../row-bodies.ts';

type TableHandlers = Handlers<
  'createTable' | 'listTables' | 'getTable' | 'setTableConfig' | 'dropTable' | 'listSegments' | 'addRows' | 'sealTable' | 'queryTable'
>;
type TableCall = Pick<Call<'getTable'>, 'services' | 'engine' | 'caller' | 'params'>;

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
    const { request, services, body } = call;
    return await services.rowBodies.during(request, (arrived) => {
      // Each line is checked as it comes, so that no more than its text is held.
      const rows = body instanceof Readable ? jsonLines(body, { maxBytes: MAX_LINES_BYTES, arrived }) : body;
      return tablesOf(services).addRows(id, rows);
    });
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
      const answer = await tablesOf(call.services).query(id, call.query.sql, { limit: call.query.limit, signal: gone.signal });
      if (!isLong(answer.rows.length)) return answer;
      return sendPieces(call.reply, objectPieces({ ...answer }, 'rows', [answer.rows, (row) => row]), call.services.pause);
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
