/** Resources in memory, with the rules of the real ones: versions, expectations, all or nothing. */
import { TuttiError } from '../../src/core/errors.ts';
import type { Json } from '../../src/core/definition.ts';
import type { Resource, ResourceChanges, ResourceItem, Resources } from '../../src/engine/resource-port.ts';

export class MemoryResources implements Resources {
  readonly #resources = new Map<string, Resource>();
  readonly #items = new Map<string, Map<string, ResourceItem>>();
  #incarnations = 0;
  /** Called before each change of items: a test may throw, or change something itself first. */
  beforeChange: (id: string, changes: ResourceChanges) => void | Promise<void> = () => {};

  /** Of the kind; called after a removal, as the engine does. */
  onDrop: (id: string) => void | Promise<void> = () => {};

  async create({ id, kind, body }: { id: string; kind: string; body: Json }): Promise<Resource> {
    if (this.#resources.has(id)) throw new TuttiError('ALREADY_EXISTS', `${id} exists.`);
    const resource = { id, kind, body: structuredClone(body), version: 1, createdAt: 1000, incarnation: ++this.#incarnations };
    this.#resources.set(id, resource);
    this.#items.set(id, new Map());
    return resource;
  }

  async get(id: string): Promise<Resource | null> {
    return this.#resources.get(id) ?? null;
  }

  async list({ kind, after = '', limit = 1000 }: { kind?: string; after?: string; limit?: number } = {}): Promise<Resource[]> {
    const all = [...this.#resources.values()].filter((r) => r.id > after && (kind === undefined || r.kind === kind));
    return all.sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit);
  }

  async update(id: string, { body, expect }: { body: Json; expect: number }): Promise<Resource> {
    const old = this.#of(id);
    if (old.version !== expect) throw new TuttiError('CONFLICT', `${id} has version ${old.version}.`);
    const resource = { ...old, body: structuredClone(body), version: old.version + 1 };
    this.#resources.set(id, resource);
    return resource;
  }

  async remove(id: string): Promise<void> {
    this.#of(id);
    this.#resources.delete(id);
    this.#items.delete(id);
    await this.onDrop(id);
  }

  async items(id: string, { prefix = '', after = '', limit = 1000 }: { prefix?: string; after?: string; limit?: number } = {}): Promise<ResourceItem[]> {
    const all = [...(this.#items.get(id) ?? new Map<string, ResourceItem>()).values()].filter((i) => i.key.startsWith(prefix) && i.key > after);
    return all.sort((a, b) => (a.key < b.key ? -1 : 1)).slice(0, limit);
  }

  async item(id: string, key: string): Promise<ResourceItem | null> {
    return this.#items.get(id)?.get(key) ?? null;
  }

  async change(id: string, changes: ResourceChanges): Promise<void> {
    this.#of(id);
    await this.beforeChange(id, changes);
    if (changes.incarnation !== undefined && this.#of(id).incarnation !== changes.incarnation) throw new TuttiError('NOT_FOUND', `${id} is another now.`);
    const items = this.#items.get(id)!;
    const { put = [], remove = [] } = changes;
    if (put.length + remove.length > 10_000) throw new TuttiError('INVALID_INPUT', 'Too many changes.');
    for (const p of put) {
      const now = items.get(p.key)?.version ?? null;
      if (p.expect !== undefined && p.expect !== now) throw new TuttiError('CONFLICT', `${p.key} has version ${now}, not ${p.expect}.`);
      if (JSON.stringify(p.body).length > 2 ** 20) throw new TuttiError('VALUE_TOO_LARGE', `${p.key} is too large.`);
    }
    for (const r of remove) {
      const now = items.get(r.key)?.version;
      if (r.expect !== undefined && r.expect !== now) throw new TuttiError('CONFLICT', `${r.key} has version ${now}, not ${r.expect}.`);
    }
    for (const p of put) items.set(p.key, { key: p.key, version: (items.get(p.key)?.version ?? 0) + 1, body: structuredClone(p.body) });
    for (const r of remove) items.delete(r.key);
  }

  #of(id: string): Resource {
    const resource = this.#resources.get(id);
    if (resource === undefined) throw new TuttiError('NOT_FOUND', `There is no ${id}.`);
    return resource;
  }
}
