/**
 * What SQL from outside may be: one SELECT over tables that are there. DuckDB gives the syntax tree of a SELECT (and of nothing else), and
 * what it may name is a list, not the rest of a list: some functions of DuckDB write files, read settings or end the process.
 */
import { TuttiError } from '../core/errors.ts';
import { CONDITION_FUNCTIONS } from './condition-functions.ts';
import type { DuckSession } from './duckdb.ts';

type Tree = { [key: string]: unknown };

/** Table functions that only make rows of what they are given. */
const ROW_MAKERS = new Set(['range', 'generate_series', 'unnest', 'repeat', 'repeat_row', 'json_each', 'json_tree', 'regexp_split_to_table']);
/** Functions of values that do more than compute, or tell what is nobody's business. */
const REFUSED = new Set(['write_log', 'current_setting', 'getenv', 'getvariable', 'nextval', 'currval', 'query', 'query_table', 'parse_duckdb_log_message']);

export const MAX_SQL = 100_000;

const invalid = (message: string, field: string): TuttiError => new TuttiError('INVALID_INPUT', message, { field });

/** Throws INVALID_INPUT where the text is not one SELECT over these tables alone. Names are compared without regard to case. */
export async function guardSelect(s: DuckSession, sql: string, tables: readonly string[]): Promise<void> {
  const trees = await parse(s, sql, 'sql');
  if (trees.length !== 1) throw invalid(trees.length === 0 ? 'sql has no statement.' : `sql has ${trees.length} statements; one is taken.`, 'sql');
  const named = check(trees[0], tables, 'sql');
  if (named.size === 0) return;
  // Outside of the query that defines it, such a name would be that of a view of DuckDB's own, which shows settings and paths.
  const views = await s.rows(`SELECT lower(view_name) AS name FROM duckdb_views() WHERE internal AND schema_name IN ('main', 'pg_catalog')`);
  const taken = views.map((v) => v.name as string).find((name) => named.has(name));
  if (taken !== undefined) throw invalid(`sql may not define the name ${taken}: DuckDB has a view of that name.`, 'sql');
}

/**
 * Throws INVALID_INPUT where the text is not one condition over the columns of a row: no subquery, no other table, no aggregate clause.
 * It does not say whether the columns exist: binding the condition against the table does.
 */
export async function guardCondition(s: DuckSession, condition: string, field: string): Promise<void> {
  // The newline ends a comment that the text may end with.
  const around = async (text: string): Promise<Tree[]> => parse(s, `SELECT * FROM t WHERE (${text}\n)`, field);
  const [trees, [plain]] = [await around(condition), await around('true')];
  if (trees.length !== 1 || frame(trees[0]) !== frame(plain)) throw invalid(`${field} is not one condition.`, field);
  // `a) OR (b` is one between these brackets only; what else is put around it would mean something else.
  const bare = await parse(s, `SELECT * FROM t WHERE ${condition}\n`, field);
  if (unplaced(bare) !== unplaced(trees)) throw invalid(`${field} is not one condition.`, field);
  check(trees[0], ['t'], field);
  walk(trees[0], (node) => {
    const name = typeof node.function_name === 'string' ? node.function_name.toLowerCase() : null;
    if (name !== null && !CONDITION_FUNCTIONS.has(name))
      throw invalid(`${field} may not use ${name}(): it is none of the functions that a condition may have.`, field);
    if (node.id === 'ARRAY') throw invalid(`${field} may not use arrays of a fixed size.`, field);
    if (node.class === 'SUBQUERY') throw invalid(`${field} has a subquery: it may use the columns of its own row only.`, field);
    if (node.class === 'WINDOW') throw invalid(`${field} has a window function: it may use the columns of its own row only.`, field);
    if (node.class === 'PARAMETER') throw invalid(`${field} has a parameter.`, field);
  });
}

async function parse(s: DuckSession, sql: string, field: string): Promise<Tree[]> {
  if (sql.length > MAX_SQL) throw invalid(`${field} has ${sql.length} characters; ${MAX_SQL} is the limit.`, field);
  if (sql.includes('\0')) throw invalid(`${field} has a character U+0000.`, field);
  const [row] = await s.rows('SELECT json_serialize_sql(?::VARCHAR, skip_null := true, skip_empty := true, skip_default := true)::VARCHAR AS tree', [sql]);
  const answer = JSON.parse(row.tree as string) as { error: boolean; error_type?: string; error_message?: string; statements?: Tree[] };
  if (!answer.error) return answer.statements ?? [];
  // Anything but a SELECT has no tree.
  if (answer.error_type === 'not implemented') throw invalid(`${field} must be a SELECT.`, field);
  throw invalid(`${field}: ${answer.error_message ?? 'cannot be read.'}`, field);
}

/** Gives the names that the text itself defines, in lower case. */
function check(tree: Tree, tables: readonly string[], field: string): ReadonlySet<string> {
  const own = new Set<string>();
  walk(tree, (node, key) => {
    // Names given by WITH.
    if (key === 'cte_map') for (const { key: name } of (node.map ?? []) as { key: string }[]) own.add(name.toLowerCase());
  });
  const known = new Set([...tables.map((t) => t.toLowerCase()), ...own]);
  walk(tree, (node) => {
    if (
      node.type === 'BASE_TABLE' &&
      (node.schema_name !== undefined || node.catalog_name !== undefined || !known.has(String(node.table_name).toLowerCase()))
    ) {
      const name = ([node.catalog_name, node.schema_name, node.table_name] as (string | undefined)[]).filter((n) => n !== undefined).join('.');
      throw invalid(`${field} names the table ${JSON.stringify(name)}; there is ${tables.join(' and ')} only.`, field);
    }
    if (node.type === 'SHOW_REF' && node.query === undefined) throw invalid(`${field} may DESCRIBE or SUMMARIZE a table, and SHOW nothing.`, field);
    if (node.type === 'TABLE_FUNCTION') {
      const name = String((node.function as Tree | undefined)?.function_name).toLowerCase();
      if (!ROW_MAKERS.has(name))
        throw invalid(`${field} may not use ${name}(): of the functions that give rows, ${[...ROW_MAKERS].join(', ')} are taken.`, field);
    }
    if (typeof node.function_name === 'string' && REFUSED.has(node.function_name.toLowerCase()))
      throw invalid(`${field} may not use ${node.function_name}().`, field);
  });
  return own;
}

/** Every object of a tree, with the key it stands under. No recursion: the tree is as deep as a stranger made it. */
function walk(tree: Tree, visit: (node: Tree, key: string | null) => void): void {
  const open: [unknown, string | null][] = [[tree, null]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [value, key] = next;
    if (typeof value !== 'object' || value === null) continue;
    if (!Array.isArray(value)) visit(value as Tree, key);
    for (const [k, inner] of Object.entries(value)) open.push([inner, Array.isArray(value) ? key : k]);
  }
}

/** A SELECT without its condition and without the places where things stand. */
function frame(tree: Tree): string {
  const { where_clause: _, ...node } = tree.node as Tree;
  return unplaced({ ...tree, node });
}

const unplaced = (tree: unknown): string => JSON.stringify(tree, (key, value: unknown) => (key === 'query_location' ? undefined : value));
