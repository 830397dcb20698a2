/** What a server refused, read from its answer. */
import { ERRORS, type ErrorCode, TuttiError } from '../../core/errors.ts';

interface Refusal {
  code: string;
  message: string;
  field?: string;
  details?: Record<string, unknown>;
  retry_after_seconds?: number;
}

/** The error that a body of ours tells of. */
export const refusalOf = (text: string): TuttiError | undefined => {
  try {
    const body = JSON.parse(text) as { error: Refusal | string; error_code: string } & Refusal;
    // Routes below /tasks and /tables say it as a Pinot controller does.
    const error: Refusal = typeof body.error === 'string' ? { ...body, code: body.error_code, message: body.error } : body.error;
    if (Object.hasOwn(ERRORS, error.code)) {
      return new TuttiError(error.code as ErrorCode, error.message, { field: error.field, details: error.details, retryAfter: error.retry_after_seconds });
    }
  } catch {
    // Not ours: a proxy, or another program on this port.
  }
  return undefined;
};

/** What the server refused, as the error it is. An answer that is not Tutti's own counts as INTERNAL, or NOT_FOUND for 404. */
export const errorOf = async (response: Response): Promise<TuttiError> => {
  const text = await response.text().catch(() => '');
  const refusal = refusalOf(text);
  if (refusal !== undefined) return refusal;
  const code: ErrorCode =
    response.status === 404 ? 'NOT_FOUND' : response.status === 401 ? 'UNAUTHENTICATED' : response.status === 503 ? 'STORE_UNAVAILABLE' : 'INTERNAL';
  return new TuttiError(code, `the server answered ${response.status} ${response.statusText}: ${text.slice(0, 200)}`);
};
