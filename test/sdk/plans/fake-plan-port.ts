/** The engine's side of generators, played by a test: calls are made by hand, time passes when it is told to. */
import type { GeneratorHost, PlanAnswer, PlanCall, PlanWorkerPort, SubtaskRow } from '../../../src/engine/plan-port.ts';
import type { ResourceItem } from '../../../src/engine/resource-port.ts';
import type { HandlerDefinition } from '../../../src/sdk/handler-registry.ts';
import { type GeneratorHostOptions, LocalGeneratorHost } from '../../../src/sdk/plans/local-generator-host.ts';
import type { AnyTaskType } from '../../../src/sdk/plans/task-type.ts';

export class FakePlanPort implements PlanWorkerPort {
  host!: GeneratorHost;
  changes = 0;
  closed = false;
  rows: SubtaskRow[] = [];
  readonly pages: { task: number; from: number; limit: number }[] = [];
  items: ResourceItem[] = [{ key: 'segment/a', version: 1, body: { rows: 3 } }];

  connect(host: GeneratorHost): { typesChanged(): void; close(): void } {
    this.host = host;
    return { typesChanged: () => void this.changes++, close: () => void (this.closed = true) };
  }

  subtasks(q: { task: number; from: number; limit: number }): Promise<SubtaskRow[]> {
    this.pages.push(q);
    return Promise.resolve(this.rows.filter((r) => r.no >= q.from).slice(0, q.limit));
  }

  get resources(): PlanWorkerPort['resources'] {
    const no = (): never => {
      throw new Error('not played');
    };
    return {
      items: (_, q) => Promise.resolve(this.items.filter((i) => i.key.startsWith(q?.prefix ?? ''))),
      item: (_, key) => Promise.resolve(this.items.find((i) => i.key === key) ?? null),
      create: no,
      get: no,
      list: no,
      update: no,
      remove: no,
      change: no,
    };
  }

  settings(resource: string, taskType: string): Promise<Record<string, string>> {
    return Promise.resolve({ of: `${resource} ${taskType}` });
  }

  body(resource: string): Promise<{ of: string }> {
    return Promise.resolve({ of: resource });
  }
}

/** Timers that go off when the test says so. */
export class ManualTimers {
  readonly armed = new Map<number, () => void>();

  readonly timer = (ms: number, fn: () => void): (() => void) => {
    // Two of the same length at once would be one: no test has them.
    this.armed.set(ms, fn);
    return () => void this.armed.delete(ms);
  };

  fire(ms: number): void {
    const fn = this.armed.get(ms);
    if (fn === undefined) throw new Error(`no timer of ${ms} ms is armed, but ${[...this.armed.keys()].join(', ')}`);
    this.armed.delete(ms);
    fn();
  }
}

export const planCall = (more: Partial<PlanCall> = {}): PlanCall => ({
  kind: 'next',
  plan: 1,
  token: 1,
  attempt: 1,
  planId: 'feed__Backfill__id',
  resource: 'feed',
  taskType: 'Backfill',
  source: 'ADHOC_CONFIG',
  triggeredBy: null,
  properties: { size: '10' },
  state: null,
  createdAt: 1_700_000_000_000,
  batches: 0,
  inputs: { total: 0, inFlight: 0, processed: 0 },
  customStats: null,
  timeoutMs: 60_000,
  batch: null,
  outcome: null,
  ...more,
});

export const finishedBatch = (more: Partial<NonNullable<PlanCall['batch']>> = {}): NonNullable<PlanCall['batch']> => ({
  sequence: 0,
  taskName: 'Task_Backfill_id_0',
  task: 7,
  taskState: 'COMPLETED',
  counts: { total: 1, complete: 1, failed: 0 },
  ...more,
});

export interface PlayedHost {
  host: LocalGeneratorHost;
  port: FakePlanPort;
  timers: ManualTimers;
  handlers: HandlerDefinition[];
  failures: [call: string, error: unknown][];
  call(more?: Partial<PlanCall>, signal?: AbortSignal): Promise<PlanAnswer>;
}

export function playedHost(types: AnyTaskType[], options: Partial<GeneratorHostOptions> = {}): PlayedHost {
  const port = new FakePlanPort();
  const timers = new ManualTimers();
  const handlers: HandlerDefinition[] = [];
  const failures: [string, unknown][] = [];
  const host = new LocalGeneratorHost({
    registerHandlers: (added) => void handlers.push(...added),
    timer: timers.timer,
    onFailure: (call, e) => void failures.push([call, e]),
    ...options,
  });
  host.register(types);
  host.connect(port);
  return { host, port, timers, handlers, failures, call: (more, signal = new AbortController().signal) => host.call(planCall(more), signal) };
}
