/** A hundred kills in a row of a loaded server: `node test/crash/hundred-kills.ts [kills] [seed]`. Exit code 1 when anything was lost. */
import { killRun } from './kill-run.ts';

const kills = Number(process.argv[2] ?? 100);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000);
console.log(`${kills} kills, seed ${seed}`);
const facts = await killRun({ kills, seed, maxLifeMs: 1_000, note: (line) => console.log(line) });
console.log(JSON.stringify(facts, null, 2));
if (facts.inFlight < kills * 0.9) {
  console.error(`only ${facts.inFlight} kills met running handlers`);
  process.exitCode = 1;
}
