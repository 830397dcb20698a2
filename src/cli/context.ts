/** What every command is given: where to write, how to reach the server, when to stop. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { terminalEnvironment } from '../config.ts';
import { TuttiError } from '../core/errors.ts';
import { HttpClient } from '../sdk/client/http-client.ts';
import { CommandError, EXIT } from './exit-code.ts';
import { type Terminal, terminalOf } from './terminal.ts';

export interface CommandIo {
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  environment: ReturnType<typeof terminalEnvironment>;
  cwd: string;
}

export interface ClientOptions {
  url?: string;
  apiKey?: string;
}

export class CommandContext {
  readonly io: CommandIo;
  readonly out: Terminal;
  readonly err: Terminal;
  /** Aborts at the first interrupt. */
  readonly interrupted: AbortSignal;
  /** Set by a command that ended otherwise than by throwing. */
  exitCode: number = EXIT.ok;

  constructor(io: CommandIo, interrupted: AbortSignal) {
    this.io = io;
    this.out = terminalOf(io.stdout, io.environment.noColor);
    this.err = terminalOf(io.stderr, io.environment.noColor);
    this.interrupted = interrupted;
  }

  client(o: ClientOptions): HttpClient {
    return new HttpClient({
      url: o.url ?? this.io.environment.url ?? 'http://127.0.0.1:8080',
      apiKey: o.apiKey ?? this.io.environment.apiKey,
      wait: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => undefined),
    });
  }

  line(text = ''): void {
    this.out.write(`${text}\n`);
  }

  lines(all: readonly string[]): void {
    this.out.write(all.map((l) => `${l}\n`).join(''));
  }

  /** One JSON document, indented for a person, on one line for a pipe. */
  json(value: unknown): void {
    this.line(JSON.stringify(value, null, this.out.live ? 2 : undefined));
  }
}

/** `orders/order_fulfillment@1.0.0`, or without the version. */
export const parseTemplateRef = (text: string): { namespace: string; name: string; version: string | undefined } => {
  const match = /^([^/@\s]+)\/([^/@\s]+)(?:@([^/@\s]+))?$/.exec(text);
  if (match === null) throw new CommandError(EXIT.usage, `a template is named namespace/name or namespace/name@version, not ${JSON.stringify(text)}`);
  return { namespace: match[1], name: match[2], version: match[3] };
};

/** JSON as given, or from a file (`@orders.json`), or from standard input (`@-`). */
export const parseInput = (text: string | undefined): unknown => {
  if (text === undefined) return undefined;
  let source = text;
  if (text.startsWith('@')) {
    try {
      source = readFileSync(text === '@-' ? 0 : text.slice(1), 'utf8');
    } catch (e) {
      throw new CommandError(EXIT.usage, `--input: ${text.slice(1)} cannot be read: ${(e as Error).message}`);
    }
  }
  try {
    return JSON.parse(source);
  } catch (e) {
    throw new TuttiError('INVALID_JSON', `--input${text.startsWith('@') ? ` ${text}` : ''} is not JSON: ${(e as Error).message}`, { field: 'input' });
  }
};

/** A whole number of an option, or a usage error that names the option. */
export const wholeNumber =
  (option: string, min: number, max: number) =>
  (text: string): number => {
    const n = Number(text);
    if (!/^\d+$/.test(text) || n < min || n > max)
      throw new CommandError(EXIT.usage, `${option} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`);
    return n;
  };
