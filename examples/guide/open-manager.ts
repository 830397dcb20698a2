/** What every sample begins with: an engine that keeps nothing, the executors the samples name, and a manager of trees. */
import { Tutti, type UntypedStepContext } from 'tutti';
import { TaskManager } from 'tutti/trees';

/** In the order in which they began. */
export interface Sample extends AsyncDisposable {
  tutti: Tutti;
  taskManager: TaskManager;
  ran: string[];
  /** What each was given. */
  inputs: Map<string, unknown>;
}

/** `failing`: executors that throw. `slots`: how many run at once. */
export async function openManager(
  executors: readonly string[],
  { failing = [], slots }: { failing?: readonly string[]; slots?: number } = {},
): Promise<Sample> {
  const ran: string[] = [];
  const inputs = new Map<string, unknown>();
  const run = (name: string) => (ctx: UntypedStepContext) => {
    ran.push(name);
    inputs.set(name, ctx.inputs);
    if (failing.includes(name)) throw new Error(`${name} has failed`);
    return { [`${name}_done`]: true };
  };
  const tutti = await Tutti.open({ store: ':memory:', slots, handlers: Object.fromEntries(executors.map((name) => [name, run(name)])) });
  return { tutti, taskManager: new TaskManager(tutti), ran, inputs, [Symbol.asyncDispose]: () => tutti.close() };
}
