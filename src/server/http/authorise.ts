/** Whether the caller may do something to a resource (a table): 403 where not, left out where it is one of a list. */
import { isTuttiError, TuttiError } from '../../core/errors.ts';
import type { Plans } from '../../engine/plan-views.ts';
import type { Caller, ResourceAction } from '../../engine/resource-port.ts';

interface Asking {
  engine: { plans: Pick<Plans, 'authorise' | 'expand'> };
  caller: Caller;
}

/** Of one resource, by its id. Throws FORBIDDEN, and NOT_FOUND where it is gone. */
export async function demand({ engine, caller }: Asking, id: string, action: ResourceAction): Promise<void> {
  if (await engine.plans.authorise(caller, id, action)) return;
  // Nobody may do anything to what is not there: say that instead.
  await engine.plans.expand(id);
  throw new TuttiError('FORBIDDEN', `${caller?.name ?? 'this caller'} may not ${action} ${id}`);
}

/** Of all that a name stands for: its ids. Throws NOT_FOUND, FORBIDDEN. */
export async function demandNamed(asking: Asking, name: string, action: ResourceAction): Promise<string[]> {
  const ids = await asking.engine.plans.expand(name);
  for (const id of ids) await demand(asking, id, action);
  return ids;
}

/** The same for a list about it: where there is no such resource, nothing is listed. */
export async function demandListed(asking: Asking, name: string): Promise<string[]> {
  try {
    return await demandNamed(asking, name, 'read');
  } catch (e) {
    if (isTuttiError(e) && e.code === 'NOT_FOUND') return [];
    throw e;
  }
}

/** Asks once for each resource. */
export function permissions({ engine, caller }: Asking, action: ResourceAction): (id: string) => Promise<boolean> {
  const answers = new Map<string, Promise<boolean>>();
  return (id) => {
    const known = answers.get(id);
    if (known !== undefined) return known;
    const asked = engine.plans.authorise(caller, id, action);
    answers.set(id, asked);
    return asked;
  };
}
