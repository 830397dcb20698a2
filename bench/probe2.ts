import { mkdtempSync, rmSync } from 'node:fs';
import { FanOut } from './fan-out.ts';
import { Tutti } from '../src/main.ts';
import { pingFor } from './ping.ts';
const d = mkdtempSync('/tmp/bp-'); const n = Number(process.argv[2] ?? 100000); const f = new FanOut(n, 3);
const t = await Tutti.open({ store: d + '/x.db', templates: [f.template] });
for (let i = 0; i < 3; i++) {
  let r = 0; const m0 = t.engine.metrics();
  const p = await pingFor(async () => { r = await f.run(t); });
  const m = t.engine.metrics(); const h = (k: 'turnSeconds' | 'commitSeconds') => m[k].counts.map((c, j) => `${m[k].bounds[j] ?? 'inf'}:${c - m0[k].counts[j]}`).join(' ');
  console.log(Math.round(r), 'ms', (r / n * 1000).toFixed(1), 'us', p.p50.toFixed(2), p.p99.toFixed(1), p.max.toFixed(1), 'rss', Math.round(process.memoryUsage.rss() / 2 ** 20)); console.log(h('turnSeconds')); console.log(h('commitSeconds'));
}
await t.close(); rmSync(d, { recursive: true });
