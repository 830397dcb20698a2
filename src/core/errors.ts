/**
 * The one registry of errors. A code is stable and is what callers match on (never the text, never `instanceof` across processes).
 * `http` and `grpc` are the status numbers the two surfaces answer with; `retryable` tells a client that the same call may succeed later.
 */
export const ERRORS = {
  INVALID_INPUT: {
    http: 400,
    grpc: 3,
    retryable: false,
    meaning: 'A field is missing, of the wrong type or out of range; the message names it and the limit.',
  },
  INVALID_JSON: { http: 400, grpc: 3, retryable: false, meaning: 'The body is not JSON.' },
  INVALID_ID: { http: 400, grpc: 3, retryable: false, meaning: 'The id is not a UUID.' },
  INVALID_CURSOR: { http: 400, grpc: 3, retryable: false, meaning: 'The cursor was not issued by this list.' },
  INVALID_TEMPLATE: { http: 400, grpc: 3, retryable: false, meaning: 'The template breaks a rule; the message names file, step and field.' },
  INVALID_CONFIG: { http: 400, grpc: 3, retryable: false, meaning: 'A configuration key is unknown or its value is out of range.' },
  UNSTORABLE_VALUE: { http: 400, grpc: 3, retryable: false, meaning: 'The value cannot be kept as JSON; the message names the path.' },
  VALUE_TOO_LARGE: { http: 413, grpc: 3, retryable: false, meaning: 'The value is larger than the limit.' },
  BODY_TOO_LARGE: { http: 413, grpc: 3, retryable: false, meaning: 'The request body is larger than the limit.' },
  UNSUPPORTED_MEDIA_TYPE: { http: 415, grpc: 3, retryable: false, meaning: 'The body has a content type other than application/json, or an encoding.' },
  UNAUTHENTICATED: { http: 401, grpc: 16, retryable: false, meaning: 'The API key is missing or wrong.' },
  NOT_FOUND: { http: 404, grpc: 5, retryable: false, meaning: 'There is no such task, step, template or route.' },
  METHOD_NOT_ALLOWED: { http: 405, grpc: 12, retryable: false, meaning: 'The route does not take this method.' },
  TEMPLATE_NOT_FOUND: { http: 404, grpc: 5, retryable: false, meaning: 'No template is registered under this namespace, name and version.' },
  TEMPLATE_CONFLICT: { http: 409, grpc: 6, retryable: false, meaning: 'Another graph is registered under this version; the message shows the difference.' },
  ILLEGAL_STATE: { http: 409, grpc: 9, retryable: false, meaning: 'The task or step is in a state that does not allow this.' },
  GONE: { http: 410, grpc: 11, retryable: false, meaning: 'The cursor is older than what is kept.' },
  SPAWN_MISMATCH: { http: 409, grpc: 9, retryable: false, meaning: 'A retried step asks for other children in the place of those it has.' },
  ALREADY_EXISTS: { http: 409, grpc: 6, retryable: false, meaning: 'Something with this id or key exists already.' },
  CONFLICT: { http: 409, grpc: 10, retryable: true, meaning: 'It was changed meanwhile: read it again and decide again.' },
  PLAN_ACTIVE: { http: 409, grpc: 9, retryable: true, meaning: 'A plan is live for this resource and task type; the message names it.' },
  ORCHESTRATED_ONLY: { http: 400, grpc: 9, retryable: false, meaning: 'The task type runs as a plan only: set enableTaskOrchestration to "true".' },
  GENERATION_FAILED: { http: 502, grpc: 13, retryable: true, meaning: 'The generator of the task type failed; the message is its own.' },
  FORBIDDEN: { http: 403, grpc: 7, retryable: false, meaning: 'The caller may not do this to this resource.' },
  DUCKDB_MISSING: { http: 501, grpc: 12, retryable: false, meaning: 'Tables need the optional package @duckdb/node-api; the message says how to install it.' },
  UNKNOWN_HANDLER: { http: 422, grpc: 9, retryable: false, meaning: 'A step names a handler that nobody here has registered.' },
  BACKPRESSURE: { http: 503, grpc: 8, retryable: true, meaning: 'An inbox is full; try again after Retry-After.' },
  STORE_UNAVAILABLE: { http: 503, grpc: 14, retryable: true, meaning: 'The store cannot be written at the moment.' },
  SHUTTING_DOWN: { http: 503, grpc: 14, retryable: true, meaning: 'This process is draining and takes no new work.' },
  STORE_LOCKED: { http: 503, grpc: 9, retryable: false, meaning: 'Another process owns the store file.' },
  STORE_UNUSABLE: { http: 503, grpc: 9, retryable: false, meaning: 'The store file is corrupt, read-only or written by a newer version.' },
  TASK_FAILED: { http: 409, grpc: 9, retryable: false, meaning: 'The task ended without completing; `failedSteps` tells where.' },
  INTERNAL: { http: 500, grpc: 13, retryable: false, meaning: 'A defect in Tutti; the log has the details.' },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** The only error that Tutti's own code throws at a caller. `field` is a path such as `context.items[3]` or `priority`. */
export class TuttiError extends Error {
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly details: Record<string, unknown> | undefined;
  /** Seconds after which a retry makes sense; set on BACKPRESSURE and STORE_UNAVAILABLE. */
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, message: string, extra: { field?: string; details?: Record<string, unknown>; retryAfter?: number; cause?: unknown } = {}) {
    super(message, extra.cause === undefined ? undefined : { cause: extra.cause });
    this.name = 'TuttiError';
    this.code = code;
    this.field = extra.field;
    this.details = extra.details;
    this.retryAfter = extra.retryAfter;
  }
}

/** Matches by shape, so that errors of another copy of this package are recognised too. */
export const isTuttiError = (e: unknown): e is TuttiError =>
  e instanceof Error && typeof (e as { code?: unknown }).code === 'string' && (e as unknown as { code: string }).code in ERRORS;

/**
 * What a failed attempt leaves behind, as stored on the step and shown by every surface.
 * `code` is a stable word (`handler_error`, `step_timeout`, `heartbeat_lost`, `attempt_lost`, `unstorable_result`, `result_too_large`,
 * `resolved_without_result`, `handler_not_found`, `task_deadline`, `cancelled`, or what the handler's error carried).
 */
export interface StepError {
  code: string;
  message: string;
  /** False when no further attempt may follow whatever the policy says. */
  retryable: boolean;
  /** First lines of the stack, for people; at most 2,000 characters. Names no folder of the machine but those below the working folder. */
  stack?: string;
}
