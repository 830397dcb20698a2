/** Options with a name that means nothing are refused: one that is silently ignored is believed to work. */
import { TuttiError } from '../core/errors.ts';
import { nearestName } from '../core/nearest-name.ts';

/** Throws INVALID_INPUT naming the option, and the one that was probably meant. `what`: who takes them; `within`: the option they stand in. */
export function refuseUnknownOptions(what: string, given: unknown, known: readonly string[], within?: string): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new TuttiError('INVALID_INPUT', `${what}: ${within ?? 'the options'} must be an object`, { field: within ?? 'options' });
  const wrong = unknownOption(given, known, within);
  if (wrong !== null) throw new TuttiError('INVALID_INPUT', `${what}: ${wrong.message}`, { field: wrong.field });
}

/** The first name that means nothing, and what is to be said of it. */
export function unknownOption(given: object, known: readonly string[], within?: string): { field: string; message: string } | null {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const field = within === undefined ? name : `${within}.${name}`;
    const near = nearestName(name, known);
    const hint = near === null ? `there are ${known.join(', ')}` : `did you mean ${within === undefined ? near : `${within}.${near}`}?`;
    return { field, message: `${field} is no option; ${hint}` };
  }
  return null;
}
