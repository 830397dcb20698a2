/** Rows of the REST table for the log of all events. Those of one task are with the tasks. */
import * as request from './requests.ts';
import type { Route } from './routes.ts';
import * as wire from './wire.ts';

export const EVENT_ROUTES = {
  allEvents: {
    method: 'GET',
    path: '/v1/events',
    summary: 'Events of all tasks, as pages or as a stream (server-sent events)',
    tag: 'Events',
    permission: 'tasks:read',
    description:
      'In the order they were committed, from `Last-Event-ID` (or `after`; default: the oldest that is kept) on. With ' +
      '`Accept: text/event-stream` it goes on with live ones and stays open; else it answers with one page. Filters are applied to the log ' +
      'as it is read: a rare event is found by reading past all others, so a page may hold few events, or none, and have more; only `task` ' +
      'saves reading. 410: events behind the cursor were removed with their tasks since it was given.',
    params: request.noParams,
    query: request.allEventsQuery,
    status: 200,
    response: wire.eventPage,
    stream: wire.globalEvent,
    errors: ['INVALID_INPUT', 'INVALID_ID', 'INVALID_CURSOR', 'NOT_FOUND', 'GONE', 'STORE_UNAVAILABLE', 'SHUTTING_DOWN'],
  },
} as const satisfies Record<string, Route>;
