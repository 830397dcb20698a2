/**
 * Templates by (namespace, name, version) and by row. Graph and rules come from the store and never change under a version
 * (`dev` makes a revision); validators come from the newest registration and live only here.
 */
import type { TemplateDefinition } from '../core/definition.ts';
import { TuttiError } from '../core/errors.ts';
import { KeyedLock } from '../core/keyed-lock.ts';
import { compileShape, type Shape } from '../core/shape.ts';
import { checkTemplate, describeProblem } from '../core/template-rules.ts';
import type { Store, StoredTemplate } from '../store/store.ts';
import type { InputValidator, TemplateRegistration } from './facade.ts';
import type { TemplateView } from './views.ts';

export interface RegisteredTemplate {
  row: StoredTemplate;
  definition: TemplateDefinition;
  shape: Shape;
  /** Registered in this process, not only known from the store. */
  registered: boolean;
  validate: InputValidator | undefined;
}

const key = (namespace: string, name: string, version: string): string => `${namespace}/${name}@${version}`;

export class TemplateRegistry {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #byRow = new Map<number, RegisteredTemplate>();
  readonly #current = new Map<string, RegisteredTemplate>();
  /** Highest revision of a version; an undone edit makes an earlier one current again. */
  readonly #highest = new Map<string, number>();
  readonly #latest = new Map<string, RegisteredTemplate>();
  /** Registrations of one version: each is compared with what the one before it left. */
  readonly #turns = new KeyedLock();

  constructor(o: { store: Store; now: () => number }) {
    this.#store = o.store;
    this.#now = o.now;
  }

  async load(): Promise<void> {
    for (const row of await this.#store.templates()) this.#keep(row, JSON.parse(row.definition) as TemplateDefinition, false, undefined);
  }

  async register(r: TemplateRegistration, dev: boolean): Promise<RegisteredTemplate> {
    const { definition: d } = r;
    const k = key(d.namespace, d.name, d.version);
    const problems = checkTemplate(d);
    if (problems.length > 0) {
      const first = problems[0];
      throw new TuttiError('INVALID_TEMPLATE', `template ${k}: ${problems.map(describeProblem).join('; ')}`, {
        field: first.field,
        details: { problems: problems.slice(0, 50) },
      });
    }
    // Text from here on: whoever changes the definition while it waits changes nothing.
    const text = canonical(d);
    return await this.#turns.locked(k, () => this.#enter(text, r.validate, dev));
  }

  async #enter(text: string, validate: InputValidator | undefined, dev: boolean): Promise<RegisteredTemplate> {
    const d = JSON.parse(text) as TemplateDefinition;
    const k = key(d.namespace, d.name, d.version);
    const known = this.#current.get(k);
    let row: StoredTemplate;
    if (known !== undefined && identity(known.definition) === identity(d)) row = known.row;
    else if (known !== undefined && !dev) {
      throw new TuttiError(
        'TEMPLATE_CONFLICT',
        `template ${k} is registered with another graph (${difference(known.definition, d).join('; ')}); give the new one another version.`,
        { field: 'version', details: { differences: difference(known.definition, d) } },
      );
    } else {
      row = await this.#store.putTemplate({
        namespace: d.namespace,
        name: d.name,
        version: d.version,
        revision: (this.#highest.get(k) ?? 0) + 1,
        hash: fingerprint(identity(d)),
        definition: text,
        createdAt: this.#now(),
      });
    }
    return this.#keep(row, d, true, validate);
  }

  row(id: number): RegisteredTemplate | undefined {
    return this.#byRow.get(id);
  }

  shape(id: number): Shape | undefined {
    return this.#byRow.get(id)?.shape;
  }

  find(ref: { namespace: string; name: string; version?: string }): RegisteredTemplate | undefined {
    return ref.version === undefined ? this.#latest.get(`${ref.namespace}/${ref.name}`) : this.#current.get(key(ref.namespace, ref.name, ref.version));
  }

  /** Current revisions, by name and version. */
  all(namespace?: string): RegisteredTemplate[] {
    const all = [...this.#current.values()].filter((t) => namespace === undefined || t.definition.namespace === namespace);
    return all.sort((a, b) => (byName(a) < byName(b) ? -1 : byName(a) > byName(b) ? 1 : compareVersions(a.definition.version, b.definition.version)));
  }

  /** Row ids of every version and revision that match. */
  rows(f: { namespace?: string; name?: string; version?: string }): number[] {
    const ids: number[] = [];
    for (const [id, t] of this.#byRow) {
      const d = t.definition;
      if ((f.namespace ?? d.namespace) === d.namespace && (f.name ?? d.name) === d.name && (f.version ?? d.version) === d.version) ids.push(id);
    }
    return ids;
  }

  view(t: RegisteredTemplate): TemplateView {
    const d = t.definition;
    return {
      namespace: d.namespace,
      name: d.name,
      version: d.version,
      revision: t.row.revision,
      registered: t.registered,
      createdAt: t.row.createdAt,
      definition: d,
    };
  }

  #keep(row: StoredTemplate, definition: TemplateDefinition, registered: boolean, validate: InputValidator | undefined): RegisteredTemplate {
    const k = key(row.namespace, row.name, row.version);
    let t = this.#byRow.get(row.id);
    if (t === undefined) {
      t = { row, definition, shape: compileShape(definition), registered, validate };
      this.#byRow.set(row.id, t);
    } else {
      t.registered ||= registered;
      // Same graph: what describes it may be newer than the row.
      if (registered) t.definition = definition;
      t.validate = validate ?? t.validate;
    }
    const current = this.#current.get(k);
    if (current === undefined || registered || row.revision >= current.row.revision) this.#current.set(k, t);
    this.#highest.set(k, Math.max(row.revision, this.#highest.get(k) ?? 0));
    const name = `${row.namespace}/${row.name}`;
    const latest = this.#latest.get(name);
    if (latest === undefined || goesBefore(row.version, latest.row.version))
      this.#latest.set(name, this.#current.get(key(row.namespace, row.name, row.version))!);
    return t;
  }
}

const byName = (t: RegisteredTemplate): string => `${t.definition.namespace}/${t.definition.name}`;

/** `a` is taken rather than `b` where no version is asked for: the highest release, and a pre-release only where there is no release. */
function goesBefore(a: string, b: string): boolean {
  const [x, y] = [isPreRelease(a), isPreRelease(b)];
  return x === y ? compareVersions(a, b) >= 0 : y;
}

/** A hyphen behind the plus is build metadata. */
const isPreRelease = (version: string): boolean => /^[^+]*-/.test(version);

/** Semver order without build metadata; a pre-release goes before its release. */
function compareVersions(a: string, b: string): number {
  const [na, pa = ''] = a.split(/-(.*)/s);
  const [nb, pb = ''] = b.split(/-(.*)/s);
  const xs = na.split('.').map(Number);
  const ys = nb.split('.').map(Number);
  for (let i = 0; i < 3; i++) if ((xs[i] ?? 0) !== (ys[i] ?? 0)) return (xs[i] ?? 0) - (ys[i] ?? 0);
  if (pa === pb) return 0;
  if (pa === '') return 1;
  if (pb === '') return -1;
  return pa < pb ? -1 : 1;
}

/** What makes a version: the graph and its rules, not what describes them (texts, and a schema whose spelling is its library's). */
const identity = (d: TemplateDefinition): string =>
  canonical({ ...d, description: undefined, metadata: undefined, inputSchema: undefined, steps: d.steps.map((s) => ({ ...s, description: undefined })) });

/** JSON with keys sorted at every level, so that equal definitions are equal texts. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) =>
    v !== null && typeof v === 'object' && !Array.isArray(v) ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1))) : v,
  );
}

/** Two 32-bit hashes side by side: tells revisions apart, protects nothing. */
function fingerprint(text: string): string {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    a = Math.imul(a ^ c, 0x01000193);
    b = Math.imul(b ^ c, 0x85ebca6b) ^ (b >>> 13);
  }
  return (a >>> 0).toString(16).padStart(8, '0') + (b >>> 0).toString(16).padStart(8, '0');
}

function difference(a: TemplateDefinition, b: TemplateDefinition): string[] {
  const found: string[] = [];
  const before = new Map(a.steps.map((s) => [s.name, s]));
  const after = new Map(b.steps.map((s) => [s.name, s]));
  for (const name of before.keys()) if (!after.has(name)) found.push(`step ${name} removed`);
  for (const [name, step] of after) {
    const old = before.get(name);
    if (old === undefined) found.push(`step ${name} added`);
    else {
      const fields = new Set([...Object.keys(old), ...Object.keys(step)]);
      for (const f of fields) {
        const x = canonical((old as unknown as Record<string, unknown>)[f] ?? null);
        const y = canonical((step as unknown as Record<string, unknown>)[f] ?? null);
        if (x !== y) found.push(`step ${name}: ${f} ${x} -> ${y}`);
      }
    }
  }
  for (const f of ['policy', 'priority', 'deadlineMs', 'returns', 'lifecycle'] as const) {
    const x = canonical(a[f] ?? null);
    const y = canonical(b[f] ?? null);
    if (x !== y) found.push(`${f} ${x.slice(0, 200)} -> ${y.slice(0, 200)}`);
  }
  if (found.length === 0) found.push('the order of its steps');
  return found.slice(0, 20);
}
