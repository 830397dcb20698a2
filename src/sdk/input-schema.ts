/** A template file's `input_schema`: JSON Schema 2020-12, enforced at submit, its defaults filled in. */
import { createRequire } from 'node:module';
import type { Ajv2020, ErrorObject, ValidateFunction } from 'ajv/dist/2020.js';
import type { default as AddFormats } from 'ajv-formats';
import type { JsonObject } from '../core/definition.ts';
import type { InputValidator } from '../engine/facade.ts';

/** Problems shown for one input; further ones say nothing new. */
const MAX_ISSUES = 20;

let shared: Ajv2020 | undefined;

interface LoadedAjv {
  Ajv2020: typeof Ajv2020;
  addFormats: (typeof AddFormats)['default'];
}
let loaded: LoadedAjv | undefined;

/** Ajv is a hundred modules: it is loaded when the first schema is met, and by `require`, since schemas are checked where nothing can wait. */
export const loadAjv = (): LoadedAjv => {
  if (loaded === undefined) {
    const require = createRequire(import.meta.url);
    const { Ajv2020 } = require('ajv/dist/2020.js') as typeof import('ajv/dist/2020.js');
    const { default: addFormats } = require('ajv-formats') as typeof import('ajv-formats');
    loaded = { Ajv2020, addFormats: addFormats as unknown as LoadedAjv['addFormats'] };
  }
  return loaded;
};

/** One for checking schemas; validators get their own, so that equal `$id`s of two templates do not meet. */
const newAjv = (): Ajv2020 => {
  const { Ajv2020, addFormats } = loadAjv();
  const ajv = new Ajv2020({ strict: false, allErrors: true, useDefaults: true, validateFormats: true });
  addFormats(ajv);
  return ajv;
};

/** What is wrong with a schema; null: it can be used. */
export function problemOfSchema(schema: JsonObject): string | null {
  shared ??= newAjv();
  try {
    if (shared.validateSchema(schema) !== true) return (shared.errors ?? []).map(describe).slice(0, 3).join('; ');
    // A reference is only followed when the schema is compiled; everything else can wait for the first submit.
    if (JSON.stringify(schema).includes('"$ref"')) newAjv().compile(schema);
    return null;
  } catch (e) {
    return e instanceof Error ? e.message : String(e);
  }
}

/** Compiles on first use. The input itself is left as it was: defaults go into a copy. */
export function schemaValidator(schema: JsonObject): InputValidator {
  // Here, since compiling may be given a time after which it is cut off: that must not hit a module half loaded.
  loadAjv();
  let compiled: ValidateFunction | undefined;
  return (input) => {
    compiled ??= newAjv().compile(schema);
    const value: unknown = input === undefined ? undefined : JSON.parse(JSON.stringify(input));
    if (compiled(value)) return { ok: true, value };
    return { ok: false, issues: (compiled.errors ?? []).slice(0, MAX_ISSUES).map((e) => ({ path: pathOf(e), message: e.message ?? 'is not valid' })) };
  };
}

const describe = (e: ErrorObject): string => `${pathOf(e) || 'schema'} ${e.message ?? 'is not valid'}`;

/** `/items/3/sku` -> `items[3].sku`; a missing or surplus property is part of the path. */
function pathOf(e: ErrorObject): string {
  const parts = e.instancePath
    .split('/')
    .slice(1)
    .map((p) => p.replaceAll('~1', '/').replaceAll('~0', '~'));
  const params = e.params as { missingProperty?: string; additionalProperty?: string; unevaluatedProperty?: string };
  const extra = params.missingProperty ?? params.additionalProperty ?? params.unevaluatedProperty;
  if (extra !== undefined) parts.push(extra);
  return parts.reduce((text, part) => (/^\d+$/.test(part) ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`), '');
}
