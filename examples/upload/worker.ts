/**
 * The process that is killed: the engine on a file, with the upload's handlers. It is told what to do, and tells what it sees, over the
 * channel to the process that started it.
 *
 *     node worker.ts <store file> <url of the object server>
 */
import { type StepView, type SubmitOptions, type TaskOutcome, Tutti } from 'tutti';
import { ObjectClient } from './object-client.ts';
import { uploadFile, uploadHandlers, type UploadInput } from './upload.ts';

export type ToWorker = { submit: UploadInput; key: string } | { watch: string } | { cancel: string; reason: string } | { stop: true };
export type FromWorker =
  | { ready: true; resumed: number }
  | { submitted: string }
  | { task: string; steps: StepView[]; percent: number }
  | { ended: TaskOutcome; result: unknown }
  | { failed: string };

/** How often it tells how far the steps are. */
const TELL_MS = 50;

if (process.argv[1] === import.meta.filename) {
  const [, , store, url] = process.argv;
  const tell = (message: FromWorker): void => void process.send?.(message);
  const tutti = await Tutti.open({ store, templates: [uploadFile], handlers: uploadHandlers(new ObjectClient(url)) });

  const watch = async (id: string): Promise<void> => {
    const task = await tutti.get(id, uploadFile);
    const ended = task.done();
    let over = false;
    const look = async (): Promise<void> => {
      const [view, steps] = await Promise.all([task.view(), task.steps()]);
      tell({ task: id, steps, percent: view.completionPercentage });
    };
    const settled = ended.then(() => (over = true));
    while (!over) {
      await look();
      await Promise.race([settled, new Promise((next) => setTimeout(next, TELL_MS))]);
    }
    await look();
    const outcome = await ended;
    tell({ ended: outcome, result: outcome.state === 'complete' ? await task.result() : null });
  };
  const obey = async (m: ToWorker): Promise<void> => {
    if ('submit' in m) {
      const options: SubmitOptions & { key: string; expectedBytes?: number } = { key: m.key };
      const task = await tutti.submit(uploadFile, m.submit, options);
      tell({ submitted: task.id });
      await watch(task.id);
    } else if ('watch' in m) await watch(m.watch);
    else if ('cancel' in m) await tutti.cancel(m.cancel, { reason: m.reason });
    else {
      await tutti.close();
      process.exit(0);
    }
  };
  process.on('message', (m) => {
    obey(m as ToWorker).catch((e: unknown) => tell({ failed: e instanceof Error ? (e.stack ?? e.message) : String(e) }));
  });
  process.on('disconnect', () => process.exit(0));
  tell({ ready: true, resumed: tutti.resumed });
}
