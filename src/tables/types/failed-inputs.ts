/** Inputs of a plan that failed: how often, and why. Part of a generator's state, so there is a limit to what it keeps. */
import { counted, cutText } from './table-task-context.ts';

export interface FailedInputs {
  /** By input. */
  known: Record<string, { attempts: number; message: string }>;
  /** Failures of inputs beyond those. */
  more: number;
}

const MOST = 500;
const MESSAGE = 400;

export const noFailures = (): FailedInputs => ({ known: {}, more: 0 });

export const isFull = (f: FailedInputs): boolean => Object.keys(f.known).length >= MOST;

export const attemptsOf = (f: FailedInputs, input: string): number => (Object.hasOwn(f.known, input) ? f.known[input].attempts : 0);

export function withFailure(f: FailedInputs, input: string, message: string): FailedInputs {
  const known = Object.hasOwn(f.known, input);
  if (!known && isFull(f)) return { ...f, more: f.more + 1 };
  return { ...f, known: { ...f.known, [input]: { attempts: attemptsOf(f, input) + 1, message: cutText(message, MESSAGE) } } };
}

export function withoutFailure(f: FailedInputs, input: string): FailedInputs {
  if (!Object.hasOwn(f.known, input)) return f;
  const { [input]: _, ...known } = f.known;
  return { ...f, known };
}

export const failedCount = (f: FailedInputs): number => Object.keys(f.known).length + f.more;

/** `2 files given up: a.csv, line 4: …; b.csv: …` */
export function showFailures(f: FailedInputs, unit: string): string {
  const messages = Object.values(f.known).map((k) => k.message);
  return cutText(`${counted(failedCount(f), unit)} given up: ${messages.join('; ')}`);
}

/** Texts that every type has among its customStats. */
export function failureStats(f: FailedInputs, unit: string): Record<string, string> {
  const count = failedCount(f);
  if (count === 0) return { [`failed${unit}`]: '0' };
  return {
    [`failed${unit}`]: String(count),
    failures: cutText(
      Object.values(f.known)
        .map((k) => k.message)
        .join('\n'),
    ),
  };
}
