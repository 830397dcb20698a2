import { isTuttiError } from '../core/errors.ts';
import { taskUuid } from '../core/ids.ts';
import type { EngineFacade } from './facade.ts';

/** Cancels a task, which may have ended meanwhile, or be gone. */
export async function endTask(engine: Pick<EngineFacade, 'cancel'>, task: number, tag: number, message: string): Promise<void> {
  try {
    await engine.cancel(taskUuid(task, tag), { errorMessage: message });
  } catch (e) {
    if (!isTuttiError(e) || (e.code !== 'ILLEGAL_STATE' && e.code !== 'NOT_FOUND')) throw e;
  }
}
