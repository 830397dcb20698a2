import { TuttiError, isTuttiError } from '../core/errors.ts';
import type { Host } from './host.ts';

export type StoreGuard = <T>(ask: () => T | Promise<T>) => Promise<T>;

/**
 * Asks what may read the store. Whatever it throws becomes an error of the registry: STORE_UNAVAILABLE, unless it is one already. Of an engine
 * that has stopped the store is closed: SHUTTING_DOWN.
 */
export const storeGuard =
  (host: Host, stopped: () => boolean): StoreGuard =>
  async (ask) => {
    try {
      return await ask();
    } catch (e) {
      if (isTuttiError(e)) throw e;
      if (stopped()) throw new TuttiError('SHUTTING_DOWN', 'The engine was closed.', { retryAfter: 5 });
      host.log('error', 'the store failed a read', { message: e instanceof Error ? e.message : String(e) });
      throw new TuttiError('STORE_UNAVAILABLE', 'The store cannot be read at the moment.', { retryAfter: 5, cause: e });
    }
  };
