/**
 * Builds `dist/`, the published form: JavaScript and declarations, by `tsc` and nothing else.
 * npm runs it after `npm ci` (`prepare`); there it must not fail merely because the development tools were left out.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const dist = path.join(root, 'dist');
const SHEBANG = '#!/usr/bin/env node';

/** The compiler's entry point, through node_modules; undefined when it is not installed. */
function findCompiler(): string | undefined {
  try {
    const manifest = createRequire(import.meta.url).resolve('typescript/package.json');
    const { bin } = JSON.parse(readFileSync(manifest, 'utf8')) as { bin: { tsc: string } };
    return path.join(path.dirname(manifest), bin.tsc);
  } catch {
    return undefined;
  }
}

/** Commands must start with a shebang and be executable: npm links them as they are. */
function makeExecutable(file: string): void {
  const text = readFileSync(file, 'utf8');
  const body = text.startsWith('#!') ? text.slice(text.indexOf('\n') + 1) : text;
  writeFileSync(file, `${SHEBANG}\n${body}`);
  chmodSync(file, 0o755);
}

function build(): number {
  const tsc = findCompiler();
  if (!tsc) {
    console.log('build: skipped, typescript is not installed (development dependencies were left out)');
    return 0;
  }
  const started = performance.now();
  // Files of sources that have gone must not be published.
  rmSync(dist, { recursive: true, force: true });
  const { status, error } = spawnSync(process.execPath, [tsc, '-p', path.join(root, 'tsconfig.build.json')], { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) return status ?? 1;

  const { bin } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { bin: Record<string, string> };
  for (const command of Object.values(bin)) {
    const file = path.join(root, command);
    if (!existsSync(file)) {
      console.error(`build: package.json names ${command}, which no source makes`);
      return 1;
    }
    makeExecutable(file);
  }
  console.log(`build: dist/ in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return 0;
}

process.exitCode = build();
