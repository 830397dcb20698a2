/** The input schemas of a tree's elements. Understanding one takes long, and elements often share a few. */
import type { JsonObject } from './definition.ts';
import { TuttiError } from './errors.ts';

/** Remembered at a time; each may have 64 KiB. */
const KEPT = 200;

export class ElementSchemas {
  /** What is wrong with one; null: nothing. */
  readonly #problemOf: (schema: JsonObject) => string | null;
  readonly #fine = new Set<string>();

  constructor(problemOf: (schema: JsonObject) => string | null) {
    this.#problemOf = problemOf;
  }

  /** Throws INVALID_INPUT for what is no JSON Schema. `at`: path of the element. */
  check(schema: JsonObject, at: string): void {
    const text = JSON.stringify(schema);
    if (this.#fine.has(text)) return;
    const problem = this.#problemOf(schema);
    const field = `${at}.schemas.input_schema`;
    if (problem !== null) throw new TuttiError('INVALID_INPUT', `${field} is no JSON Schema: ${problem}`, { field });
    if (this.#fine.size >= KEPT) this.#fine.clear();
    this.#fine.add(text);
  }
}
