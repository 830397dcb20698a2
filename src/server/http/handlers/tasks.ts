/** /v1/tasks: create, list, read, change, cancel, remove. */
import type { z } from 'zod';
import { PAGE_SIZE, type taskRequest } from '../../../contract/requests.ts';
import { auditToWire, explainToWire, stepToWire, taskListToWire, taskToWire } from '../../../contract/to-wire.ts';
import type { WireTask } from '../../../contract/wire.ts';
import { isTuttiError, TuttiError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/definition.ts';
import type { EngineFacade } from '../../../engine/facade.ts';
import type { ListRequest, ListResult, SubmitRequest, TaskView } from '../../../engine/views.ts';
import type { Call, Handlers } from '../call.ts';
import { sendArray } from '../json-array.ts';

/** A task with more steps than this is shown without them. */
const STEPS_INLINE = 1000;

export const taskHandlers: Handlers<
  'createTask' | 'createTasks' | 'listTasks' | 'getTask' | 'patchTask' | 'deleteTask' | 'taskAudit' | 'explainTask' | 'taskEvents'
> = {
  async createTask({ engine, query, body, reply }) {
    const task = await engine.trySubmit(submission(body));
    reply.code(201).header('location', `/v1/tasks/${task.id}`);
    return query.steps === 'true' ? await withSteps(engine, task) : taskToWire(task);
  },

  async createTasks({ engine, body, reply }) {
    let at = -1;
    function* requests(): Generator<SubmitRequest> {
      for (const item of body.tasks) {
        at++;
        yield submission(item);
      }
    }
    try {
      const ids = await engine.submitMany(requests());
      reply.code(201);
      return { task_uuids: ids, count: ids.length };
    } catch (e) {
      throw inBulk(e, at, body.tasks.length);
    }
  },

  async listTasks({ engine, query, reply, request }) {
    const asked = listRequest(query);
    const found = await engine.list(asked);
    const link = isPaged(query) ? pageLinks(request.url, asked, found) : cursorLink(request.url, found);
    if (link !== '') reply.header('link', link);
    return taskListToWire(found, asked);
  },

  async getTask({ engine, params, query }) {
    const task = await engine.task(params.id);
    return query.steps === 'false' ? taskToWire(task) : await withSteps(engine, task);
  },

  async patchTask({ engine, params, body }) {
    return taskToWire(await engine.patch(params.id, body));
  },

  async deleteTask({ engine, params, query, body, reply }) {
    const errorMessage = body?.error_message ?? query.error_message;
    if (query.purge !== 'true') return taskToWire(await engine.cancel(params.id, { errorMessage }));
    if (errorMessage !== undefined) throw new TuttiError('INVALID_INPUT', 'error_message belongs to a cancel, not to purge', { field: 'error_message' });
    await engine.purge(params.id);
    return reply.code(204).send();
  },

  async taskAudit({ engine, params, reply }) {
    return sendArray(reply, await engine.audit(params.id), auditToWire);
  },

  async explainTask({ engine, params, query, reply }) {
    return sendArray(reply, await engine.explain(params.id, query.step), explainToWire);
  },

  taskEvents: (call) => call.services.streams.serve(call),
};

async function withSteps(engine: EngineFacade, task: TaskView): Promise<WireTask> {
  const wire = taskToWire(task);
  wire.steps = task.totalSteps > STEPS_INLINE ? null : (await engine.steps(task.id)).map((s) => stepToWire(s, { results: false }));
  return wire;
}

const submission = (r: z.output<typeof taskRequest>): SubmitRequest => ({
  namespace: r.namespace,
  name: r.name,
  version: r.version,
  input: r.context,
  priority: r.priority,
  tags: r.tags,
  key: r.key,
  initiator: r.initiator,
  sourceSystem: r.source_system,
  reason: r.reason,
  correlationId: r.correlation_id,
  parentCorrelationId: r.parent_correlation_id,
  expectedBytes: r.expected_bytes,
  expectedItems: r.expected_items,
  options: r.options as JsonObject | undefined,
});

/** Names the task that was refused: by what the engine says, else by the last one it looked at. */
function inBulk(e: unknown, looked: number, count: number): unknown {
  if (!isTuttiError(e) || e.field?.startsWith('tasks[')) return e;
  const told = e.details?.index;
  const index = typeof told === 'number' ? told : looked < count ? looked : undefined;
  if (index === undefined || e.code === 'BACKPRESSURE' || e.code === 'STORE_UNAVAILABLE' || e.code === 'SHUTTING_DOWN') return e;
  const place = `tasks[${index}]`;
  return new TuttiError(e.code, `${place}: ${e.message}`, {
    field: e.field === undefined ? place : `${place}.${e.field}`,
    details: { ...e.details, index },
    retryAfter: e.retryAfter,
    cause: e,
  });
}

function listRequest(q: Call<'listTasks'>['query']): ListRequest {
  const filters: ListRequest = {
    namespace: q.namespace,
    name: q.name,
    version: q.version,
    states: q.status,
    initiator: q.initiator,
    sourceSystem: q.source_system,
    tag: q.tag,
    key: q.key,
  };
  if (!isPaged(q)) {
    const limit = q.limit ?? PAGE_SIZE;
    // The beginning of a list says how long it is; what follows need not count again.
    return q.cursor === undefined ? { ...filters, page: 1, perPage: limit } : { ...filters, cursor: q.cursor, limit };
  }
  if (q.cursor !== undefined) throw new TuttiError('INVALID_INPUT', 'cursor and page exclude each other', { field: 'cursor' });
  if (q.limit !== undefined) throw new TuttiError('INVALID_INPUT', 'limit goes with cursor; with page it is per_page', { field: 'limit' });
  return { ...filters, page: q.page ?? 1, perPage: q.per_page ?? PAGE_SIZE };
}

const isPaged = (q: Call<'listTasks'>['query']): boolean => q.page !== undefined || q.per_page !== undefined;

function linkTo(url: string, rel: string, key: string, value: string): string {
  const [path, search = ''] = url.split('?', 2);
  const query = new URLSearchParams(search);
  query.set(key, value);
  return `<${path}?${query}>; rel="${rel}"`;
}

const cursorLink = (url: string, { nextCursor }: ListResult): string => (nextCursor === null ? '' : linkTo(url, 'next', 'cursor', nextCursor));

function pageLinks(url: string, asked: ListRequest, found: ListResult): string {
  const page = asked.page!;
  const pages = Math.ceil((found.total ?? 0) / asked.perPage!);
  return [...(page < pages ? [linkTo(url, 'next', 'page', String(page + 1))] : []), ...(page > 1 ? [linkTo(url, 'prev', 'page', String(page - 1))] : [])].join(
    ', ',
  );
}
