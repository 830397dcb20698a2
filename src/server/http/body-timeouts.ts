/**
 * How long a body may take. Node has one limit for whole requests, and a large upload over a slow line must not be cut by it: so that one
 * is off, and ours begins when the headers are there. A body that is read as a whole has to arrive within the limit. One that is taken as
 * it comes may take as long as it likes, as long as something comes: silence of one to two limits ends it. Nobody is cut for our own
 * slowness, that is, while what has arrived is still to be read.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { carriesBody } from './linger.ts';

export interface BodyTimeoutsOptions {
  limitMs: number;
  /** Calls back once; the answer prevents it. */
  timer: (ms: number, fn: () => void) => () => void;
  /** Tells whoever sent it, and closes the connection. */
  expired: (request: IncomingMessage, response: ServerResponse) => void;
}

export class BodyTimeouts {
  readonly #o: BodyTimeoutsOptions;
  readonly #streamed = new WeakSet<IncomingMessage>();

  constructor(options: BodyTimeoutsOptions) {
    this.#o = options;
  }

  watch(request: IncomingMessage, response: ServerResponse): void {
    if (!carriesBody(request)) return;
    const { limitMs, timer } = this.#o;
    let seen = request.socket.bytesRead;
    const look = (): void => {
      if (request.complete) return;
      const { bytesRead } = request.socket;
      // Once it is answered the rest is only thrown away.
      const waits = this.#streamed.has(request) && !response.headersSent && (bytesRead !== seen || request.readableLength > 0);
      if (!waits) return this.#o.expired(request, response);
      seen = bytesRead;
      cancel = timer(limitMs, look);
    };
    let cancel = timer(limitMs, look);
    request.once('close', () => cancel());
  }

  /** The body is handed on unread, to be taken as it comes. */
  streamed(request: IncomingMessage): void {
    this.#streamed.add(request);
  }
}
