/** Checks each layer of configuration on its own, so that an error names the file or variable that is wrong, and merges them. */
import { parse, TomlError } from 'smol-toml';
import { TuttiError } from '../core/errors.ts';
import { nearestName } from '../core/nearest-name.ts';
import type { ScheduleRequest } from '../core/schedule.ts';
import { declaredSchedules } from './declared-schedules.ts';
import { atTop, keysOf, type Spelled } from './aliases.ts';
import { ALIASES, type Field, KEYS, OTHER_VARIABLES, SCHEMA, type TuttiConfig } from './schema.ts';

/** Where a value came from. `name` is the file, the variable or the flag; empty for a default. */
export interface Source {
  kind: 'default' | 'file' | 'variable' | 'flag';
  name: string;
}

/** A key set on the command line. */
export interface Flag {
  /** `orchestration.web.port`. */
  path: string;
  /** `--port`. */
  flag: string;
  text: string;
}

export interface Layer {
  /** By key path, such as `orchestration.web.port`. */
  values: Map<string, { value: unknown; source: Source }>;
  /** By their keys. Absent: none. */
  schedules?: ReadonlyMap<string, ScheduleRequest>;
}

const refuse = (message: string, field?: string): never => {
  throw new TuttiError('INVALID_CONFIG', message, field === undefined ? {} : { field });
};

const suggestion = (name: string, candidates: Iterable<string>, render = (s: string): string => s): string => {
  const near = nearestName(name, candidates);
  return near === null ? '' : ` Did you mean ${render(near)}?`;
};

const show = (v: unknown): string => (v instanceof Date ? v.toISOString() : typeof v === 'bigint' ? String(v) : JSON.stringify(v));
const isTable = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v) && !(v instanceof Date);

/** What is wrong with a value, or null. Never shows a secret. */
export const problem = (field: Field, value: unknown): string | null => {
  const got = field.secret ? '' : `, not ${show(value)}`;
  switch (field.type) {
    case 'boolean':
      return typeof value === 'boolean' ? null : `must be true or false${got}`;
    case 'integer':
      if (typeof value !== 'number' || !Number.isInteger(value)) return `must be a whole number${got}`;
      return value >= field.min && value <= field.max ? null : `must be between ${field.min} and ${field.max}${got}`;
    case 'number':
      if (typeof value !== 'number' || !Number.isFinite(value)) return `must be a number${got}`;
      return value >= field.min && value <= field.max ? null : `must be between ${field.min} and ${field.max}${got}`;
    case 'choice':
      return typeof value === 'string' && field.values.includes(value) ? null : `must be one of ${field.values.join(', ')}${got}`;
    case 'list':
      if (!Array.isArray(value) || value.some((v) => typeof v !== 'string')) return `must be a list of strings${got}`;
      return value.some((v) => v.trim() === '') ? 'must not hold an empty string' : null;
    case 'string': {
      if (typeof value !== 'string') return `must be a string${got}`;
      if (value === '') return 'must not be empty';
      const wrong = field.check?.(value) ?? null;
      return wrong === null ? null : `${wrong}${field.secret ? '' : `: ${show(value)}`}`;
    }
    default: {
      const never: never = field;
      return never;
    }
  }
};

const topName = (name: string): string => (name === 'orchestration' ? '[orchestration.…]' : name);

/** One TOML file. `name` is how messages call it. Throws INVALID_CONFIG. */
export const fileLayer = (text: string, name: string): Layer => {
  let root: Record<string, unknown>;
  try {
    root = parse(text);
  } catch (e) {
    if (!(e instanceof TomlError)) throw e;
    return refuse(`${name}:${e.line}:${e.column}: not valid TOML: ${e.message.split('\n')[0]}`);
  }
  const values: Layer['values'] = new Map();
  let schedules: Layer['schedules'];
  const source: Source = { kind: 'file', name };
  const spellings = new Map<string, string>();
  const put = ({ section, key, value, spelling, text }: Spelled): void => {
    const path = `orchestration.${section}.${key}`;
    const fields = (SCHEMA as Record<string, Record<string, Field>>)[section];
    if (!Object.hasOwn(fields, key)) {
      let hint = suggestion(key, Object.keys(fields));
      if (hint === '') {
        const elsewhere = KEYS.find((k) => k.name === key);
        if (elsewhere !== undefined) hint = ` Did you mean ${elsewhere.path}?`;
      }
      refuse(`${name}: unknown key ${spelling}.${hint}`, spelling);
    }
    const earlier = spellings.get(path);
    if (earlier !== undefined) refuse(`${name}: ${spelling} and ${earlier} set the same key: give one of them`, spelling);
    spellings.set(path, spelling);
    const meant = text && typeof value === 'string' ? fromText(fields[key], value) : value;
    const wrong = problem(fields[key], meant);
    if (wrong !== null) refuse(`${name}: ${spelling} ${wrong}`, spelling);
    values.set(path, { value: meant, source });
  };
  const { known, unknown } = atTop(root);
  for (const top of unknown) {
    const hint = top in SCHEMA ? ` Did you mean [orchestration.${top}]?` : suggestion(top, ['orchestration', ...ALIASES.map((a) => a.name)], topName);
    refuse(`${name}: unknown key ${top}.${hint}`, top);
  }
  for (const key of known) put(key);
  const orchestration = root.orchestration ?? {};
  if (!isTable(orchestration)) return refuse(`${name}: orchestration must be a table`, 'orchestration');
  for (const [section, keys] of Object.entries(orchestration)) {
    if (section === 'schedules') {
      schedules = declaredSchedules(keys, name);
      continue;
    }
    const fields = Object.hasOwn(SCHEMA, section) ? (SCHEMA as Record<string, Record<string, Field>>)[section] : undefined;
    if (fields === undefined) {
      return refuse(
        `${name}: unknown section [orchestration.${section}].${suggestion(section, [...Object.keys(SCHEMA), 'schedules'], (s) => `[orchestration.${s}]`)}`,
        `orchestration.${section}`,
      );
    }
    if (!isTable(keys)) return refuse(`${name}: orchestration.${section} must be a table`, `orchestration.${section}`);
    for (const key of keysOf(section, keys, `orchestration.${section}`)) put(key);
  }
  return schedules === undefined ? { values } : { values, schedules };
};

const fromText = (field: Field, text: string): unknown => {
  switch (field.type) {
    case 'boolean':
      return /^(true|1|yes|on)$/i.test(text) ? true : /^(false|0|no|off)$/i.test(text) ? false : text;
    case 'integer':
      return /^[+-]?\d+$/.test(text) ? Number(text) : text;
    case 'number':
      return /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : text;
    case 'list':
      return text === '' ? [] : text.split(',').map((s) => s.trim());
    default:
      return text;
  }
};

/** The `TUTTI_*` variables. Throws INVALID_CONFIG for one that is unknown or out of range. */
export const variableLayer = (env: Readonly<Record<string, string | undefined>>): Layer => {
  const values: Layer['values'] = new Map();
  const known = new Map(KEYS.map((k) => [k.variable, k]));
  const others = new Set(OTHER_VARIABLES.map((o) => o.name));
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('TUTTI_') || text === undefined || others.has(name)) continue;
    const key = known.get(name);
    if (key === undefined) return refuse(`unknown variable ${name}.${suggestion(name, [...known.keys(), ...others])}`, name);
    const value = fromText(key.field, text);
    const wrong = problem(key.field, value);
    if (wrong !== null) refuse(`variable ${name} (${key.path}) ${wrong}`, name);
    values.set(key.path, { value, source: { kind: 'variable', name } });
  }
  for (const alias of ALIASES) {
    const text = env[alias.name];
    const key = KEYS.find((k) => k.path === alias.path);
    if (text === undefined || key === undefined) continue;
    if (values.has(key.path)) refuse(`the variables ${alias.name} and ${key.variable} set the same key: give one of them`, alias.name);
    const value = fromText(key.field, text);
    const wrong = problem(key.field, value);
    if (wrong !== null) refuse(`variable ${alias.name} (${key.path}) ${wrong}`, alias.name);
    values.set(key.path, { value, source: { kind: 'variable', name: alias.name } });
  }
  const one = env.TUTTI_API_KEY;
  if (one !== undefined) {
    if (one.trim() === '') refuse('variable TUTTI_API_KEY is empty: give a key, or unset it', 'TUTTI_API_KEY');
    const listed = values.get('orchestration.web.api_keys');
    const keys = listed === undefined ? [one] : [...(listed.value as string[]).filter((k) => k !== one), one];
    values.set('orchestration.web.api_keys', {
      value: keys,
      source: { kind: 'variable', name: listed === undefined ? 'TUTTI_API_KEY' : 'TUTTI_WEB_API_KEYS, TUTTI_API_KEY' },
    });
  }
  return { values };
};

/** Flags of the command line. Throws INVALID_CONFIG, naming the flag. */
export const flagLayer = (flags: readonly Flag[]): Layer => {
  const values: Layer['values'] = new Map();
  for (const { path, flag, text } of flags) {
    const key = KEYS.find((k) => k.path === path);
    if (key === undefined) return refuse(`${flag} sets ${path}, which is no key`, path);
    const value = fromText(key.field, text);
    const wrong = problem(key.field, value);
    if (wrong !== null) refuse(`${flag} (${path}) ${wrong}`, path);
    values.set(path, { value, source: { kind: 'flag', name: flag } });
  }
  return { values };
};

export interface Merged {
  config: TuttiConfig;
  /** By key path; every key has one. */
  sources: ReadonlyMap<string, Source>;
}

/** Defaults under the layers, later ones win key by key. The record is deeply frozen. */
export const merge = (layers: readonly Layer[]): Merged => {
  const config: Record<string, Record<string, unknown>> = {};
  const sources = new Map<string, Source>();
  for (const key of KEYS) {
    let value: unknown = key.field.default;
    let source: Source = { kind: 'default', name: '' };
    for (const layer of layers) {
      const set = layer.values.get(key.path);
      if (set !== undefined) ({ value, source } = set);
    }
    config[key.section] ??= {};
    config[key.section][key.name] = Array.isArray(value) ? Object.freeze([...value]) : value;
    sources.set(key.path, Object.freeze(source));
  }
  for (const section of Object.values(config)) Object.freeze(section);
  const schedules = new Map(layers.flatMap((layer) => [...(layer.schedules ?? [])]));
  return { config: Object.freeze({ ...config, schedules: Object.freeze([...schedules.values()]) }) as unknown as TuttiConfig, sources };
};
