// The embedding process whose memory is measured: plain JavaScript on the built package, as a user's server would be. Running sources
// unbuilt keeps Node's type stripper in memory, some 45 MB that have nothing to do with the engine. argv: file, slots, width.
import { template, Tutti } from '../dist/main.js';

const [file, slots, width] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const payload = (v) => ({ v, pad: 'x'.repeat(200 - JSON.stringify({ v, pad: '' }).length) });
const ran = new Uint8Array(width);

let wide = template('bench/fan@1.0.0').untyped();
const names = [];
for (let k = 0; k < width; k++) {
  names.push(`l${k}`);
  wide = wide.step(`l${k}`, () => {
    ran[k]++;
    return payload(k);
  });
}
wide = wide.step('join', { after: names }, async ({ results }) => {
  let v = 0;
  for await (const [, value] of results) v += value.v;
  return { v };
});

const imported = process.memoryUsage.rss();
const tutti = await Tutti.open({ store: file, templates: [wide], slots });
const { join } = await (await tutti.submit(wide, payload(0))).result();
const rss = process.memoryUsage.rss();
if (join.v !== (width * (width - 1)) / 2 || ran.some((n) => n !== 1)) throw new Error(`wrong result: ${JSON.stringify(join)}`);
await tutti.close();
process.send({ rss, imported, peak: process.resourceUsage().maxRSS * 1024 });
