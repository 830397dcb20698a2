import { mkdtempSync, rmSync } from 'node:fs';
import { Diamonds } from './bed.ts';
import { Tutti } from '../src/main.ts';
const d = mkdtempSync('/tmp/bp-'); const N = Number(process.argv[3] ?? 25); const ds = new Diamonds(1000 * N + 100);
const slots = Number(process.argv[2] ?? 50);
const t = await Tutti.open({ store: d + '/x.db', templates: [ds.template], slots });
await ds.run(t, 30); const cpu: number[] = [], rate: number[] = [], com: number[] = [];
for (let i = 0; i < N; i++) { const c0 = t.engine.metrics().commitSeconds.sum; const c = process.cpuUsage(); rate.push(await ds.run(t, 1000)); const u = process.cpuUsage(c); cpu.push((u.user + u.system) / 6000); com.push((t.engine.metrics().commitSeconds.sum - c0) * 1e6 / 6000); }
const s = (a: number[]) => [...a].sort((x, y) => x - y); const q = (a: number[], f: number) => s(a)[Math.floor((a.length - 1) * f)].toFixed(1);
console.log(`slots ${slots} cpu us/step min ${q(cpu, 0)} p25 ${q(cpu, .25)} p50 ${q(cpu, .5)} | steps/s max ${q(rate, 1)} p50 ${q(rate, .5)} | commit us/step min ${q(com, 0)} p50 ${q(com, .5)}`);
await t.close(); rmSync(d, { recursive: true });
