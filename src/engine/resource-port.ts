/**
 * Resources: what plans work on (a table, or anything a user names), and the items that belong to one. They live in the engine's store so
 * that what a batch did becomes true in the same commit as the batch's end.
 */
import type { Json } from '../core/definition.ts';

export interface Resource {
  /** 1 to 200 characters of `A-Z a-z 0-9 _ . -`, unique in the store: `trips_OFFLINE`. */
  id: string;
  /** Name of its ResourceKind. */
  kind: string;
  body: Json;
  /** Grows with every change of `body`. */
  version: number;
  createdAt: number;
  /** Never given twice: a resource made again under an old name has another. */
  incarnation: number;
}

export interface ResourceItem {
  /** 1 to 500 characters; what comes before a `/` groups them: `segment/2026-11-21.0`. */
  key: string;
  /** 1 when it is made, and one more with every change. */
  version: number;
  body: Json;
}

/** All or nothing. `expect`: the version it must have now, null where it must not exist; absent: whatever. */
export interface ResourceChanges {
  /** Only to this one: NOT_FOUND where another was made under its id since. Absent: to whichever has the id. What a batch answers has none. */
  incarnation?: number;
  put?: readonly { key: string; body: Json; expect?: number | null }[];
  remove?: readonly { key: string; expect?: number }[];
}

/** What may be done to a resource by whoever calls. */
export type ResourceAction = 'read' | 'trigger' | 'abort' | 'write';

/** Who calls: null is the process itself (SDK), or a server that knows no callers. */
export type Caller = { name: string } | null;

/** What the engine has to know of one kind of resource. Functions may be called at any time, and change nothing but in `onDrop`. */
export interface ResourceKind {
  /** `table`. */
  readonly name: string;
  /** Whether it exists. Throwing is not "no": nothing is cleaned up then. */
  exists(id: string): boolean | Promise<boolean>;
  /** Ids that a short name stands for (`trips` → `trips_OFFLINE`, `trips_REALTIME`), the name itself where it is an id; none: not of this kind. */
  expand(name: string): readonly string[] | Promise<readonly string[]>;
  /** Default: everybody may everything. */
  authorise?(caller: Caller, id: string, action: ResourceAction): boolean | Promise<boolean>;
  /** Settings of a task type that are kept with the resource (a table's config), all texts; null: it has none for the type. */
  settings?(id: string, taskType: string): Readonly<Record<string, string>> | null | Promise<Readonly<Record<string, string>> | null>;
  /** Task types for which the resource has settings. */
  configuredTypes?(id: string): readonly string[] | Promise<readonly string[]>;
  /** The resource is gone, its plans and items with it: files may go. */
  onDrop?(id: string): void | Promise<void>;
}

export interface Resources {
  /** Throws ALREADY_EXISTS, INVALID_INPUT. */
  create(r: { id: string; kind: string; body: Json }): Promise<Resource>;
  get(id: string): Promise<Resource | null>;
  /** In the order of their ids. */
  list(q?: { kind?: string; after?: string; limit?: number }): Promise<Resource[]>;
  /** Throws NOT_FOUND, and CONFLICT where its version is another. */
  update(id: string, o: { body: Json; expect: number }): Promise<Resource>;
  /** With its items, its plans of every type and their batch records, in one commit. Throws NOT_FOUND. */
  remove(id: string): Promise<void>;
  /** In the order of their keys; `after` is a key. At most `limit` (default 1,000, at most 10,000). */
  items(id: string, q?: { prefix?: string; after?: string; limit?: number }): Promise<ResourceItem[]>;
  item(id: string, key: string): Promise<ResourceItem | null>;
  /** One commit. At most 10,000 puts and removals, each body at most 1 MiB. Throws NOT_FOUND, and CONFLICT naming the item that is not as expected. */
  change(id: string, changes: ResourceChanges): Promise<void>;
}
