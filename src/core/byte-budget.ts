/** Bytes that may be in work at once, over everybody who takes some: what is beyond is refused, so that many together do not fill the memory. */
import { TuttiError } from './errors.ts';

export class ByteBudget {
  readonly #limit: number;
  readonly #what: string;
  #taken = 0;

  /** `what`: whose bytes they are, for the message. */
  constructor(limit: number, what: string) {
    this.#limit = limit;
    this.#what = what;
  }

  get taken(): number {
    return this.#taken;
  }

  /** A share of nothing yet. */
  share(): ByteShare {
    let held = 0;
    return {
      grow: (bytes) => {
        // One that is alone may be as large as other limits let it: it would be refused for ever.
        if (this.#taken > held && this.#taken + bytes > this.#limit)
          throw new TuttiError('BACKPRESSURE', `${this.#taken} bytes of ${this.#what} are in work already; ${this.#limit} is the limit of all together.`, {
            retryAfter: 1,
            details: { limit: this.#limit },
          });
        held += bytes;
        this.#taken += bytes;
      },
      release: () => {
        this.#taken -= held;
        held = 0;
      },
    };
  }
}

export interface ByteShare {
  /** Takes so many more. Throws BACKPRESSURE, and takes none, where others leave no room for them. */
  grow(bytes: number): void;
  /** Gives all back; more may be taken afterwards. */
  release(): void;
}
