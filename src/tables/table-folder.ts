/** The folder of all tables belongs to one store: what the store does not name in it is swept, so two stores must never share one. */
import { mkdirSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { TuttiError } from '../core/errors.ts';
import type { Resources } from '../engine/resource-port.ts';
import { syncFolder } from './segments.ts';

const MARKER = 'owner.json';
/** Where the store keeps the name that the folder has as well. */
const OWNER = { id: 'tables-folder', kind: 'tables-folder' };

export interface TableFolderOptions {
  folder: string;
  resources: Resources;
  uuid(): string;
}

/** Throws INVALID_CONFIG where another store has the folder. `take`: from now on it is this store's. */
export async function claimFolder({ folder, resources, uuid }: TableFolderOptions, take: boolean): Promise<void> {
  const marker = path.join(folder, MARKER);
  const there = await readOwner(marker);
  const mine = ((await resources.get(OWNER.id))?.body as { owner: string } | undefined)?.owner ?? null;
  if (there !== null && there !== mine) {
    throw new TuttiError('INVALID_CONFIG', `The tables in ${folder} belong to another store: name another folder, or remove this one.`, {
      field: 'tables.folder',
    });
  }
  if (!take || there !== null) return;
  const owner = mine ?? uuid();
  if (mine === null) await resources.create({ ...OWNER, body: { owner } });
  mkdirSync(folder, { recursive: true });
  const file = await open(marker, 'w');
  try {
    await file.writeFile(`${JSON.stringify({ owner })}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await syncFolder(folder);
}

async function readOwner(marker: string): Promise<string | null> {
  try {
    return String((JSON.parse(await readFile(marker, 'utf8')) as { owner?: unknown }).owner);
  } catch (e) {
    // Half a marker is what a crash left: nothing was in the folder then.
    if (e instanceof SyntaxError || (e as { code?: unknown }).code === 'ENOENT') return null;
    throw e;
  }
}
