/** The stored templates: written once per registration, read whole at start. */
import type { DatabaseSync } from 'node:sqlite';
import { type StoredTemplate, StoreFailure } from '../store.ts';

const COLUMNS = 'id, namespace, name, version, revision, hash, definition, created_at as createdAt';

const plain = (row: Record<string, unknown>): StoredTemplate => ({ ...(row as unknown as StoredTemplate) });

export const allTemplates = (db: DatabaseSync): StoredTemplate[] => db.prepare(`select ${COLUMNS} from templates order by id`).all().map(plain);

/** The row of this definition, new or old. Throws StoreFailure `conflict` where the revision is taken by another definition. */
export const putTemplate = (db: DatabaseSync, t: Omit<StoredTemplate, 'id'>): { row: StoredTemplate; inserted: boolean } => {
  const find = db.prepare(`select ${COLUMNS} from templates where namespace = ? and name = ? and version = ? and hash = ? order by revision desc limit 1`);
  const known = find.get(t.namespace, t.name, t.version, t.hash);
  if (known !== undefined) return { row: plain(known), inserted: false };
  const done = db
    .prepare('insert into templates(namespace, name, version, revision, hash, definition, created_at) values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing')
    .run(t.namespace, t.name, t.version, t.revision, t.hash, t.definition, t.createdAt);
  if (done.changes !== 1) {
    throw new StoreFailure('conflict', false, `revision ${t.revision} of template ${t.namespace}/${t.name}@${t.version} has another definition`);
  }
  return { row: { id: Number(done.lastInsertRowid), ...t }, inserted: true };
};
