/** The kinds of resources that this process knows, asked as one. */
import { isTuttiError, TuttiError } from '../../core/errors.ts';
import type { TaskTypeTraits } from '../plan-port.ts';
import type { Caller, ResourceAction, ResourceKind, Resources } from '../resource-port.ts';

export class ResourceKinds {
  readonly #kinds = new Map<string, ResourceKind>();
  readonly #resources: () => Resources;
  readonly #failed: (kind: string, e: unknown) => void;

  /** `failed`: a kind could not be asked. */
  constructor(resources: () => Resources, failed: (kind: string, e: unknown) => void) {
    this.#resources = resources;
    this.#failed = failed;
  }

  add(kind: ResourceKind): void {
    if (this.#kinds.has(kind.name)) throw new TuttiError('ALREADY_EXISTS', `there is a resource kind ${kind.name} already`, { field: 'name' });
    this.#kinds.set(kind.name, kind);
  }

  get(name: string): ResourceKind | undefined {
    return this.#kinds.get(name);
  }

  /** Throws NOT_FOUND. */
  async expand(name: string): Promise<string[]> {
    if (typeof name !== 'string' || name === '') throw new TuttiError('INVALID_INPUT', 'tableName must name a resource', { field: 'tableName' });
    const ids = await this.#first(
      (kind) => kind.expand(name),
      (found) => found.length > 0,
    );
    if (ids !== null) return [...new Set(ids.answer)];
    throw new TuttiError('NOT_FOUND', `there is no resource ${name}`, { field: 'tableName' });
  }

  /** The kind that has this id; null: none does. */
  async kindOf(id: string): Promise<ResourceKind | null> {
    return (
      (
        await this.#first(
          (kind) => kind.exists(id),
          (there) => there,
        )
      )?.kind ?? null
    );
  }

  /** Throws STORE_UNAVAILABLE where none says yes and one could not be asked: what it would have said is not known. */
  async #first<T>(ask: (kind: ResourceKind) => T | Promise<T>, isYes: (answer: T) => boolean): Promise<{ kind: ResourceKind; answer: T } | null> {
    let unknown: TuttiError | null = null;
    for (const kind of this.#kinds.values()) {
      try {
        const answer = await ask(kind);
        if (isYes(answer)) return { kind, answer };
      } catch (e) {
        if (isTuttiError(e)) throw e;
        this.#failed(kind.name, e);
        unknown ??= new TuttiError('STORE_UNAVAILABLE', `Resources of the kind ${kind.name} cannot be looked up at the moment.`, { retryAfter: 5, cause: e });
      }
    }
    if (unknown !== null) throw unknown;
    return null;
  }

  async settings(id: string, type: TaskTypeTraits): Promise<Readonly<Record<string, string>> | null> {
    const kind = await this.kindOf(id);
    for (const name of [type.name, ...type.aliases]) {
      const found = (await kind?.settings?.(id, name)) ?? null;
      if (found !== null) return found;
    }
    return null;
  }

  async configuredTypes(id: string): Promise<readonly string[]> {
    return (await (await this.kindOf(id))?.configuredTypes?.(id)) ?? [];
  }

  /** Ids of all stored resources. */
  async all(): Promise<string[]> {
    const ids: string[] = [];
    for (let after: string | undefined; ; ) {
      const page = await this.#resources().list({ after, limit: 1000 });
      ids.push(...page.map((r) => r.id));
      if (page.length < 1000) return ids;
      after = page[page.length - 1].id;
    }
  }

  async authorise(caller: Caller, id: string, action: ResourceAction): Promise<boolean> {
    const kind = await this.kindOf(id);
    return kind === null ? false : kind.authorise === undefined || (await kind.authorise(caller, id, action));
  }
}
