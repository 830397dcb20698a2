import { mkdtempSync, rmSync } from 'node:fs';
import { FanOut } from './fan-out.ts';
import { Tutti } from '../src/main.ts';
declare const gc: () => void;
const mem = (l: string) => { const a = process.memoryUsage(); gc(); gc(); const m = process.memoryUsage(); console.log(l.padEnd(12), 'rss', Math.round(a.rss / 2 ** 20), '->', Math.round(m.rss / 2 ** 20), 'heap', Math.round(a.heapUsed / 2 ** 20), '->', Math.round(m.heapUsed / 2 ** 20), 'total', Math.round(a.heapTotal / 2 ** 20), 'ext', Math.round(a.external / 2 ** 20), 'ab', Math.round(a.arrayBuffers / 2 ** 20)); };
const d = mkdtempSync('/tmp/bp-'); mem('start'); const n = Number(process.argv[2] ?? 10000); const f = new FanOut(n, 5); mem('template');
const t = await Tutti.open({ store: d + '/x.db', templates: [f.template] }); mem('open');
for (let i = 0; i < 4; i++) { await f.run(t); mem('run ' + i); }
await t.close(); mem('close'); rmSync(d, { recursive: true });
