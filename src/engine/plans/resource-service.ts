/**
 * Resources and their items. Every write is checked against versions that were looked up while the resource was at a known revision; a
 * decision about items bumps it, so that a check can never be older than the last decision (I3). Operations on one resource's own row come
 * one after the other.
 */
import type { ItemWrite, ResourceWrite } from '../../core/changes.ts';
import type { Json } from '../../core/definition.ts';
import { KeyedLock } from '../../core/keyed-lock.ts';
import { TuttiError, isTuttiError } from '../../core/errors.ts';
import { serialise } from '../../core/values.ts';
import type { StoredResource } from '../../store/plan-store.ts';
import type { Store } from '../../store/store.ts';
import type { Host } from '../host.ts';
import { ReadGate } from '../read-gate.ts';
import type { Resource, ResourceChanges, ResourceItem, Resources } from '../resource-port.ts';
import { ItemRevisions } from './item-revisions.ts';
import type { Done, PlanCommand, PreparedItems } from './plan-command.ts';

const MAX_CHANGES = 10_000;
const ID = /^[A-Za-z0-9_.-]{1,200}$/;

export interface ResourceServiceOptions {
  store: Store;
  host: Host;
  highest: () => number;
  post: (make: (done: Done) => PlanCommand) => Promise<void>;
  /** Turns whatever a store throws into an error of the registry. */
  guard: <T>(ask: () => T | Promise<T>) => Promise<T>;
  /** Takes a command that was looked into to its turn. */
  again: (c: PlanCommand) => void;
}

export class ResourceService implements Resources {
  readonly #o: ResourceServiceOptions;
  readonly #gate: ReadGate;
  readonly #locks = new KeyedLock();
  #lastIncarnation = -1;

  constructor(o: ResourceServiceOptions) {
    this.#o = o;
    this.#gate = new ReadGate({ limit: 64, soon: (fn) => o.host.soon(fn) });
  }

  readonly revisions = new ItemRevisions();

  async create(r: { id: string; kind: string; body: Json }): Promise<Resource> {
    if (typeof r.id !== 'string' || !ID.test(r.id) || r.id.includes('__'))
      throw new TuttiError('INVALID_INPUT', 'id must be 1 to 200 letters, digits, `_`, `.` or `-`, without `__`', { field: 'id' });
    const body = textOf(r.body, 'body');
    return await this.locked(r.id, async () => {
      if ((await this.#row(r.id)) !== null) throw new TuttiError('ALREADY_EXISTS', `there is a resource ${r.id} already`, { field: 'id' });
      if (this.#lastIncarnation < 0) this.#lastIncarnation = this.#o.highest();
      const incarnation = ++this.#lastIncarnation;
      const write: ResourceWrite = { incarnation, id: r.id, kind: r.kind, createdAt: this.#o.host.now(), fromVersion: null, body };
      await this.#o.post((done) => ({ kind: 'resource', write, done }));
      return { id: r.id, kind: r.kind, body: r.body, version: 1, createdAt: write.createdAt, incarnation };
    });
  }

  async get(id: string): Promise<Resource | null> {
    const row = await this.#row(id);
    return row === null ? null : resourceOf(row);
  }

  async list(q: { kind?: string; after?: string; limit?: number } = {}): Promise<Resource[]> {
    const rows = await this.#o.guard(() => this.#o.store.resources({ ...q, limit: Math.min(q.limit ?? 1000, 10_000) }));
    return rows.map(resourceOf);
  }

  async update(id: string, o: { body: Json; expect: number }): Promise<Resource> {
    const body = textOf(o.body, 'body');
    return await this.locked(id, async () => {
      const row = await this.#existing(id);
      if (row.version !== o.expect)
        throw new TuttiError('CONFLICT', `${id} is at version ${row.version}, not ${o.expect}`, { details: { version: row.version } });
      const { incarnation, kind, createdAt, version } = row;
      await this.#o.post((done) => ({ kind: 'resource', write: { incarnation, id, kind, createdAt, fromVersion: version, body }, done }));
      return { ...resourceOf(row), body: o.body, version: version + 1 };
    });
  }

  async remove(id: string): Promise<void> {
    await this.locked(id, async () => {
      const row = await this.#existing(id);
      await this.#o.post((done) => ({ kind: 'drop', resource: id, incarnation: row.incarnation, done }));
    });
  }

  async items(id: string, q: { prefix?: string; after?: string; limit?: number } = {}): Promise<ResourceItem[]> {
    const { incarnation } = await this.#existing(id);
    const rows = await this.#o.guard(() => this.#o.store.items({ ...q, resource: incarnation, limit: Math.min(q.limit ?? 1000, 10_000) }));
    return rows.map((r) => ({ key: r.key, version: r.version, body: JSON.parse(r.body) as Json }));
  }

  async item(id: string, key: string): Promise<ResourceItem | null> {
    const found = await this.items(id, { prefix: key, limit: 1 });
    return found[0]?.key === key ? found[0] : null;
  }

  async change(id: string, changes: ResourceChanges): Promise<void> {
    const items = await this.prepare(id, changes);
    if (items === null) return;
    await this.#o.post((done) => ({ kind: 'items', items, done }));
  }

  /** One after the other for one resource. */
  locked<T>(id: string, work: () => Promise<T>): Promise<T> {
    return this.#locks.locked(id, work);
  }

  /** The writes that these changes are now. Null: none. Throws CONFLICT naming the item that is not as expected, NOT_FOUND. */
  async prepare(id: string, { incarnation: wanted, put = [], remove = [] }: ResourceChanges): Promise<PreparedItems | null> {
    if (put.length + remove.length === 0) return null;
    if (put.length + remove.length > MAX_CHANGES)
      throw new TuttiError('INVALID_INPUT', `changes must be at most ${MAX_CHANGES} puts and removals, not ${put.length + remove.length}`, {
        field: 'changes',
      });
    const seen = new Set<string>();
    for (const { key } of [...put, ...remove]) {
      if (typeof key !== 'string' || key.length < 1 || key.length > 500)
        throw new TuttiError('INVALID_INPUT', 'keys of items must be 1 to 500 characters', { field: 'changes' });
      if (seen.has(key)) throw new TuttiError('INVALID_INPUT', `the item ${key} is changed twice`, { field: 'changes' });
      seen.add(key);
    }
    const bodies = put.map((p) => textOf(p.body, p.key));
    const { incarnation } = await this.#existing(id);
    if (wanted !== undefined && wanted !== incarnation) throw new TuttiError('NOT_FOUND', `the resource ${id} was removed meanwhile, and made again`);
    const revision = this.revisions.of(incarnation);
    const versions = await this.#o.guard(() => this.#o.store.itemVersions({ resource: incarnation, keys: [...seen] }));
    const at = new Map([...seen].map((key, i) => [key, versions[i]]));
    const writes: ItemWrite[] = [];
    const check = (key: string, expect: number | null | undefined): number | null => {
      const version = at.get(key) ?? null;
      if (expect !== undefined && expect !== version)
        throw new TuttiError('CONFLICT', `the item ${key} of ${id} ${version === null ? 'is not there' : `is at version ${version}`}, not as it was`, {
          details: { key, version },
        });
      return version;
    };
    put.forEach((p, i) => writes.push({ resource: incarnation, key: p.key, fromVersion: check(p.key, p.expect), body: bodies[i] }));
    for (const r of remove) {
      const fromVersion = check(r.key, r.expect);
      if (fromVersion !== null) writes.push({ resource: incarnation, key: r.key, fromVersion, body: null });
    }
    return { id, resource: incarnation, revision, writes };
  }

  /** Of a command whose versions were overtaken, or that may have been carried out: looked up again. */
  look(c: Extract<PlanCommand, { kind: 'items' | 'resource' }>): void {
    const look = async (): Promise<void> => {
      if (c.kind === 'resource') {
        const row = await this.#row(c.write.id);
        if (row !== null && row.incarnation === c.write.incarnation && row.version === (c.write.fromVersion ?? 0) + 1) c.done(null);
        else this.#o.again({ ...c, doubtful: false });
        return;
      }
      const { id, resource, writes } = c.items;
      const revision = this.revisions.of(resource);
      if ((await this.#row(id))?.incarnation !== resource) {
        c.done(new TuttiError('NOT_FOUND', `there is no resource ${id}`));
        return;
      }
      const versions = await this.#o.guard(() => this.#o.store.itemVersions({ resource, keys: writes.map((w) => w.key) }));
      if (writes.every((w, i) => versions[i] === w.fromVersion)) this.#o.again({ ...c, doubtful: false, items: { id, resource, revision, writes } });
      else if (c.doubtful === true && writes.every((w, i) => versions[i] === (w.body === null ? null : (w.fromVersion ?? 0) + 1))) c.done(null);
      else c.done(new TuttiError('CONFLICT', 'An item was changed meanwhile.'));
    };
    look().catch((e: unknown) => c.done(isTuttiError(e) ? e : new TuttiError('INTERNAL', String(e))));
  }

  async #row(id: string): Promise<StoredResource | null> {
    // A store that answers at once would let a caller's loop of reads keep timers and everything else waiting.
    await this.#gate.pass();
    return await this.#o.guard(() => this.#o.store.resource(id));
  }

  async #existing(id: string): Promise<StoredResource> {
    const row = await this.#row(id);
    if (row === null) throw new TuttiError('NOT_FOUND', `there is no resource ${id}`);
    return row;
  }
}

function textOf(body: Json, what: string): string {
  return serialise(body, { name: what });
}

const resourceOf = (r: StoredResource): Resource => ({
  id: r.id,
  kind: r.kind,
  body: JSON.parse(r.body) as Json,
  version: r.version,
  createdAt: r.createdAt,
  incarnation: r.incarnation,
});
