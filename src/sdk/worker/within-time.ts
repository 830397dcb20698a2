/**
 * An end to the time that somebody else's rules may take: a regular expression that backtracks, a schema that refers to itself a million
 * times. The engine's loop shares this thread, so what takes too long is broken off in the middle.
 */
import { type Context, Script, createContext } from 'node:vm';

/** Starting it starts and stops a watching thread: half a millisecond. */
let watched: { script: Script; context: Context; room: { call: () => void } } | undefined;

function watch(): NonNullable<typeof watched> {
  const room = { call: (): void => undefined };
  return { script: new Script('call()'), context: createContext(room), room };
}

/** What `fn` gives; null when it took longer than `ms` milliseconds. Throws what `fn` throws. Whatever `fn` was at work on is left as it stood. */
export function withinTime<T>(ms: number, fn: () => T): { value: T } | null {
  watched ??= watch();
  const { script, context, room } = watched;
  let value: T;
  room.call = () => {
    value = fn();
  };
  try {
    script.runInContext(context, { timeout: ms });
  } catch (e) {
    if ((e as NodeJS.ErrnoException | undefined)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return null;
    throw e;
  } finally {
    room.call = () => undefined;
  }
  return { value: value! };
}
