import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pingFor } from '../../bench/ping.ts';

test('a blocked event loop is seen in full, by the pings and by the histogram', async () => {
  const pings = await pingFor(async () => {
    const end = performance.now() + 80;
    while (performance.now() < end);
  });
  assert.ok(pings.max >= 60, `longest ping ${pings.max} ms`);
  // 80 ms of silence is some forty late pings, so the upper percentiles see it too.
  assert.ok(pings.count >= 10, `${pings.count} pings`);
  assert.ok(pings.p99 >= 40, `p99 ${pings.p99} ms`);
});

test('a failure of the work is passed on and the pinger ends', async () => {
  await assert.rejects(
    pingFor(() => Promise.reject(new Error('no'))),
    /no/,
  );
});
