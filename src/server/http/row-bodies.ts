/**
 * Bodies of rows, of all requests together: so many bytes are in work at once, and the next body is refused before it is taken in, lines
 * as they come. A request holds its share until it is answered, or until its rows are kept where the caller has left before.
 */
import type { FastifyRequest, onRequestHookHandler } from 'fastify';
import { ByteBudget, type ByteShare } from '../../core/byte-budget.ts';

const MAX_IN_WORK = 32 * 2 ** 20;
/** Of rows that come line by line: they are kept by one commit in the end, since all are kept or none. */
export const MAX_LINES_BYTES = 16 * 2 ** 20;

export const hasLines = (request: FastifyRequest): boolean => request.headers['content-type']?.startsWith('application/x-ndjson') === true;

interface Held {
  share: ByteShare;
  /** Bytes in it. */
  bytes: number;
  /** Its handler gives it back. */
  busy: boolean;
}

export class RowBodies {
  readonly #budget: ByteBudget;
  readonly #held = new WeakMap<FastifyRequest, Held>();

  constructor(limit = MAX_IN_WORK) {
    this.#budget = new ByteBudget(limit, 'rows');
  }

  /** Before a body is taken in. */
  readonly admit: onRequestHookHandler = (request, reply, done) => {
    const most = request.routeOptions.bodyLimit;
    // Lines are counted as they come, whatever length is stated: who states much and sends nothing would keep the others out.
    const bytes = hasLines(request) ? 0 : Math.min(Number(request.headers['content-length'] ?? most), most);
    const held: Held = { share: this.#budget.share(), bytes, busy: false };
    try {
      held.share.grow(held.bytes);
    } catch (e) {
      return done(e as Error);
    }
    this.#held.set(request, held);
    reply.raw.once('close', () => {
      if (!held.busy) held.share.release();
    });
    done();
  };

  /** Runs the handler. `arrived` is to be told how many bytes there are by now; it throws BACKPRESSURE where others leave no room for them. */
  async during<T>(request: FastifyRequest, work: (arrived: (bytes: number) => void) => Promise<T>): Promise<T> {
    const held = this.#held.get(request) ?? { share: this.#budget.share(), bytes: 0, busy: false };
    held.busy = true;
    try {
      return await work((bytes) => {
        if (bytes <= held.bytes) return;
        held.share.grow(bytes - held.bytes);
        held.bytes = bytes;
      });
    } finally {
      held.share.release();
    }
  }
}
