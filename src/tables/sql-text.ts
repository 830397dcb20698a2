/** Texts of SQL made from names and values: everything that is not a literal of ours goes through one of these. */

/** `"a ""b"""` */
export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** `'it''s'`. DuckDB knows no backslash escapes in plain literals. */
export const quoteText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** `['a', 'b']` */
export const quoteTexts = (texts: readonly string[]): string => `[${texts.map(quoteText).join(', ')}]`;

/** A path as a literal that means this one file: what DuckDB would read as a pattern is escaped. */
export const quotePath = (path: string): string => quoteText(plainPath(path));

export const quotePaths = (paths: readonly string[]): string => quoteTexts(paths.map(plainPath));

/** `*`, `?` and `[` match themselves. */
export const plainPath = (path: string): string => path.replace(/[*?[]/g, (c) => `[${c}]`);
