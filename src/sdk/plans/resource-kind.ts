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

const FUNCTIONS = ['exists', 'expand', 'authorise', 'settings', 'configuredTypes', 'onDrop'] as const satisfies (keyof ResourceKindOptions)[];

/** `defineResourceKind({ name: 'feed' })` will do. Throws INVALID_INPUT that names the field. */
export function defineResourceKind(kind: ResourceKindOptions): ResourceKindDefinition {
  if (typeof kind !== 'object' || kind === null)
    throw new TuttiError('INVALID_INPUT', `a resource kind must be an object, not ${showValue(kind)}`, { field: 'resourceKinds' });
  const wrong = (field: string, message: string): TuttiError =>
    new TuttiError('INVALID_INPUT', `resource kind ${showValue(kind.name)}: ${field} ${message}`, { field });
  if (typeof kind.name !== 'string' || !NAME.test(kind.name)) throw wrong('name', 'must be 1 to 100 letters, digits, "_", "." or "-", the first a letter');
  // An instance of a class may have what it likes beside.
  if (Object.getPrototypeOf(kind) === Object.prototype) {
    const unknown = Object.keys(kind).find((field) => field !== 'name' && !(FUNCTIONS as readonly string[]).includes(field));
    const near = unknown === undefined ? null : nearestName(unknown, FUNCTIONS);
    if (unknown !== undefined) throw wrong(unknown, `is nothing that a resource kind has${near === null ? '' : `; did you mean ${near}?`}`);
  }
  const functions: Record<string, unknown> = {};
  for (const field of FUNCTIONS) {
    const given: unknown = kind[field];
    if (given === undefined) continue;
    if (typeof given !== 'function') throw wrong(field, `must be a function, not ${showValue(given)}`);
    functions[field] = given.bind(kind);
  }
  return Object.freeze({ ...functions, name: kind.name, [BRAND]: true as const });
}

export const isResourceKind = (value: unknown): value is ResourceKindDefinition => typeof value === 'object' && value !== null && BRAND in value;

/** It says who may, and nothing of what there is: so it can be the permissions of a kind that comes with Tutti. */
export const isOnlyPermissions = (kind: ResourceKindDefinition): boolean =>
  kind.authorise !== undefined && FUNCTIONS.every((field) => field === 'authorise' || kind[field] === undefined);

/** Those that are not defined yet are. Throws INVALID_INPUT, also where two have one name. */
export function resourceKindsOf(given: Iterable<ResourceKindOptions>): ResourceKindDefinition[] {
  const kinds = Array.from(given, (kind) => (isResourceKind(kind) ? kind : defineResourceKind(kind)));
  const twice = kinds.find(({ name }, i) => kinds.findIndex((k) => k.name === name) < i);
  if (twice !== undefined) throw new TuttiError('INVALID_INPUT', `resource kind ${showValue(twice.name)}: name is that of another one`, { field: 'name' });
  return kinds;
}

/** The kind as the engine asks it. `resources` is asked when the kind is, not before. */
export function resourceKindOf(definition: ResourceKindDefinition, resources: () => Resources): ResourceKind {
  const exists = definition.exists ?? (async (id: string): Promise<boolean> => (await resources().get(id))?.kind === definition.name);
  return { ...definition, exists, expand: definition.expand ?? (async (id) => ((await exists(id)) ? [id] : [])) };
}
