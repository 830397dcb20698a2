/** Kinds of resources as a user writes them: what may be left out is filled in from the records that are stored. */
import { TuttiError } from '../../core/errors.ts';
import { nearestName } from '../../core/nearest-name.ts';
import { showValue } from '../../core/show-value.ts';
import type { ResourceKind, Resources } from '../../engine/resource-port.ts';

/** Recognised by a brand, not by shape, so that files may export kinds beside other things, and copies of this package understand each other. */
const BRAND: unique symbol = Symbol.for('tutti.ResourceKind') as never;
const NAME = /^[A-Za-z][\w.-]{0,99}$/;

/** As ResourceKind, but for its defaults: a resource of the kind is a record of the kind (`tutti.resources.create`), and goes by its id alone. */
export interface ResourceKindOptions extends Omit<ResourceKind, 'exists' | 'expand'> {
  /** Default: a record with this id and kind is stored. */
  exists?: ResourceKind['exists'];
  /** Default: a name stands for itself where it exists. */
  expand?: ResourceKind['expand'];
}

export type ResourceKindDefinition = ResourceKindOptions & { readonly [BRAND]: true };

const FIELDS: Record<keyof ResourceKindOptions, true> = {
  name: true,
  exists: true,
  expand: true,
  authorise: true,
  settings: true,
  configuredTypes: true,
  onDrop: true,
};

/** `defineResourceKind({ name: 'feed' })` will do. Throws INVALID_INPUT that names the field. */
export function defineResourceKind(kind: ResourceKindOptions): ResourceKindDefinition {
  if (typeof kind !== 'object' || kind === null)
    throw new TuttiError('INVALID_INPUT', `a resource kind must be an object, not ${showValue(kind)}`, { field: 'resourceKinds' });
  const wrong = (field: string, message: string): TuttiError =>
    new TuttiError('INVALID_INPUT', `resource kind ${showValue(kind.name)}: ${field} ${message}`, { field });
  if (typeof kind.name !== 'string' || !NAME.test(kind.name)) throw wrong('name', 'must be 1 to 100 letters, digits, "_", "." or "-", the first a letter');
  for (const [field, value] of Object.entries(kind)) {
    if (!Object.hasOwn(FIELDS, field)) {
      const near = nearestName(field, Object.keys(FIELDS));
      throw wrong(field, `is nothing that a resource kind has${near === null ? '' : `; did you mean ${near}?`}`);
    }
    if (field !== 'name' && value !== undefined && typeof value !== 'function') throw wrong(field, `must be a function, not ${showValue(value)}`);
  }
  return Object.freeze({ ...kind, [BRAND]: true as const });
}

export const isResourceKind = (value: unknown): value is ResourceKindDefinition => typeof value === 'object' && value !== null && BRAND in value;

/** The kind as the engine asks it. `resources` is asked when the kind is, not before. */
export function resourceKindOf(definition: ResourceKindDefinition | ResourceKind, resources: () => Resources): ResourceKind {
  const { name, exists, expand, ...rest } = definition as ResourceKindOptions;
  const there = exists?.bind(definition) ?? (async (id: string): Promise<boolean> => (await resources().get(id))?.kind === name);
  return {
    ...rest,
    name,
    exists: there,
    expand: expand?.bind(definition) ?? (async (id) => ((await there(id)) ? [id] : [])),
  };
}
