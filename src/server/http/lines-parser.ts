/** Bodies of one JSON value a line are handed on unread, to the routes that take them. */
import type { FastifyInstance } from 'fastify';
import { TuttiError } from '../../core/errors.ts';
import type { BodyTimeouts } from './body-timeouts.ts';
import { TUTTI_ROUTE } from './route-registration.ts';

export function registerLinesParser(app: FastifyInstance, timeouts: BodyTimeouts): void {
  app.addContentTypeParser('application/x-ndjson', (request, payload, done) => {
    if (request.routeOptions.config[TUTTI_ROUTE]?.lines) {
      timeouts.streamed(request.raw);
      done(null, payload);
    } else done(new TuttiError('UNSUPPORTED_MEDIA_TYPE', 'the body must have the content type application/json', { field: 'content-type' }));
  });
}
