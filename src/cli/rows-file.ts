/** Rows of a table out of a file: a JSON list, or one JSON object a line, which is never held as a whole. */
import { createReadStream, readFileSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import { TuttiError } from '../core/errors.ts';
import { NdjsonSplitter } from '../core/ndjson.ts';
import { CommandError, EXIT } from './exit-code.ts';

/** `path` `-` is standard input, line by line. Throws a usage error for a file that cannot be read, or is of another kind, and INVALID_JSON. */
export async function* readRows(path: string, cwd: string): AsyncGenerator<unknown> {
  const kind = extname(path).toLowerCase();
  if (path === '-' || kind === '.ndjson' || kind === '.jsonl') yield* lines(path, cwd);
  else if (kind === '.json') yield* listOf(path, cwd);
  else throw new CommandError(EXIT.usage, `${path} must end in .json, .ndjson or .jsonl`);
}

/** An object out of a JSON file. */
export function readObject(path: string, cwd: string): Record<string, unknown> {
  const value = parse(readText(path, cwd), path);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new CommandError(EXIT.usage, `${path} must hold a JSON object`);
  return value as Record<string, unknown>;
}

function* listOf(path: string, cwd: string): Generator<unknown> {
  const value = parse(readText(path, cwd), path);
  if (!Array.isArray(value)) throw new CommandError(EXIT.usage, `${path} must hold a JSON list of rows`);
  yield* value as unknown[];
}

async function* lines(path: string, cwd: string): AsyncGenerator<unknown> {
  const splitter = new NdjsonSplitter();
  const valueOf = ({ no, text }: { no: number; text: string }): unknown => parse(text, `line ${no} of ${path}`);
  const source = path === '-' ? process.stdin : createReadStream(resolve(cwd, path));
  try {
    for await (const chunk of source) for (const line of splitter.push(chunk as Buffer)) yield valueOf(line);
  } catch (e) {
    if (e instanceof TuttiError) throw e;
    throw unreadable(path, e);
  }
  for (const line of splitter.end()) yield valueOf(line);
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (e) {
    throw new TuttiError('INVALID_JSON', `${where} is not JSON: ${(e as Error).message}`, { cause: e });
  }
}

function readText(path: string, cwd: string): string {
  try {
    return readFileSync(resolve(cwd, path), 'utf8');
  } catch (e) {
    throw unreadable(path, e);
  }
}

const unreadable = (path: string, e: unknown): CommandError => new CommandError(EXIT.usage, `${path} cannot be read: ${(e as Error).message}`);
