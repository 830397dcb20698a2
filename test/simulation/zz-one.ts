import { FamilyWorld } from '../support/family-world.ts';
import { familyRun } from './family-run.ts';
const f = FamilyWorld.prototype.finish;
FamilyWorld.prototype.finish = async function (this: FamilyWorld) {
  try { await f.call(this); } catch (e) {
    console.log('lives', this.lives, 'now', this.machine.now());
    for (const t of this.mirror.tasks.values()) for (const r of t.rows) if (r.owner !== null || (r.phase === 2 && r.rank !== null) || r.state < 6) {
      const rec = this.records.get(`${t.id}/${r.no}/${r.token}`);
      console.log(t.id, t.state, r.no, JSON.stringify(r), rec && { phase: rec.phase, life: rec.life, over: rec.over, stop: rec.stopReason, at: rec.stoppedAt, what: rec.behaviour.what, maxc: t.facts[r.no].maxChildren, fp: t.facts[r.no].parent, mc: t.facts[t.facts[r.no].parent]?.maxChildren });
    }
    console.log(JSON.stringify(this.engine.metrics().slots), this.engine.metrics().ready, this.logged.slice(-8));
    throw e;
  }
};
await familyRun(Number(process.argv[2])).catch(() => undefined);
process.exit(0);
