/** Command line of the bench. */
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import type { Size } from './workload.ts';

export interface Options {
  size: Size;
  only: string[] | null;
  json: boolean;
  strict: boolean;
  /** Null: 50, and 500 as well where the budget has a bracketed figure. */
  slots: number | null;
  /** Fresh processes per line; null: each workload's own number. */
  repetitions: number | null;
  /** Folder for the temporary stores: a real disk, or the commits cost nothing. */
  dir: string;
  /** Folder for V8 CPU profiles of the measured processes; null: none are taken. */
  profile: string | null;
  help: boolean;
}

export const USAGE = `Usage: npm run bench -- [options]

Measures Tutti against the budget of the design and against floors taken in the same run.

  --quick            every workload, smaller and less often: about a minute
  --only <names>     these workloads only, separated by commas
  --slots <n>        slots instead of 50 (and 500 where there is a budget)
  --repetitions <n>  fresh processes per line
  --dir <folder>     where the temporary stores go (default: the system's)
  --profile <folder> writes a CPU profile of each measured process there
  --json             one object per line on stdout and nothing else
  --strict           exit 1 when a budget is missed
  --help

Exit code: 0 measured (also when a budget is missed), 1 a workload failed
or gave a wrong result, 2 the options make no sense.`;

export class UsageError extends Error {}

export function parseOptions(argv: readonly string[], known: readonly string[]): Options {
  let values: ReturnType<typeof read>;
  try {
    values = read(argv);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const only =
    values.only
      ?.flatMap((names) => names.split(','))
      .map((name) => name.trim())
      .filter((name) => name !== '') ?? null;
  for (const name of only ?? []) {
    if (!known.includes(name)) throw new UsageError(`--only ${name}: no such workload; there are ${known.join(', ')}`);
  }
  return {
    size: values.quick ? 'quick' : 'full',
    only,
    json: values.json ?? false,
    strict: values.strict ?? false,
    slots: positive('--slots', values.slots),
    repetitions: positive('--repetitions', values.repetitions),
    dir: values.dir ?? tmpdir(),
    profile: values.profile ?? null,
    help: values.help ?? false,
  };
}

function read(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    strict: true,
    allowPositionals: false,
    options: {
      quick: { type: 'boolean' },
      only: { type: 'string', multiple: true },
      json: { type: 'boolean' },
      strict: { type: 'boolean' },
      slots: { type: 'string' },
      repetitions: { type: 'string' },
      dir: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  }).values;
}

function positive(option: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 10_000) throw new UsageError(`${option} ${text}: a whole number from 1 to 10000 is needed`);
  return value;
}
