/** A local worker whose registry and hooks a test fills, before an engine that the test plays. */
import type { EngineFacade } from '../../src/engine/facade.ts';
import type { Assignment, AttemptOutcome } from '../../src/engine/worker-port.ts';
import { HandlerRegistry } from '../../src/sdk/handler-registry.ts';
import { HookRegistry } from '../../src/sdk/hooks.ts';
import { TaskHandle } from '../../src/sdk/task-handle.ts';
import { LocalWorker } from '../../src/sdk/worker/local-worker.ts';
import { FakeWorkerPort } from './fake-worker-port.ts';

export interface WatchedWorker {
  port: FakeWorkerPort;
  registry: HandlerRegistry;
  hooks: HookRegistry;
  /** Names of hooks that threw, and what. */
  thrown: [hook: string, message: string][];
  run(a: Assignment): Promise<AttemptOutcome>;
}

export function watchedWorker(): WatchedWorker {
  const port = new FakeWorkerPort();
  const registry = new HandlerRegistry();
  const thrown: WatchedWorker['thrown'] = [];
  const hooks = new HookRegistry({
    taskOf: (id) => new TaskHandle({} as EngineFacade, id),
    onError: (hook, e) => void thrown.push([hook, (e as Error).message]),
  });
  new LocalWorker({ port, registry, hooks, now: () => 0 });
  return {
    port,
    registry,
    hooks,
    thrown,
    run: async (a) => {
      const count = port.results.length + 1;
      port.sink.assign([a]);
      await port.answers(count);
      return port.results[count - 1].outcome;
    },
  };
}
