/** /v1/events: the log of all tasks. */
import { eventPageToWire } from '../../../contract/to-wire.ts';
import { TuttiError } from '../../../core/errors.ts';
import type { EventFilter } from '../../../engine/views.ts';
import type { Handlers } from '../call.ts';

export const eventHandlers: Handlers<'allEvents'> = {
  async allEvents(call) {
    const { engine, query, request, services } = call;
    const filter: EventFilter & { after?: string } = {
      after: query.after,
      types: query.type,
      taskId: query.task,
      namespace: query.namespace,
      name: query.name,
      states: query.state,
    };
    if (!wantsStream(request.headers.accept)) return eventPageToWire(await engine.eventPage({ ...filter, limit: query.limit }));
    if (query.limit !== undefined) throw new TuttiError('INVALID_INPUT', 'limit belongs to a page, not to a stream', { field: 'limit' });
    return await services.streams.serveAll(call, filter);
  },
};

const wantsStream = (accept: string | undefined): boolean => accept?.toLowerCase().includes('text/event-stream') ?? false;
