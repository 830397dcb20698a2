/** API keys, and who calls with one. Only their SHA-256 hashes stay in memory, and every comparison takes the same time whatever the key. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Caller } from '../engine/resource-port.ts';

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

  /**
   * Who sends this, by `X-API-Key`, else by `Authorization: Bearer <key>`: by the place of the key among those that are configured: `key-1`, `key-2`, … Null: no key is asked for, so everybody is
   * let in. Undefined: nobody who is.
   */
  callerOf(headers: IncomingHttpHeaders): Caller | undefined {
    if (!this.required) return null;
    const given = keyOf(headers);
    if (given === undefined) return undefined;
    const wanted = digest(given);
    let found = -1;
    this.#hashes.forEach((h, i) => {
      if (timingSafeEqual(h, wanted)) found = i;
    });
    return found < 0 ? undefined : { name: `key-${found + 1}` };
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
