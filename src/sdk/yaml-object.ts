import type { JsonObject } from '../core/definition.ts';
import { serialise } from '../core/values.ts';
import type { FieldPath, FieldReader } from './yaml-fields.ts';

/** A mapping that is kept as it is: JSON, or noted as a problem. */
export function readObject(reader: FieldReader, value: unknown, path: FieldPath, step?: string): JsonObject | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    reader.add(path, 'must be a mapping', step);
    return undefined;
  }
  try {
    return JSON.parse(serialise(value, { name: String(path.at(-1)) })) as JsonObject;
  } catch (e) {
    reader.add(path, e instanceof Error ? e.message : String(e), step);
    return undefined;
  }
}
