/**
 * Names that must be unique in the store, while those who want them are on their way: two submissions that ask for the same one at the
 * same moment are told apart here, and what is stored already by the store. Held from before the look into the store until the commit.
 */
export class Claims {
  readonly #held = new Set<string>();

  /** The first of them that somebody holds already; then none is taken. Null: all are held now, until `release`. */
  take(names: Iterable<string>): string | null {
    const taken: string[] = [];
    for (const name of names) {
      if (this.#held.has(name)) {
        this.release(taken);
        return name;
      }
      this.#held.add(name);
      taken.push(name);
    }
    return null;
  }

  release(names: Iterable<string>): void {
    for (const name of names) this.#held.delete(name);
  }
}
