import { utf8Length } from '../../core/values.ts';
import type { LogFields, StepLog } from '../step-types.ts';

export const MAX_LOG_LINES = 1_000;
export const MAX_LOG_BYTES = 262_144;

type Level = keyof StepLog;

/** `ctx.log`: passes lines on until the attempt's share is used up, says so once, and drops the rest. */
export class AttemptLog implements StepLog {
  readonly #write: (level: Level, message: string) => void;
  #lines = 0;
  #bytes = 0;
  #full = false;

  constructor(write: (level: Level, message: string) => void) {
    this.#write = write;
  }

  readonly debug = (message: string, fields?: LogFields): void => this.#add('debug', message, fields);
  readonly info = (message: string, fields?: LogFields): void => this.#add('info', message, fields);
  readonly warn = (message: string, fields?: LogFields): void => this.#add('warn', message, fields);
  readonly error = (message: string, fields?: LogFields): void => this.#add('error', message, fields);

  #add(level: Level, message: unknown, fields: LogFields | undefined): void {
    if (this.#full) return;
    const line = lineOf(message, fields);
    const bytes = utf8Length(line);
    if (this.#lines >= MAX_LOG_LINES || this.#bytes + bytes > MAX_LOG_BYTES) {
      this.#full = true;
      this.#write('warn', `further lines of this attempt are dropped: the limit is ${MAX_LOG_LINES} lines or ${MAX_LOG_BYTES / 1024} KiB`);
      return;
    }
    this.#lines++;
    this.#bytes += bytes;
    this.#write(level, line);
  }
}

/** Logging never fails a step, whatever it is given. */
function lineOf(message: unknown, fields: LogFields | undefined): string {
  let text: string;
  try {
    text = typeof message === 'string' ? message : message instanceof Error ? (message.stack ?? message.message) : (JSON.stringify(message) ?? String(message));
  } catch {
    text = '(a message that cannot be written)';
  }
  if (fields !== undefined) {
    try {
      text += ` ${JSON.stringify(fields)}`;
    } catch {
      text += ' (fields that cannot be written)';
    }
  }
  return text.toWellFormed().replaceAll('\u0000', '\uFFFD');
}
