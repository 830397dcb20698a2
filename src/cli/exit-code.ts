/** What a command's exit code says. They are part of the interface: docs/cli.md lists them, tests hold them. */
import { isTuttiError } from '../core/errors.ts';

export const EXIT = {
  /** The command did what it was asked; a task that was waited for completed. */
  ok: 0,
  /** The task that was waited for did not complete. */
  taskFailed: 1,
  /** Bad usage, bad input, bad configuration or template, or a store that cannot be used. */
  usage: 2,
  /** No such task, step, template or version. */
  notFound: 3,
  /** The server cannot be reached, or cannot work at the moment. */
  unreachable: 4,
  /** Refused: wrong key, or not possible in the present state. */
  refused: 5,
  /** A defect in Tutti. */
  internal: 70,
  interrupted: 130,
} as const;

/** An error the command line raises itself. */
export class CommandError extends Error {
  readonly exitCode: number;
  constructor(exitCode: number, message: string) {
    super(message);
    this.name = 'CommandError';
    this.exitCode = exitCode;
  }
}

export const exitCodeOf = (e: unknown): number => {
  if (e instanceof CommandError) return e.exitCode;
  if (!isTuttiError(e)) return EXIT.internal;
  switch (e.code) {
    case 'NOT_FOUND':
    case 'TEMPLATE_NOT_FOUND':
      return EXIT.notFound;
    case 'TASK_FAILED':
    case 'GENERATION_FAILED':
      return EXIT.taskFailed;
    case 'UNAUTHENTICATED':
    case 'ILLEGAL_STATE':
    case 'TEMPLATE_CONFLICT':
    case 'GONE':
    case 'STORE_LOCKED':
    case 'CONFLICT':
    case 'PLAN_ACTIVE':
    case 'FORBIDDEN':
    case 'METHOD_NOT_ALLOWED':
      return EXIT.refused;
    case 'BACKPRESSURE':
    case 'STORE_UNAVAILABLE':
    case 'DUCKDB_MISSING':
    case 'SHUTTING_DOWN':
      return EXIT.unreachable;
    case 'INTERNAL':
      return EXIT.internal;
    case 'INVALID_INPUT':
    case 'INVALID_JSON':
    case 'INVALID_ID':
    case 'INVALID_CURSOR':
    case 'INVALID_TEMPLATE':
    case 'INVALID_CONFIG':
    // It never heals by itself: another file must be named.
    case 'STORE_UNUSABLE':
    case 'UNSTORABLE_VALUE':
    case 'VALUE_TOO_LARGE':
    case 'BODY_TOO_LARGE':
    case 'UNSUPPORTED_MEDIA_TYPE':
    case 'UNKNOWN_HANDLER':
    case 'ALREADY_EXISTS':
    case 'SPAWN_MISMATCH':
    case 'ORCHESTRATED_ONLY':
      return EXIT.usage;
    default: {
      const never: never = e.code;
      return never;
    }
  }
};
