/**
 * The direction of imports and the purity of each layer, checked from the sources (docs/architecture.md).
 *
 *     core <- store, bus (interfaces) <- engine <- server, sdk, cli      contract <- server, sdk, cli
 *     store/<driver>, bus/<driver> <- open.ts only
 *
 * A layer is where a file lies. Every file of src/ must belong to one; what a layer may import is one line of LAYERS.
 * Run as `node scripts/check-layers.ts [root]`; prints every problem as `file:line: what`, exits with 1 if there is one.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import path from 'node:path';
import { scanSource, type Import, type SourceScan } from './scan-source.ts';

export interface Problem {
  file: string;
  line: number;
  message: string;
}

interface LayerRule {
  name: string;
  /** Which files of src/ are the layer; the first layer that matches has the file. */
  files: RegExp;
  /** Layers it may import; itself is always among them. */
  imports: readonly string[];
  /** npm packages it may import. */
  packages: readonly string[];
  /** `node:` modules it may import; 'all' where I/O is the layer's job. */
  node: readonly string[] | 'all';
  /** May read clock, timers, randomness and environment itself instead of being given them (I12). */
  impure: boolean;
}

export const LAYERS: readonly LayerRule[] = [
  { name: 'core', files: /^core\//, imports: [], packages: [], node: [], impure: false },
  { name: 'store', files: /^store\/[^/]+\.ts$/, imports: ['core'], packages: [], node: [], impure: false },
  { name: 'driver', files: /^store\/[^/]+\//, imports: ['core', 'store'], packages: ['pg'], node: 'all', impure: false },
  { name: 'bus', files: /^bus\/bus\.ts$/, imports: ['core'], packages: [], node: [], impure: false },
  { name: 'bus-driver', files: /^bus\//, imports: ['core', 'bus'], packages: ['pg'], node: 'all', impure: false },
  {
    name: 'ports',
    files: /^engine\/(facade|views|schedule-views|worker-port|plan-port|plan-views|resource-port)\.ts$/,
    imports: ['core'],
    packages: [],
    node: [],
    impure: false,
  },
  { name: 'engine', files: /^engine\//, imports: ['core', 'store', 'bus', 'ports'], packages: [], node: [], impure: false },
  { name: 'cron', files: /^cron\//, imports: ['core'], packages: ['croner'], node: [], impure: false },
  { name: 'handlers', files: /^handlers\//, imports: ['core', 'ports', 'sdk'], packages: [], node: 'all', impure: false },
  { name: 'tables-port', files: /^tables\/tables\.ts$/, imports: ['core', 'ports'], packages: [], node: [], impure: false },
  { name: 'tables', files: /^tables\//, imports: ['core', 'ports', 'tables-port', 'sdk'], packages: ['@duckdb/node-api'], node: 'all', impure: false },
  { name: 'contract', files: /^contract\//, imports: ['core', 'ports', 'tables-port'], packages: ['zod'], node: [], impure: false },
  {
    name: 'server',
    files: /^server\//,
    imports: ['core', 'contract', 'ports', 'tables-port'],
    packages: ['fastify', '@fastify/swagger', '@fastify/swagger-ui', 'pino', 'zod'],
    node: 'all',
    impure: false,
  },
  { name: 'sdk', files: /^sdk\//, imports: ['core', 'contract', 'ports'], packages: ['ajv', 'ajv-formats', 'yaml', 'zod'], node: 'all', impure: false },
  { name: 'config', files: /^config(?:\.ts$|\/)/, imports: ['core'], packages: ['smol-toml', 'zod'], node: 'all', impure: true },
  {
    name: 'cli',
    files: /^cli\//,
    imports: ['core', 'contract', 'ports', 'sdk', 'config', 'main'],
    packages: ['commander', 'pino', 'yaml', 'zod'],
    node: 'all',
    impure: true,
  },
  { name: 'trees', files: /^trees\.ts$/, imports: ['sdk'], packages: [], node: [], impure: false },
  {
    name: 'main',
    files: /^(main|open|serve|real-host)\.ts$/,
    imports: [
      'core',
      'store',
      'driver',
      'bus',
      'bus-driver',
      'ports',
      'engine',
      'cron',
      'handlers',
      'tables',
      'tables-port',
      'contract',
      'server',
      'sdk',
      'config',
    ],
    packages: ['pino', 'zod'],
    node: 'all',
    impure: true,
  },
];

/** Files outside the composition root that may use one impure thing, each for a reason. An entry that nothing needs is a problem too. */
export const EXEMPTIONS: readonly { file: string; uses: string; reason: string }[] = [
  {
    file: 'src/sdk/client/http-client.ts',
    uses: 'timers',
    reason: "runs in the caller's process, with no engine and no simulated clock: request timeouts and pauses before reconnecting are real time",
  },
];

/** Files that may consist of re-exports: the package's public entries. */
const PUBLIC_ENTRIES = ['main.ts', 'trees.ts'];

/** Of node:crypto, what gives the same answer for the same question. The rest is randomness. */
const PURE_CRYPTO = new Set(['createHash', 'createHmac', 'timingSafeEqual', 'type Hash', 'hash', 'createVerify', 'verify', 'createPublicKey']);

interface Impurity {
  uses: string;
  pattern: RegExp;
  /** Only in core: harmless elsewhere because it reads nothing that changes. */
  coreOnly?: true;
}

const GLOBAL = String.raw`(?<![\w$.#'"]|\bfunction\s)`;
const IMPURITIES: readonly Impurity[] = [
  { uses: 'Date', pattern: new RegExp(String.raw`${GLOBAL}(?:Date\s*\.\s*now\b|new\s+Date\s*(?:\(\s*\)|(?!\s*\())|Date\s*\(\s*\))`, 'g') },
  { uses: 'Date', pattern: new RegExp(String.raw`${GLOBAL}(?:new\s+Date\s*\(|Date\s*\.|Date\s*\()`, 'g'), coreOnly: true },
  { uses: 'performance', pattern: new RegExp(String.raw`${GLOBAL}performance\s*\??\.`, 'g') },
  { uses: 'Math.random', pattern: new RegExp(String.raw`${GLOBAL}Math\s*\.\s*random\b`, 'g') },
  { uses: 'crypto', pattern: new RegExp(String.raw`${GLOBAL}crypto\s*\??\.`, 'g') },
  { uses: 'timers', pattern: new RegExp(String.raw`${GLOBAL}(?:set|clear)(?:Timeout|Interval|Immediate)\b(?!\s*[?:]?:)`, 'g') },
  { uses: 'timers', pattern: /\bAbortSignal\s*\.\s*timeout\b/g },
  { uses: 'process.env', pattern: new RegExp(String.raw`${GLOBAL}process\s*\.\s*env\b`, 'g') },
  { uses: 'process.hrtime', pattern: new RegExp(String.raw`${GLOBAL}process\s*\.\s*(?:hrtime|uptime)\b`, 'g') },
  { uses: 'process', pattern: new RegExp(String.raw`${GLOBAL}process\s*\.`, 'g'), coreOnly: true },
  { uses: 'console', pattern: new RegExp(String.raw`${GLOBAL}console\s*\.`, 'g'), coreOnly: true },
  { uses: 'fetch', pattern: new RegExp(String.raw`${GLOBAL}fetch\s*\(`, 'g'), coreOnly: true },
  { uses: 'queueMicrotask', pattern: new RegExp(String.raw`${GLOBAL}queueMicrotask\b`, 'g'), coreOnly: true },
];
const IMPURE_MODULES: Record<string, string> = {
  timers: 'timers',
  'timers/promises': 'timers',
  perf_hooks: 'performance',
};

const BUILTINS = new Set(builtinModules);
const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
const lineOf = (text: string, offset: number): number => text.slice(0, offset).split('\n').length;

interface SourceFile extends SourceScan {
  /** Relative to src/, with slashes. */
  name: string;
  layer: LayerRule | undefined;
}

class Checker {
  readonly problems: Problem[] = [];
  readonly #files = new Map<string, SourceFile>();
  readonly #usedExemptions = new Set<object>();
  readonly #exemptions: typeof EXEMPTIONS;

  constructor(src: string, exemptions: typeof EXEMPTIONS) {
    this.#exemptions = exemptions;
    for (const found of globSync('**/*.ts', { cwd: src }).sort()) {
      const name = found.split(path.sep).join('/');
      if (name.endsWith('.test.ts')) continue;
      const scan = scanSource(readFileSync(path.join(src, name), 'utf8'));
      this.#files.set(name, { ...scan, name, layer: LAYERS.find((layer) => layer.files.test(name)) });
    }
  }

  run(): Problem[] {
    for (const file of this.#files.values()) {
      if (!file.layer) this.#report(file, 1, 'belongs to no layer; see LAYERS in scripts/check-layers.ts');
      for (const i of file.imports) this.#checkImport(file, i);
      this.#checkPurity(file);
      this.#checkExports(file);
    }
    this.#checkCycles();
    for (const e of this.#exemptions) {
      if (!this.#usedExemptions.has(e))
        this.problems.push({ file: e.file, line: 1, message: `is exempt for ${e.uses}, which it does not use: remove the exemption` });
    }
    return this.problems;
  }

  #report(file: SourceFile, line: number, message: string): void {
    this.problems.push({ file: `src/${file.name}`, line, message });
  }

  #exempt(file: SourceFile, uses: string): boolean {
    const found = this.#exemptions.find((e) => e.file === `src/${file.name}` && e.uses === uses);
    if (found) this.#usedExemptions.add(found);
    return found !== undefined;
  }

  #checkImport(file: SourceFile, i: Import): void {
    const { layer } = file;
    if (i.specifier.startsWith('.')) {
      const target = path.posix.normalize(path.posix.join(path.posix.dirname(file.name), i.specifier));
      const to = this.#files.get(target);
      if (target.startsWith('..')) this.#report(file, i.line, `imports ${i.specifier}, outside src/`);
      else if (!to) this.#report(file, i.line, `imports ${i.specifier}, which does not exist (imports name the .ts file)`);
      else if (layer && to.layer && !this.#mayImport(file, to)) this.#report(file, i.line, `${layer.name} may not import ${to.layer.name} (src/${target})`);
      return;
    }
    const bare = i.specifier.replace(/^node:/, '');
    if (i.specifier.startsWith('node:') || BUILTINS.has(bare)) return this.#checkBuiltin(file, i, bare);
    const name = packageOf(i.specifier);
    if (layer && !layer.packages.includes(name)) this.#report(file, i.line, `${layer.name} may not import the package ${name}`);
  }

  #mayImport(file: SourceFile, to: SourceFile): boolean {
    if (file.layer!.name !== to.layer!.name) return file.layer!.imports.includes(to.layer!.name);
    // One driver knows nothing of another.
    return file.layer!.name !== 'driver' || file.name.split('/')[1] === to.name.split('/')[1];
  }

  #checkBuiltin(file: SourceFile, i: Import, bare: string): void {
    const { layer } = file;
    if (!layer) return;
    if (!i.specifier.startsWith('node:')) return this.#report(file, i.line, `writes ${i.specifier} without the node: prefix`);
    if (layer.node !== 'all' && !layer.node.includes(`node:${bare}`) && !this.#exempt(file, `node:${bare}`)) {
      this.#report(file, i.line, `${layer.name} may not import node:${bare}`);
      return;
    }
    if (layer.impure || i.typeOnly) return;
    const impure = IMPURE_MODULES[bare];
    if (impure !== undefined && !this.#exempt(file, impure)) this.#report(file, i.line, `takes ${impure} from node:${bare}; it must be injected (I12)`);
    if (bare === 'crypto') {
      const names = i.clause
        .replace(/[{}]/g, '')
        .split(',')
        .map((n) => n.trim())
        .filter((n) => n !== '');
      const chance = names.filter((n) => !PURE_CRYPTO.has(n));
      if (chance.length > 0 && !this.#exempt(file, 'crypto'))
        this.#report(file, i.line, `takes ${chance.join(', ')} from node:crypto; randomness must be injected (I12)`);
    }
  }

  #checkPurity(file: SourceFile): void {
    if (!file.layer || file.layer.impure) return;
    const isCore = file.layer.name === 'core';
    // One finding per line and thing: the import of a timer, or `process.env` in core, would be found twice.
    const seen = new Set(file.imports.map((i) => `${IMPURE_MODULES[i.specifier.replace(/^node:/, '')]}:${i.line}`));
    for (const { uses, pattern, coreOnly } of IMPURITIES) {
      if (coreOnly && !isCore) continue;
      for (const match of file.code.matchAll(pattern)) {
        const line = lineOf(file.code, match.index);
        const key = `${uses.split('.')[0]}:${line}`;
        if (seen.has(key) || this.#exempt(file, uses)) continue;
        seen.add(key);
        this.#report(file, line, `uses ${uses}; ${isCore ? 'core is pure' : 'it must be injected'} (I12)`);
      }
    }
  }

  #checkExports(file: SourceFile): void {
    const at = (pattern: RegExp, message: string) => {
      for (const match of file.code.matchAll(pattern)) this.#report(file, lineOf(file.code, match.index), message);
    };
    at(/\bexport\s+default\b|\bas\s+default\b/g, 'has a default export; exports are named');
    at(/\b__\w*test\w*/gi, 'has a seam for tests in its code; inject it instead');
    if (PUBLIC_ENTRIES.includes(file.name)) return;
    for (const i of file.imports) {
      // Naming the type of what a function returns is no barrel; passing on values or whole files is.
      if (i.kind === 'export' && (!i.typeOnly || i.clause.includes('*')))
        this.#report(file, i.line, `re-exports ${i.specifier}; only public entries do (${PUBLIC_ENTRIES.join(', ')})`);
    }
  }

  /** Every cycle of modules at run time, once; types are erased and may refer to each other. */
  #checkCycles(): void {
    const done = new Set<string>();
    const trail: string[] = [];
    const visit = (name: string): void => {
      if (done.has(name)) return;
      const start = trail.indexOf(name);
      if (start >= 0) {
        const cycle = [...trail.slice(start), name];
        this.#report(
          this.#files.get(name)!,
          1,
          `imports itself by way of ${cycle
            .slice(1)
            .map((n) => `src/${n}`)
            .join(' -> ')}`,
        );
        return;
      }
      trail.push(name);
      const file = this.#files.get(name)!;
      for (const i of file.imports) {
        if (!i.specifier.startsWith('.') || i.typeOnly) continue;
        const target = path.posix.normalize(path.posix.join(path.posix.dirname(name), i.specifier));
        if (this.#files.has(target)) visit(target);
      }
      trail.pop();
      done.add(name);
    };
    for (const name of this.#files.keys()) visit(name);
  }
}

/** All problems of the tree under `root`, which holds `src/`. */
export function checkLayers(root: string, exemptions: typeof EXEMPTIONS = EXEMPTIONS): Problem[] {
  const src = path.join(root, 'src');
  if (!existsSync(src)) throw new Error(`${src} does not exist`);
  return new Checker(src, exemptions).run();
}

if (process.argv[1] === import.meta.filename) {
  const root = process.argv[2] ?? path.resolve(import.meta.dirname, '..');
  const problems = checkLayers(root);
  for (const p of problems) console.error(`${p.file}:${p.line}: ${p.message}`);
  console.log(problems.length === 0 ? 'layers: in order' : `layers: ${problems.length} problem${problems.length === 1 ? '' : 's'}`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
