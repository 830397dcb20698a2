/** Pages of tasks, newest first. */
import { TuttiError } from '../core/errors.ts';
import { TASK_STATES } from '../core/task-states.ts';
import type { Store } from '../store/store.ts';
import type { Queries } from './queries.ts';
import type { TemplateRegistry } from './template-registry.ts';
import type { ListRequest, ListResult } from './views.ts';

const COUNT_CAP = 10_000;

export async function listTasks(r: ListRequest, p: { store: Store; templates: TemplateRegistry; queries: Queries }): Promise<ListResult> {
  const limit = Math.min(100, Math.max(1, r.perPage ?? r.limit ?? 25));
  const paged = r.page !== undefined || r.perPage !== undefined;
  const named = r.namespace !== undefined || r.name !== undefined || r.version !== undefined;
  const templates = named ? p.templates.rows(r) : undefined;
  const beforeId = r.cursor === undefined ? undefined : readCursor(r.cursor);
  const states = r.states?.map((s) => {
    const i = TASK_STATES.indexOf(s);
    if (i < 0) throw new TuttiError('INVALID_INPUT', `status must be one of ${TASK_STATES.join(', ')}, not ${s}`, { field: 'status' });
    return i;
  });
  if (templates?.length === 0) return { tasks: [], nextCursor: null, total: paged ? 0 : null, totalCapped: false };
  const page = await p.store.listTasks({
    states,
    templates,
    initiator: r.initiator,
    sourceSystem: r.sourceSystem,
    tag: r.tag,
    key: r.key,
    beforeId,
    offset: paged && beforeId === undefined ? ((r.page ?? 1) - 1) * limit : undefined,
    limit: limit + 1,
    countCap: paged ? COUNT_CAP : 0,
  });
  const rows = page.tasks.slice(0, limit);
  return {
    tasks: await p.queries.tasks(rows),
    nextCursor: page.tasks.length > limit ? cursorOf(rows[rows.length - 1].id) : null,
    total: page.total,
    totalCapped: page.total !== null && page.total >= COUNT_CAP,
  };
}

const cursorOf = (id: number): string => `t${id.toString(36)}.${(id % 9973).toString(36)}`;

function readCursor(text: string): number {
  const m = /^t([0-9a-z]+)\.([0-9a-z]+)$/.exec(text);
  const id = m === null ? Number.NaN : Number.parseInt(m[1], 36);
  if (m === null || !Number.isSafeInteger(id) || (id % 9973).toString(36) !== m[2])
    throw new TuttiError('INVALID_CURSOR', 'the cursor was not issued by this list', { field: 'cursor' });
  return id;
}
