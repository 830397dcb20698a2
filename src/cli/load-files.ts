/** Templates, handlers, task types and resource kinds out of the files that `dev`, `serve` and `template validate` are given. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join, relative, resolve } from 'node:path';
import { TuttiError } from '../core/errors.ts';
import type { HandlerCode, HandlerDefinition } from '../sdk/handler-registry.ts';
import type { TemplateRegistration } from '../engine/facade.ts';
import { isResourceKind, type ResourceKindDefinition } from '../sdk/plans/resource-kind.ts';
import type { AnyTaskType } from '../sdk/plans/task-type.ts';
import type { AnyTemplate } from '../sdk/template.ts';

export interface LoadedFiles {
  templates: (AnyTemplate | TemplateRegistration)[];
  handlers: HandlerDefinition[];
  taskTypes: AnyTaskType[];
  resourceKinds: ResourceKindDefinition[];
  /** Files that were read, absolute. */
  files: string[];
}

const MODULES = new Set(['.ts', '.mts', '.js', '.mjs']);
const DATA = new Set(['.yaml', '.yml', '.json']);

/** Files as they are; of a folder, every YAML file below it, sorted. Modules run when they are loaded, and JSON may be anything: those are named one by one. */
export const expandPaths = (paths: readonly string[], cwd: string): string[] =>
  paths.flatMap((path) => {
    const full = resolve(cwd, path);
    if (!existsSync(full)) throw new TuttiError('INVALID_TEMPLATE', `${path}: there is no such file or folder`, { field: path });
    if (!statSync(full).isDirectory()) {
      if (!MODULES.has(extname(full)) && !DATA.has(extname(full))) {
        throw new TuttiError('INVALID_TEMPLATE', `${path}: a template file is YAML, JSON, TypeScript or JavaScript`, { field: path });
      }
      return [full];
    }
    return readdirSync(full, { recursive: true, encoding: 'utf8' })
      .filter((f) => !/(^|[\\/])(node_modules|\.)/.test(f) && (extname(f) === '.yaml' || extname(f) === '.yml'))
      .sort()
      .map((f) => join(full, f))
      .filter((f) => statSync(f).isFile());
  });

const isTemplate = (v: unknown): v is AnyTemplate =>
  typeof v === 'object' && v !== null && typeof (v as AnyTemplate).definition === 'function' && typeof (v as AnyTemplate).handlers === 'function';
const isHandler = (v: unknown): v is HandlerDefinition =>
  typeof v === 'object' && v !== null && typeof (v as HandlerDefinition).name === 'string' && 'code' in v && 'meta' in v;

/** By half of its shape: of one that lacks the other half it is then said what is missing. */
const isTaskType = (v: unknown): v is AnyTaskType =>
  typeof v === 'object' && v !== null && typeof (v as AnyTaskType).name === 'string' && ('nextBatch' in v || 'subtask' in v);

/** Templates, task types, resource kinds and `handler(…)` values among the exports, one by one, in lists, or (an export called `handlers`) code by name. */
const collect = (module: Record<string, unknown>, into: LoadedFiles): void => {
  for (const [name, value] of Object.entries(module)) {
    for (const v of Array.isArray(value) ? value : [value]) {
      if (isTemplate(v)) {
        if (!into.templates.includes(v)) into.templates.push(v);
      } else if (isHandler(v)) into.handlers.push(v);
      else if (isResourceKind(v)) {
        if (!into.resourceKinds.includes(v)) into.resourceKinds.push(v);
      } else if (isTaskType(v) && !into.taskTypes.includes(v)) into.taskTypes.push(v);
    }
    if (name === 'handlers' && typeof value === 'object' && value !== null && !Array.isArray(value) && !isTemplate(value) && !isHandler(value)) {
      for (const [handler, code] of Object.entries(value)) into.handlers.push({ name: handler, code: code as HandlerCode, meta: {} });
    }
  }
};

/** `namespace/name@version`. */
export const idOf = (t: AnyTemplate | TemplateRegistration): string =>
  isTemplate(t) ? t.id : `${t.definition.namespace}/${t.definition.name}@${t.definition.version}`;

export type ImportModule = (path: string) => Promise<Record<string, unknown>>;

const plainImport: ImportModule = async (path) => {
  const { pathToFileURL } = await import('node:url');
  return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
};

/** Throws INVALID_TEMPLATE, naming the file. `environment` chooses the `environments` part of YAML and JSON files. */
export const loadFiles = async (paths: readonly string[], cwd: string, o: { environment?: string; importModule?: ImportModule } = {}): Promise<LoadedFiles> => {
  const loaded: LoadedFiles = { templates: [], handlers: [], taskTypes: [], resourceKinds: [], files: expandPaths(paths, cwd) };
  for (const file of loaded.files) {
    const shown = relative(cwd, file) || file;
    if (MODULES.has(extname(file))) {
      let module: Record<string, unknown>;
      try {
        module = await (o.importModule ?? plainImport)(file);
      } catch (e) {
        throw new TuttiError('INVALID_TEMPLATE', `${shown}: cannot be loaded: ${e instanceof Error ? e.message : String(e)}`, { field: shown, cause: e });
      }
      collect(module, loaded);
    } else {
      const { loadTemplateFile } = await import('../sdk/template-file.ts');
      loaded.templates.push(loadTemplateFile(readFileSync(file, 'utf8'), shown, o.environment));
    }
  }
  return loaded;
};
