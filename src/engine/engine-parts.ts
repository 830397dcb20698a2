import type { Store } from '../store/store.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { GraphCache } from './graph-cache.ts';
import type { EngineConfig, Host } from './host.ts';
import type { PayloadCache } from './payload-cache.ts';
import type { ReadyQueue } from './ready-queue.ts';
import type { Timers } from './timers.ts';

/** What the stages of the engine share. */
export interface EngineParts {
  readonly host: Host;
  readonly config: EngineConfig;
  readonly store: Store;
  /** Owner of this process's attempts. */
  readonly boot: number;
  readonly graphs: GraphCache;
  readonly payloads: PayloadCache;
  readonly dispatcher: Dispatcher;
  readonly timers: Timers;
  readonly queue: ReadyQueue;
  /** Tasks whose graph was wanted, read for, and not there: they have ended or are gone. Who wanted it takes the id out. */
  readonly absent: Set<number>;
}
