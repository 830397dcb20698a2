/** The elements of a tree out of a file: JSON, YAML, or one JSON value a line, which is never held as a whole. */
import { createReadStream, readFileSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import { parse } from 'yaml';
import { TuttiError } from '../core/errors.ts';
import { NdjsonSplitter } from '../core/ndjson.ts';
import { CommandError, EXIT } from './exit-code.ts';

/** Throws a usage error for a file that cannot be read, or is of another kind, and INVALID_JSON. Lines are read as they are asked for. */
export function readTree(path: string, cwd: string): Iterable<unknown> | AsyncIterable<unknown> {
  const file = resolve(cwd, path);
  const kind = extname(file).toLowerCase();
  if (kind === '.ndjson' || kind === '.jsonl') return linesOf(file, path);
  if (kind !== '.json' && kind !== '.yaml' && kind !== '.yml') {
    throw new CommandError(EXIT.usage, `--tree: ${path} must end in .json, .ndjson or .yaml`);
  }
  const text = readable(path, () => readFileSync(file, 'utf8'));
  let value: unknown;
  try {
    value = kind === '.json' ? JSON.parse(text) : parse(text);
  } catch (e) {
    throw new TuttiError('INVALID_JSON', `--tree: ${path} is not ${kind === '.json' ? 'JSON' : 'YAML'}: ${(e as Error).message}`, { field: 'tree', cause: e });
  }
  const elements = Array.isArray(value) ? value : (value as { tasks?: unknown } | null)?.tasks;
  if (!Array.isArray(elements))
    throw new TuttiError('INVALID_INPUT', `--tree: ${path} must hold a list of elements, or an object with tasks`, { field: 'tree' });
  return elements;
}

async function* linesOf(file: string, path: string): AsyncGenerator<unknown> {
  const splitter = new NdjsonSplitter();
  const valueOf = ({ no, text }: { no: number; text: string }): unknown => {
    try {
      return JSON.parse(text) as unknown;
    } catch (e) {
      throw new TuttiError('INVALID_JSON', `--tree: line ${no} of ${path} is not JSON: ${(e as Error).message}`, { field: `line ${no}`, cause: e });
    }
  };
  try {
    for await (const chunk of createReadStream(file)) for (const line of splitter.push(chunk as Buffer)) yield valueOf(line);
  } catch (e) {
    if (e instanceof TuttiError) throw e;
    throw unreadable(path, e);
  }
  for (const line of splitter.end()) yield valueOf(line);
}

function readable<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (e) {
    throw unreadable(path, e);
  }
}

const unreadable = (path: string, e: unknown): CommandError => new CommandError(EXIT.usage, `--tree: ${path} cannot be read: ${(e as Error).message}`);
