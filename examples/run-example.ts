/** `npm run example <name> [options]` */
const EXAMPLES: Readonly<Record<string, () => Promise<{ run: (args: string[]) => Promise<number> }>>> = {
  upload: () => import('./upload/run.ts'),
  csv: () => import('./csv-inventory.ts'),
  backfill: () => import('./backfill/run.ts'),
};

const [name, ...args] = process.argv.slice(2);
const load = name === undefined ? undefined : EXAMPLES[name];
if (load === undefined) {
  process.stderr.write(`usage: npm run example <name>, where <name> is one of: ${Object.keys(EXAMPLES).join(', ')}\n`);
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await (await load()).run(args);
  } catch (e) {
    if (!String((e as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS')) throw e;
    process.stderr.write(`error: ${(e as Error).message}\n`);
    process.exitCode = 2;
  }
}
