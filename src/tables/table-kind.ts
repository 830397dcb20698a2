/** Tables as the engine asks for them: a kind of resource whose settings are in its config. */
import { isTuttiError } from '../core/errors.ts';
import type { Resource, ResourceKind, Resources } from '../engine/resource-port.ts';
import { bodyOf } from './segments.ts';
import { configuredTypes, settingsOf } from './table-config.ts';
import { idsOf } from './table-names.ts';
import { TABLE_KIND } from './tables.ts';

export interface TableKindOptions {
  resources(): Resources;
  authorise?: ResourceKind['authorise'];
  onDrop(id: string): Promise<void>;
}

export function tableKind(o: TableKindOptions): ResourceKind {
  const find = async (id: string): Promise<Resource | null> => {
    const resource = await o.resources().get(id);
    return resource?.kind === TABLE_KIND ? resource : null;
  };
  return {
    name: TABLE_KIND,
    exists: async (id) => (await find(id)) !== null,
    expand: async (name) => {
      const there = await Promise.all(idsOf(name).map(find));
      return there.flatMap((t) => (t === null ? [] : [t.id]));
    },
    ...(o.authorise === undefined ? {} : { authorise: o.authorise }),
    settings: async (id, type) => {
      const table = await find(id);
      return table === null ? null : settingsOf(bodyOf(table).config, type);
    },
    configuredTypes: async (id) => {
      const table = await find(id);
      return table === null ? [] : configuredTypes(bodyOf(table).config);
    },
    onDrop: o.onDrop,
  };
}

export const isNotFound = (e: unknown): boolean => isTuttiError(e) && e.code === 'NOT_FOUND';
