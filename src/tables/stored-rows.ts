/** Rows of tables in the store, as items: large requests are put in parts, and all are read few at a time. */
import { mkdir, open } from 'node:fs/promises';
import type { ResourceItem, Resources } from '../engine/resource-port.ts';
import type { ItemRemoval } from './item-lane.ts';
import { linesOf, openKey, PART_PREFIX, partKey, partPrefix, type RowItem, type RowPiece, ROWS_PREFIX, rowItem, rowNumber } from './row-items.ts';

/** What one segment takes: the one commit that removes the items has them all, and nothing else happens meanwhile. */
const SEAL_ITEMS = 2_000;
const SEAL_CHARS = 16 * 2 ** 20;
/** Items read at one go: each may have 300,000 characters. */
const PAGE = 4;
/** Parts that one commit puts, of 300,000 characters each. */
const PARTS_AT_ONCE = 2;

/** Items whose lines are in a file now. */
export interface Gathered {
  /** Of the oldest item, which says what all of them are. */
  key: string;
  of: RowItem;
  rows: number;
  items: { key: string; expect: number }[];
  /** There are more, for another segment. */
  more: boolean;
}

/** A table, and not another that was made under its name later. */
interface TableKey {
  id: string;
  incarnation: number;
}

export interface StoredParts {
  parts: string;
  /** Goes in the commit of the item that names them. */
  remove: ItemRemoval;
  /** Takes them away, unless an item names them. */
  drop(): Promise<void>;
}

export interface StoredRowsOptions {
  /** Asked for when they are needed: tables are made before the engine. */
  resources: () => Resources;
  tempFolder: string;
  /** This process, in the names of parts: those of another came to nothing, or an item names them. */
  writer: string;
  /** Lets others have the loop. */
  pause(): Promise<void>;
}

export class StoredRows {
  readonly #o: StoredRowsOptions;
  #parts = 0;

  constructor(o: StoredRowsOptions) {
    this.#o = o;
  }

  /** Lines that no item names yet, in as many commits as it takes. Returns what they go by. */
  async putParts({ id, incarnation }: TableKey, pieces: readonly RowPiece[]): Promise<StoredParts> {
    const resources = this.#o.resources();
    const name = `${this.#o.writer}.${++this.#parts}`;
    const kept = [openKey(name)];
    try {
      await resources.change(id, { incarnation, put: [{ key: openKey(name), body: null, expect: null }] });
      for (let at = 0; at < pieces.length; at += PARTS_AT_ONCE) {
        const put = pieces.slice(at, at + PARTS_AT_ONCE).map(({ lines }, i) => ({ key: partKey(name, at + i), body: { lines }, expect: null }));
        kept.push(...put.map((p) => p.key));
        await resources.change(id, { incarnation, put });
      }
    } catch (e) {
      // Nothing names them. Where this fails too, the next process does it.
      await resources.change(id, { incarnation, remove: kept.map((key) => ({ key })) }).catch(() => {});
      throw e;
    }
    const remove = { key: openKey(name), expect: 1 };
    const drop = async (): Promise<void> => {
      // Fails where an item names them after all: what it expects is gone then.
      await resources.change(id, { incarnation, remove: [remove, ...kept.slice(1).map((key) => ({ key }))] }).catch(() => {});
    };
    return { parts: name, remove, drop };
  }

  /** Parts that an earlier process put before it ended, and that nothing names. */
  async dropParts({ id, incarnation }: TableKey, named: ReadonlySet<string>): Promise<void> {
    for await (const items of this.pages(id, PART_PREFIX)) {
      const remove = items.filter(({ key }) => {
        const name = key.slice(PART_PREFIX.length, key.lastIndexOf('/'));
        return !name.startsWith(`${this.#o.writer}.`) && !named.has(name);
      });
      if (remove.length > 0) await this.#o.resources().change(id, { incarnation, remove: remove.map(({ key }) => ({ key })) });
    }
  }

  /** In the order of their keys; others have the loop after each page. */
  async *pages(id: string, prefix: string): AsyncGenerator<ResourceItem[]> {
    for (let after: string | undefined; ; ) {
      const items = await this.#o.resources().items(id, { prefix, after, limit: PAGE });
      if (items.length > 0) yield items;
      if (items.length < PAGE) return;
      after = items.at(-1)?.key;
      await this.#o.pause();
    }
  }

  /** Writes the lines of the oldest items up to a number, as many as one segment takes. Null: there are none. */
  async gather(id: string, until: number, lines: string): Promise<Gathered | null> {
    await mkdir(this.#o.tempFolder, { recursive: true });
    const file = await open(lines, 'w');
    try {
      let found: Gathered | null = null;
      let chars = 0;
      for await (const page of this.pages(id, ROWS_PREFIX)) {
        const fit: ResourceItem[] = [];
        let end: 'none' | 'rest' | null = null;
        for (const i of page) {
          const item = rowItem(i);
          found ??= { key: i.key, of: item, rows: 0, items: [], more: false };
          if (rowNumber(i.key) > until) end = 'none';
          else if (item.schemaVersion !== found.of.schemaVersion || found.items.length >= SEAL_ITEMS || chars >= SEAL_CHARS) end = 'rest';
          if (end !== null) break;
          fit.push(i);
          found.rows += item.rows;
          found.items.push({ key: i.key, expect: i.version });
          chars += item.lines.length;
          if (item.parts === undefined) continue;
          for await (const parts of this.pages(id, partPrefix(item.parts))) {
            const text = parts.map(linesOf).join('');
            found.items.push(...parts.map((p) => ({ key: p.key, expect: p.version })));
            chars += text.length;
            await file.appendFile(text);
          }
        }
        await file.appendFile(fit.map(linesOf).join(''));
        if (found !== null && end === 'rest') found.more = true;
        if (end !== null) break;
      }
      return found === null || found.items.length === 0 ? null : found;
    } finally {
      await file.close();
    }
  }
}
