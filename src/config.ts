/**
 * Reads configuration: defaults, then config/tutti/base/orchestration.toml, then the file of the environment, then `--config`,
 * then `TUTTI_*` variables; later ones win. Beside main.ts the only reader of the process environment.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Flag, fileLayer, flagLayer, type Layer, merge, type Source, variableLayer } from './config/layers.ts';
import { KEYS, type TuttiConfig } from './config/schema.ts';
import { TuttiError } from './core/errors.ts';

export type { Source } from './config/layers.ts';
export type { TuttiConfig } from './config/schema.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface LoadedConfig {
  config: TuttiConfig;
  /** By key path, such as `orchestration.web.port`. */
  sources: ReadonlyMap<string, Source>;
  /** The value of TUTTI_ENV, or `development`. */
  environment: string;
  /** Files that were read, in order. */
  files: readonly string[];
}

const readIfThere = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch (e) {
    const code = (e as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new TuttiError('INVALID_CONFIG', `${path}: cannot be read: ${(e as Error).message}`, { cause: e });
  }
};

/**
 * `file` is `--config FILE` and must exist; the two files of `config/tutti` may be missing. `flags` are keys set on the command
 * line, applied last. Throws INVALID_CONFIG, naming file (or variable) and key.
 */
export const loadConfig = (o: { file?: string; env?: Environment; cwd?: string; flags?: readonly Flag[] } = {}): LoadedConfig => {
  const env = o.env ?? process.env;
  const cwd = o.cwd ?? process.cwd();
  const environment = env.TUTTI_ENV ?? 'development';
  if (!/^[A-Za-z0-9][\w-]{0,63}$/.test(environment)) {
    throw new TuttiError('INVALID_CONFIG', `variable TUTTI_ENV must be a name of letters, digits, "-" and "_", not ${JSON.stringify(environment)}`, {
      field: 'TUTTI_ENV',
    });
  }
  const layers: Layer[] = [];
  const files: string[] = [];
  for (const name of ['config/tutti/base/orchestration.toml', `config/tutti/environments/${environment}/orchestration.toml`]) {
    const text = readIfThere(join(cwd, name));
    if (text === null) continue;
    layers.push(fileLayer(text, name));
    files.push(name);
  }
  if (o.file !== undefined) {
    const text = readIfThere(resolve(cwd, o.file));
    if (text === null) throw new TuttiError('INVALID_CONFIG', `${o.file}: there is no such file`, { field: '--config' });
    layers.push(fileLayer(text, o.file));
    files.push(o.file);
  }
  layers.push(variableLayer(env), flagLayer(o.flags ?? []));
  return { ...merge(layers), environment, files };
};

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host) || host.startsWith('::ffff:127.');

/** A server that others can reach must ask for a key. Throws INVALID_CONFIG otherwise. */
export const checkExposure = (web: { host: string; api_keys: readonly string[] }): void => {
  if (isLoopback(web.host) || web.api_keys.length > 0) return;
  throw new TuttiError(
    'INVALID_CONFIG',
    `orchestration.web.host is ${web.host}, which other machines can reach, and no API key is configured. Set orchestration.web.api_keys or TUTTI_API_KEY, or listen on 127.0.0.1.`,
    { field: 'orchestration.web.host' },
  );
};

/**
 * Folders below which tasks may read and write the files that settings name; null: everywhere. Where none is configured that is everywhere
 * only if nobody but this machine can ask for tasks: a key to a server is not one to all files of the machine it runs on.
 */
export const folderRoots = ({
  web,
  tables,
}: Pick<TuttiConfig, 'web' | 'tables'>): { inputRoots: readonly string[] | null; outputRoots: readonly string[] | null } => {
  const reached = web.enabled && !isLoopback(web.host);
  const bounds = (roots: readonly string[]): readonly string[] | null => (roots.length === 0 && !reached ? null : roots);
  return { inputRoots: bounds(tables.input_roots), outputRoots: bounds(tables.output_roots) };
};

export interface ShownKey {
  path: string;
  value: unknown;
  source: Source;
  variable: string;
}

/** Every key with its value and origin, secrets masked. */
export const showConfig = (loaded: LoadedConfig): ShownKey[] =>
  KEYS.map((key) => {
    const value = (loaded.config as unknown as Record<string, Record<string, unknown>>)[key.section][key.name];
    const source = loaded.sources.get(key.path) ?? { kind: 'default', name: '' };
    const masked = key.field.secret ? (Array.isArray(value) ? value.map(() => '***') : '***') : value;
    return { path: key.path, value: masked, source, variable: key.variable };
  });

/** What the command line reads from the environment. An empty NO_COLOR counts as absent, as its convention says. */
export const terminalEnvironment = (env: Environment = process.env): { url: string | undefined; apiKey: string | undefined; noColor: boolean } => ({
  url: env.TUTTI_URL === '' ? undefined : env.TUTTI_URL,
  apiKey: env.TUTTI_API_KEY === '' ? undefined : env.TUTTI_API_KEY,
  noColor: (env.NO_COLOR ?? '') !== '' || env.TERM === 'dumb',
});
