/**
 * Writes the pages of docs/ that have a source: the configuration schema, the route table, the error registry, the table of metrics.
 * `--check` writes nothing and fails when a file on disk differs.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configurationPage } from '../src/config/configuration-page.ts';
import { apiPage } from '../src/contract/api-page.ts';
import { errorsPage } from '../src/contract/errors-page.ts';
import { metricsPage } from '../src/server/http/metrics-page.ts';

const page = (name: string, render: () => string): { path: string; render: () => string } => ({
  path: fileURLToPath(new URL(`../docs/${name}`, import.meta.url)),
  render,
});
const PAGES = [page('configuration.md', configurationPage), page('api.md', apiPage), page('errors.md', errorsPage), page('metrics.md', metricsPage)];

const check = process.argv.includes('--check');
let drift = false;
for (const { path, render } of PAGES) {
  const wanted = render();
  let found: string | null = null;
  try {
    found = readFileSync(path, 'utf8');
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'ENOENT') throw e;
  }
  if (found === wanted) continue;
  if (check) {
    drift = true;
    console.error(`${path} is not what its source says. Run: npm run docs`);
  } else {
    writeFileSync(path, wanted);
    console.log(`wrote ${path}`);
  }
}
if (drift) process.exitCode = 1;
