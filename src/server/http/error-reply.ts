/**
 * What any failure looks like to a caller: one status, one body, and never the text of a defect. Below /tasks and /tables it is the body that
 * clients of a Pinot controller read, with what ours says beside it.
 */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { type ControllerErrorBody, isControllerPath } from '../../contract/controller-error.ts';
import type { WireErrorBody } from '../../contract/wire.ts';
import { ERRORS, isTuttiError, TuttiError } from '../../core/errors.ts';
import { carriesBody, lingerOnClose } from './linger.ts';

/** Seconds a client is told to wait when the engine has no better estimate. */
const RETRY_AFTER = 1;

/** Set on every answer, before anything can fail. */
const OURS = new Set(['x-content-type-options', 'x-request-id']);

export function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = toTuttiError(thrown);
  const { http, retryable } = ERRORS[error.code];
  if (error.code === 'INTERNAL') {
    request.log.error({ err: thrown, request_id: request.id, method: request.method, url: request.url }, 'request failed');
    // One of them may be what failed: with it this answer could not be sent either.
    for (const name of Object.keys(reply.getHeaders())) if (!OURS.has(name)) reply.removeHeader(name);
  }
  const facts: Omit<WireErrorBody['error'], 'code' | 'message'> = { request_id: request.id };
  if (error.field !== undefined) facts.field = error.field;
  if (error.details !== undefined) facts.details = error.details;
  if (http === 503) {
    const seconds = Math.max(1, Math.ceil(error.retryAfter ?? RETRY_AFTER));
    if (retryable) facts.retry_after_seconds = seconds;
    reply.header('retry-after', String(seconds));
  }
  if (http === 401) reply.header('www-authenticate', 'Bearer');
  if (carriesBody(request.raw) && !request.raw.complete) {
    // The rest of the body is unread and unwanted: this connection ends with the answer.
    reply.header('connection', 'close');
    lingerOnClose(request.raw);
  }
  const body: WireErrorBody | ControllerErrorBody = isControllerPath(request.url)
    ? { code: http, error: error.message, error_code: error.code, ...facts }
    : { error: { code: error.code, message: error.message, ...facts } };
  return reply.code(http).type('application/json; charset=utf-8').send(body);
}

const INTERNAL = 'something went wrong inside the server; its log has the details under this request_id';

function toTuttiError(e: unknown): TuttiError {
  // The text of an INTERNAL may quote what it stumbled over.
  if (isTuttiError(e)) return e.code === 'INTERNAL' ? new TuttiError('INTERNAL', INTERNAL, { cause: e }) : e;
  const { code, statusCode, message } = (e ?? {}) as Partial<FastifyError>;
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new TuttiError('BODY_TOO_LARGE', 'the request body is larger than this server takes', { field: 'body' });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new TuttiError('UNSUPPORTED_MEDIA_TYPE', 'the body must have the content type application/json', { field: 'content-type' });
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new TuttiError('INVALID_INPUT', 'the body is not as long as its content-length says', { field: 'content-length' });
    case 'FST_ERR_BAD_URL':
      return new TuttiError('INVALID_INPUT', 'the address holds a broken percent escape', { field: 'url' });
    default:
      // Nothing else of the framework reaches a caller by its own words, except what it calls the caller's fault.
      return statusCode !== undefined && statusCode >= 400 && statusCode < 500 && code?.startsWith('FST_ERR_')
        ? new TuttiError('INVALID_INPUT', message ?? 'bad request')
        : new TuttiError('INTERNAL', INTERNAL);
  }
}
