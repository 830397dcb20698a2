import { familyRun } from './family-run.ts';
const from = Number(process.argv[2] ?? 1), n = Number(process.argv[3] ?? 100);
const seen = new Map<string, [number, string][]>();
const sums: Record<string, number> = {};
for (let s = from; s < from + n; s++) {
  try { const f = await familyRun(s); for (const [k, v] of Object.entries(f)) if (typeof v === 'number' && k !== 'seed') sums[k] = (sums[k] ?? 0) + v; } catch (e) {
    const m = (e as Error).message.replace(/\|.*/s, '').replace(/task \d+ state.*/, '').replace(/\d+/g, 'N').slice(0, 130);
    seen.set(m, [...(seen.get(m) ?? []), [s, (e as Error).message]]);
  }
}
for (const [k, v] of seen) console.log(v.length, k, v.slice(0, 6).map((x) => x[0]).join(' '), '\n     ', v[0][1].slice(0, Number(process.argv[4] ?? 600)));
console.log('done', JSON.stringify(sums));
process.exit(0);
