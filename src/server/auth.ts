/** API keys. Only their SHA-256 hashes stay in memory, and every comparison takes the same time whatever the key. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

const digest = (key: string): Buffer => hash('sha256', key, 'buffer');

export class ApiKeys {
  readonly #hashes: Buffer[];

  constructor(keys: readonly string[]) {
    this.#hashes = keys.map(digest);
  }

  /** Without any key everybody is let in. */
  get required(): boolean {
    return this.#hashes.length > 0;
  }

  /** By `X-API-Key`, else by `Authorization: Bearer <key>`. */
  admits(headers: IncomingHttpHeaders): boolean {
    if (!this.required) return true;
    const given = keyOf(headers);
    if (given === undefined) return false;
    const wanted = digest(given);
    let found = false;
    for (const h of this.#hashes) found = timingSafeEqual(h, wanted) || found;
    return found;
  }
}

function keyOf(headers: IncomingHttpHeaders): string | undefined {
  const key = headers['x-api-key'];
  if (typeof key === 'string') return key;
  const match = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '');
  return match?.[1];
}

/** Reached from this machine only. */
export const isLoopback = (host: string): boolean => {
  const h = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  return h === 'localhost' || h === '::1' || /^127(\.\d{1,3}){3}$/.test(h) || /^::ffff:127(\.\d{1,3}){3}$/.test(h);
};
