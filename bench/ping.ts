/**
 * How long this process's event loop leaves a message waiting. A thread of its own sends a ping every 2 ms, whether or not the last
 * one was answered: a stall of 50 ms is then 25 late pings, not one, as 25 requests would meet it. Beside it Node's own histogram.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { quantile } from './statistics.ts';

export interface Pings {
  p50: number;
  p99: number;
  max: number;
  /** Longest delay that `monitorEventLoopDelay` saw, its own interval taken off. */
  monitorMax: number;
  count: number;
}

const INTERVAL_MS = 2;
const PINGER = `
const { parentPort } = require('node:worker_threads');
const waited = []; let open = 0, ended = false;
const timer = setInterval(() => { open++; parentPort.postMessage(performance.now()); }, ${INTERVAL_MS});
const report = () => { parentPort.postMessage({ waited }); parentPort.close(); };
parentPort.on('message', (m) => {
  if (m === 'end') { ended = true; clearInterval(timer); if (open === 0) report(); return; }
  waited.push(performance.now() - m); open--;
  if (ended && open === 0) report();
});`;

/** Pings the calling thread while `work` runs. */
export async function pingFor(work: () => Promise<unknown>): Promise<Pings> {
  const pinger = new Worker(PINGER, { eval: true });
  const report = Promise.withResolvers<number[]>();
  const first = Promise.withResolvers<void>();
  pinger.on('error', report.reject);
  pinger.on('message', (m: number | { waited: number[] }) => {
    first.resolve();
    if (typeof m === 'number') pinger.postMessage(m);
    else report.resolve(m.waited);
  });
  const monitor = monitorEventLoopDelay({ resolution: INTERVAL_MS });
  let waited: number[];
  try {
    await first.promise;
    monitor.enable();
    await work();
    monitor.disable();
    pinger.postMessage('end');
    waited = await report.promise;
  } finally {
    monitor.disable();
    await pinger.terminate();
  }
  return {
    p50: quantile(waited, 0.5),
    p99: quantile(waited, 0.99),
    max: quantile(waited, 1),
    monitorMax: Math.max(0, monitor.max / 1e6 - INTERVAL_MS),
    count: waited.length,
  };
}
