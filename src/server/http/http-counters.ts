/** Counts of requests by route and status, and how long they took. Routes of the table only, so that no caller can add a series. */
import type { Histogram } from '../../engine/facade.ts';

const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5] as const;

export class HttpCounters {
  readonly requests = new Map<string, { method: string; route: string; status: number; count: number }>();
  readonly seconds: Histogram = { bounds: BOUNDS, counts: new Array<number>(BOUNDS.length + 1).fill(0), sum: 0 };
  streams = 0;

  record(method: string, route: string, status: number, seconds: number | null): void {
    const key = `${method} ${route} ${status}`;
    const found = this.requests.get(key);
    if (found) found.count++;
    else this.requests.set(key, { method, route, status, count: 1 });
    if (seconds === null) return;
    let i = 0;
    while (i < BOUNDS.length && seconds > BOUNDS[i]) i++;
    this.seconds.counts[i]++;
    this.seconds.sum += seconds;
  }
}
