/**
 * An end to the time that somebody else's rules may take: a regular expression that backtracks, a schema that refers to itself a million
 * times. The engine's loop shares this thread, so what takes too long is broken off in the middle.
 */
import { Script, createContext } from 'node:vm';

/** Such a call starts and stops a watching thread: a few tenths of a millisecond. */
const CALL = new Script('call()');

/** What `fn` gives; null when it took longer than `ms` milliseconds. Throws what `fn` throws. Whatever `fn` was at work on is left as it stood. */
export function withinTime<T>(ms: number, fn: () => T): { value: T } | null {
  let value: T;
  const call = (): void => {
    value = fn();
  };
  try {
    CALL.runInContext(createContext({ call }), { timeout: ms });
  } catch (e) {
    if ((e as NodeJS.ErrnoException | undefined)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return null;
    throw e;
  }
  return { value: value! };
}
