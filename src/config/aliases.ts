/** Other spellings of configuration keys in a file, turned into the one of the schema before anything is checked. */
import { ALIASES } from './schema.ts';

export interface Spelled {
  section: string;
  key: string;
  value: unknown;
  /** As it stands in the file. */
  spelling: string;
  /** From a world where every value is text: "true" and "28800" are as good as true and 28800. */
  text?: true;
}

/** Tables inside a section that hold keys of the section itself. */
const GROUPS: Readonly<Record<string, { table: string; keys: readonly string[] }>> = {
  plans: { table: 'resources', keys: ['max_disk_percent', 'max_memory_percent', 'max_inbox_saturation'] },
};
/** Sections that may stand at the top of a file, without `orchestration`. */
const TOP_SECTIONS = ['plans'];

const isTable = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v) && !(v instanceof Date);

/** Every value of a table, by its dotted name; a table without values is one itself. */
function* leaves(value: unknown, name: string): Generator<[name: string, value: unknown]> {
  if (!isTable(value) || Object.keys(value).length === 0) return void (yield [name, value]);
  for (const [k, v] of Object.entries(value)) yield* leaves(v, `${name}.${k}`);
}

/** What stands at the top of a file beside `orchestration`: keys that are known, and names that are not. */
export function atTop(root: Readonly<Record<string, unknown>>): { known: Spelled[]; unknown: string[] } {
  const known: Spelled[] = [];
  const unknown: string[] = [];
  for (const [top, value] of Object.entries(root)) {
    if (top === 'orchestration') continue;
    if (TOP_SECTIONS.includes(top) && isTable(value)) {
      known.push(...keysOf(top, value, top));
    } else if (top.split('.', 1)[0] === 'controller') {
      for (const [spelling, v] of leaves(value, top)) {
        const [, section, key] = ALIASES.find((a) => a.name === spelling)?.path.split('.') ?? [];
        if (section === undefined) unknown.push(spelling);
        else known.push({ section, key, value: v, spelling, text: true });
      }
    } else unknown.push(top);
  }
  return { known, unknown };
}

/** Keys of a section, those of its groups among them. */
export function keysOf(section: string, table: Readonly<Record<string, unknown>>, name: string): Spelled[] {
  return Object.entries(table).flatMap(([key, value]): Spelled[] => {
    const spelling = `${name}.${key}`;
    const group = GROUPS[section];
    if (group?.table !== key || !isTable(value)) return [{ section, key, value, spelling }];
    return Object.entries(value).map(([k, v]) => ({ section, key: group.keys.includes(k) ? k : `${key}.${k}`, value: v, spelling: `${spelling}.${k}` }));
  });
}
