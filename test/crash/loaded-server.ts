/**
 * The process that is killed: the engine on a file, a server on a port, handlers of a few to 50 ms. Handlers note in a file of their
 * own when they begin and end, so that the work done can be counted from outside.
 *
 *   node loaded-server.ts <store file> <port> <log file> <life>
 */
import { setTimeout as pause } from 'node:timers/promises';
import { RetryableError, Tutti } from '../../src/main.ts';
import { startHttpServer } from '../../src/server/http/server.ts';
import { LineLog } from './execution-log.ts';
import { SLOTS, TEMPLATES, hash } from './load.ts';
import { realTimer } from '../support/real-timer.ts';

const [store, port, path, life] = [process.argv[2], Number(process.argv[3]), process.argv[4], Number(process.argv[5])];
const log = new LineLog(path);

const tutti = await Tutti.open({
  store,
  slots: SLOTS,
  templates: TEMPLATES.map((definition) => ({ definition })),
  retention: false,
  handlers: {
    'crash.work': async (ctx) => {
      const { taskId, stepName, attempt, maxAttempts } = ctx;
      log.write('begin', life, Date.now(), taskId, stepName, attempt, maxAttempts);
      const kind = hash(`${taskId}/${stepName}`);
      await pause(2 + (kind % 49));
      if (kind < 50 && attempt === 1) {
        log.write('fail', life, taskId, stepName, attempt);
        throw new RetryableError('fails the first time');
      }
      if (kind > 900) await ctx.checkpoint({ attempt });
      log.write('end', life, taskId, stepName, attempt);
      return { by: `${stepName}/${attempt}` };
    },
  },
});
const server = await startHttpServer({ engine: tutti.engine, port, now: () => Date.now(), timer: realTimer });

process.on('message', (m) => {
  if (m === 'metrics') process.send?.({ metrics: tutti.engine.metrics() });
  if (m === 'stop') {
    void server
      .close()
      .then(() => tutti.close())
      .then(() => process.disconnect?.());
  }
});
process.send?.({ ready: true, resumed: tutti.resumed });
