/**
 * Writes inventory.csv, the 1,000 rows that examples/csv-inventory.ts counts: `node examples/data/make-inventory.ts`. The same rows every
 * time, with the names, quotes and commas that real files have.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const INVENTORY_ROWS = 1000;
const CATEGORIES = ['tools', 'garden', 'kitchen', 'lamps', 'toys', 'books', 'sports'];
const ADJECTIVES = ['plain', 'heavy', 'folding', 'small', 'red', 'outdoor', 'left-handed'];
const THINGS = ['hammer', 'kettle', 'lantern', 'ladder', 'spade', 'whistle', 'atlas', 'bucket', 'chair'];

/** A field with a comma or a quote is quoted, and its quotes are doubled. */
const field = (text: string): string => (/[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

export function inventoryCsv(rows = INVENTORY_ROWS): string {
  let seed = 20_250_117;
  const draw = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const lines = ['id,name,category,quantity,price_cents,warehouse'];
  for (let id = 1; id <= rows; id++) {
    const thing = `${ADJECTIVES[draw(ADJECTIVES.length)]} ${THINGS[draw(THINGS.length)]}`;
    const name = id % 97 === 0 ? `${thing}, 12" long` : id % 31 === 0 ? `${thing}, spare` : thing;
    lines.push([String(id), field(name), CATEGORIES[draw(CATEGORIES.length)], String(draw(250)), String(99 + draw(25_000)), `W${1 + draw(4)}`].join(','));
  }
  return `${lines.join('\n')}\n`;
}

if (process.argv[1] === import.meta.filename) writeFileSync(join(import.meta.dirname, 'inventory.csv'), inventoryCsv());
