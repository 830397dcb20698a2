/**
 * Reads fields of a parsed file and collects what is wrong with them, each with its line. Nothing here throws: one pass finds every
 * mistake, so that a person fixes them in one go.
 */
import type { Document, LineCounter } from 'yaml';
import { nearestName } from '../core/nearest-name.ts';

export type FieldPath = readonly (string | number)[];
export type Fields = Record<string, unknown>;

export interface FileProblem {
  file: string;
  /** From 1; absent where the file does not say. */
  line?: number;
  step?: string;
  /** `retry.max_attempts` within its step, or from the top of the file. */
  field: string;
  message: string;
}

/** Names longer than this are not compared with the known ones: they are no slips. */
const MAX_GUESSED_NAME = 64;

export class FieldReader {
  readonly problems: FileProblem[] = [];
  readonly #noted = new Set<string>();
  readonly #file: string;
  readonly #doc: Document;
  readonly #lines: LineCounter;

  constructor(file: string, doc: Document, lines: LineCounter) {
    this.#file = file;
    this.#doc = doc;
    this.#lines = lines;
  }

  /** Has something been noted about exactly this field? */
  noted(path: FieldPath): boolean {
    return this.#noted.has(path.join('/'));
  }

  /** Does the file have this field? */
  has(path: FieldPath): boolean {
    return this.#doc.hasIn(path);
  }

  /** Keeps other rules from speaking of this field too. */
  note(path: FieldPath): void {
    this.#noted.add(path.join('/'));
  }

  add(path: FieldPath, message: string, step?: string): void {
    this.#noted.add(path.join('/'));
    const inStep = path[0] === 'steps' && typeof path[1] === 'number';
    this.problems.push({
      file: this.#file,
      line: this.lineOf(path),
      ...(inStep ? { step: step ?? `#${(path[1] as number) + 1}` } : step === undefined ? {} : { step }),
      field: spell(inStep ? path.slice(2) : path) || (inStep ? 'step' : 'file'),
      message,
    });
  }

  /** Line of the field, or of the nearest thing around it that is in the file. */
  lineOf(path: FieldPath): number | undefined {
    for (let n = path.length; n >= 0; n--) {
      const node = n === 0 ? this.#doc.contents : this.#doc.getIn(path.slice(0, n), true);
      const range = (node as { range?: [number, number, number] | null } | null | undefined)?.range;
      if (range) return this.#lines.linePos(range[0]).line;
    }
    return undefined;
  }

  /** A mapping with no other keys than these; undefined: it is something else, which has been noted. */
  fields(value: unknown, path: FieldPath, known: readonly string[], step?: string, unsupported: readonly string[] = []): Fields | undefined {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.add(path, `must be a mapping, not ${kindOf(value)}`, step);
      return undefined;
    }
    for (const key of Object.keys(value)) {
      if (known.includes(key)) continue;
      if (unsupported.includes(key)) this.add([...path, key], 'is not supported yet', step);
      else {
        const near = key.length > MAX_GUESSED_NAME ? null : nearestName(key, known);
        this.add([...path, key], near === null ? `is not known; known here: ${known.join(', ')}` : `is not known; did you mean ${near}?`, step);
      }
    }
    return value as Fields;
  }

  list(value: unknown, path: FieldPath, step?: string): unknown[] | undefined {
    if (Array.isArray(value)) return value;
    this.add(path, `must be a list, not ${kindOf(value)}`, step);
    return undefined;
  }

  text(value: unknown, path: FieldPath, o: { step?: string; max?: number; empty?: boolean; hint?: string } = {}): string | undefined {
    const max = o.max ?? 10_000;
    if (value === undefined) this.add(path, 'is missing', o.step);
    else if (typeof value !== 'string') this.add(path, `must be text, not ${kindOf(value)}${o.hint === undefined ? '' : `; ${o.hint}`}`, o.step);
    else if (value.length > max || (value === '' && o.empty !== true)) this.add(path, `must have ${o.empty === true ? 0 : 1} to ${max} characters`, o.step);
    else return value;
    return undefined;
  }

  number(value: unknown, path: FieldPath, o: { step?: string; min: number; max: number; whole?: boolean }): number | undefined {
    const kind = o.whole === false ? 'a number' : 'a whole number';
    if (typeof value !== 'number' || !(o.whole === false || Number.isInteger(value)) || !(value >= o.min && value <= o.max)) {
      this.add(path, `must be ${kind} from ${o.min} to ${o.max}, not ${shown(value)}`, o.step);
      return undefined;
    }
    return value;
  }

  flag(value: unknown, path: FieldPath, step?: string): boolean | undefined {
    if (typeof value === 'boolean') return value;
    this.add(path, `must be true or false, not ${shown(value)}`, step);
    return undefined;
  }

  oneOf<T extends string>(value: unknown, path: FieldPath, choices: readonly T[], step?: string): T | undefined {
    if (choices.includes(value as T)) return value as T;
    this.add(path, `must be one of ${choices.join(', ')}, not ${shown(value)}`, step);
    return undefined;
  }
}

export const describeFileProblem = (p: FileProblem): string =>
  `${p.file}${p.line === undefined ? '' : `:${p.line}`}: ${p.step === undefined ? '' : `step ${JSON.stringify(p.step)}: `}${p.field}: ${p.message}`;

/** `environments.production.steps[0].retry` */
const spell = (path: FieldPath): string =>
  path.reduce<string>((text, key) => (typeof key === 'number' ? `${text}[${key}]` : text === '' ? key : `${text}.${key}`), '');

const kindOf = (value: unknown): string =>
  value === null || value === undefined
    ? 'nothing'
    : Array.isArray(value)
      ? 'a list'
      : typeof value === 'object'
        ? 'a mapping'
        : `the ${typeof value} ${shown(value)}`;

const shown = (value: unknown): string => {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  return typeof value === 'object' && value !== null ? (Array.isArray(value) ? 'a list' : 'a mapping') : String(value);
};
