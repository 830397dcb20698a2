/**
 * A client in a process of its own: submits over HTTP, and notes in its own file what the server acknowledged. Now and then it reads
 * a task back and notes what it saw complete. It lives through every kill of the server.
 *
 *   node submitting-client.ts <port> <log file> <most tasks open at once>
 */
import { Agent, request } from 'node:http';
import { LineLog } from './execution-log.ts';
import { TEMPLATES } from './load.ts';

const [port, path, most] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];
const log = new LineLog(path);
const agent = new Agent({ keepAlive: true, maxSockets: 8 });
let stop = false;
process.on('message', (m) => {
  if (m === 'stop') stop = true;
});
process.on('disconnect', () => process.exit(0));

function call(method: string, url: string, body?: unknown): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const r = request(
      {
        host: '127.0.0.1',
        port,
        method,
        path: url,
        agent,
        timeout: 5_000,
        headers: text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      },
      (res) => {
        const parts: Buffer[] = [];
        res.on('data', (d: Buffer) => parts.push(d));
        res.on('end', () => {
          try {
            resolve({ status: res.statusCode ?? 0, body: JSON.parse(Buffer.concat(parts).toString() || 'null') });
          } catch (e) {
            reject(e instanceof Error ? e : new Error('bad answer'));
          }
        });
        res.on('error', reject);
      },
    );
    r.on('error', reject);
    r.on('timeout', () => r.destroy(new Error('timeout')));
    r.end(text);
  });
}

// guard-ok: a load generator of its own process: it paces itself while the server is down, and no test waits on it
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** Acknowledged and not yet seen at their end. */
const open: string[] = [];
let n = 0;

async function submitter(): Promise<void> {
  while (!stop) {
    if (open.length >= most) {
      await pause(5);
      continue;
    }
    const t = TEMPLATES[n++ % TEMPLATES.length];
    try {
      const r = await call('POST', '/v1/tasks', { namespace: t.namespace, name: t.name, version: t.version, context: { n } });
      if (r.status === 201) {
        const id = (r.body as { task_uuid: string }).task_uuid;
        log.write('ack', id, t.name);
        open.push(id);
      } else if (r.status !== 503) log.write('odd', r.status, JSON.stringify(r.body).replaceAll(' ', '_'));
    } catch {
      await pause(10);
    }
  }
}

/** What was seen once must still be so after every later kill. */
async function watcher(): Promise<void> {
  while (!stop) {
    const id = open.shift();
    if (id === undefined) {
      await pause(5);
      continue;
    }
    try {
      const task = (await call('GET', `/v1/tasks/${id}`)).body as { status?: string };
      const steps = (await call('GET', `/v1/tasks/${id}/workflow_steps`)).body as { name: string; current_state: string; results: unknown }[];
      if (Array.isArray(steps)) for (const s of steps) if (s.current_state === 'complete') log.write('saw', Date.now(), id, s.name, JSON.stringify(s.results));
      if (!['complete', 'error', 'cancelled'].includes(task.status ?? '')) open.push(id);
    } catch {
      open.push(id);
      await pause(10);
    }
  }
}

await Promise.all([submitter(), submitter(), submitter(), submitter(), watcher(), watcher()]);
log.close();
process.disconnect?.();
