import { mkdtempSync, rmSync } from 'node:fs';
import { Diamonds } from './bed.ts';
import { Tutti } from '../src/main.ts';
const d = mkdtempSync('/tmp/bp-'); const ds = new Diamonds(20000);
const slots = Number(process.argv[2] ?? 50);
const t = await Tutti.open({ store: d + '/x.db', templates: [ds.template], slots });
await ds.run(t, 30);
for (let i = 0; i < Number(process.argv[3] ?? 4); i++) { const m0 = t.engine.metrics(); const c = process.cpuUsage(); const t0 = performance.now(); const r = await ds.run(t, 1000); const w = performance.now() - t0; const m = t.engine.metrics(); const u = process.cpuUsage(c);
 console.log(Math.round(r), 'steps/s', 'wall', Math.round(w), 'cpu', Math.round(u.user / 1000), Math.round(u.system / 1000), 'turns', m.turns - m0.turns, 'commit ms', Math.round((m.commitSeconds.sum - m0.commitSeconds.sum) * 1000), 'turn ms', Math.round((m.turnSeconds.sum - m0.turnSeconds.sum) * 1000), 'rows', Math.round((m.turnRows.sum - m0.turnRows.sum) / (m.turns - m0.turns)), 'actors', m.actors.map((a, k) => a.name + ' ' + Math.round(a.timeMs - m0.actors[k].timeMs)).join(' ')); }
console.log(JSON.stringify(t.engine.metrics().commitSeconds));
await t.close(); rmSync(d, { recursive: true });
