/** How long a body may take to arrive, with timers that the test lets run out. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { TreeRequest, TreeSubmitted } from '../../src/engine/views.ts';
import { BodyTimeouts } from '../../src/server/http/body-timeouts.ts';
import { startHttpServer } from '../../src/server/http/server.ts';
import { FakeEngine } from '../support/fake-engine.ts';

class TakingEngine extends FakeEngine {
  taken = 0;
  readonly #waiting: { n: number; go: () => void }[] = [];

  override async trySubmitTree({ elements, ...r }: TreeRequest): Promise<TreeSubmitted> {
    const all: unknown[] = [];
    for await (const e of elements) {
      all.push(e);
      this.taken++;
      for (const w of this.#waiting) if (w.n <= this.taken) w.go();
    }
    return super.trySubmitTree({ ...r, elements: all });
  }

  has(n: number): Promise<void> {
    return n <= this.taken ? Promise.resolve() : new Promise((go) => this.#waiting.push({ n, go }));
  }
}

interface Bench {
  engine: TakingEngine;
  /** The timers that run now, each with its limit. */
  timers: { ms: number; fire: () => void }[];
  /** Resolves with the next timer that is set. */
  armed(): Promise<void>;
  send(head: string): Promise<{ socket: Socket; answer: Promise<string> }>;
}

async function bench(t: TestContext): Promise<Bench> {
  const engine = new TakingEngine();
  const timers: Bench['timers'] = [];
  const waiting: (() => void)[] = [];
  const timer = (ms: number, fn: () => void): (() => void) => {
    const entry = {
      ms,
      fire: () => {
        timers.splice(timers.indexOf(entry), 1);
        fn();
      },
    };
    timers.push(entry);
    for (const go of waiting.splice(0)) go();
    return () => void (timers.includes(entry) && timers.splice(timers.indexOf(entry), 1));
  };
  const server = await startHttpServer({ engine, port: 0, now: Date.now, timer });
  t.after(() => server.close());
  const sockets: Socket[] = [];
  t.after(() => sockets.forEach((s) => s.destroy()));
  return {
    engine,
    timers,
    armed: () => (timers.length > 0 ? Promise.resolve() : new Promise((go) => waiting.push(go))),
    send: async (head) => {
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
      sockets.push(socket);
      await once(socket, 'connect');
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
      const answer = once(socket, 'close').then(() => text);
      socket.write(head);
      return { socket, answer };
    },
  };
}

const head = (type: string, more = 'transfer-encoding: chunked'): string =>
  `POST /v1/${type === 'application/json' ? 'tasks' : 'trees'} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\n${more}\r\n\r\n`;
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
const LINES = 'application/x-ndjson';
const line = (n: number): string => chunk(`{"name":"s${n}","handler":"h"}\n`);

test('lines that keep coming are taken, however long they take', async (t) => {
  const b = await bench(t);
  const { socket } = await b.send(head(LINES));
  await b.armed();
  for (let n = 1; n <= 10; n++) {
    socket.write(line(n));
    await b.engine.has(n);
    assert.deepEqual(
      b.timers.map((x) => x.ms),
      [30_000],
    );
    b.timers[0].fire();
  }
  socket.write('0\r\n\r\n');
  const [first] = (await once(socket, 'data')) as [Buffer];
  assert.match(first.toString(), /^HTTP\/1\.1 201 /);
  assert.deepEqual(b.timers, []);
});

test('lines that stop coming are cut, and whoever sent them is told', async (t) => {
  const b = await bench(t);
  const { socket, answer } = await b.send(head(LINES));
  await b.armed();
  socket.write(line(1));
  await b.engine.has(1);
  b.timers[0].fire();
  // Nothing since then.
  b.timers[0].fire();
  assert.match(
    await answer,
    /^HTTP\/1\.1 408 Request Timeout\r\n(.+\r\n)*connection: close\r\n\r\n\{"error":\{"code":"INVALID_INPUT","message":"the request took too long to arrive"/,
  );
  assert.deepEqual([b.timers, b.engine.calls.filter((c) => c.verb === 'submitTree')], [[], []]);
});

test('nobody is cut for our slowness: what has arrived and is not taken yet is no silence, and neither is a body that is complete', () => {
  const request = Object.assign(new EventEmitter(), { complete: false, readableLength: 0, socket: { bytesRead: 500 }, headers: { 'content-length': '9000' } });
  const response = { headersSent: false };
  let look: (() => void) | undefined;
  let expired = 0;
  const timer = (_: number, fn: () => void): (() => void) => {
    look = fn;
    return () => (look = undefined);
  };
  const timeouts = new BodyTimeouts({ limitMs: 1, timer, expired: () => expired++ });
  timeouts.watch(request as unknown as IncomingMessage, response as ServerResponse);
  timeouts.streamed(request as unknown as IncomingMessage);
  const outcomes: [change: () => void, cut: number][] = [
    [() => (request.readableLength = 70), 0],
    [() => {}, 0],
    [() => (request.readableLength = 0), 1],
    [() => (request.socket.bytesRead = 501), 1],
    [() => (request.complete = true), 1],
  ];
  for (const [change, cut] of outcomes) {
    change();
    const fire = look!;
    fire();
    assert.equal(expired, cut, String(change));
  }
  request.emit('close');
  assert.equal(look, undefined);
  timeouts.watch(Object.assign(request, { headers: {} }) as unknown as IncomingMessage, response as ServerResponse);
  assert.equal(look, undefined, 'no body, no timer');
});

test('a body that is read as a whole has to be there in time, also if it keeps coming', async (t) => {
  const b = await bench(t);
  const { socket, answer } = await b.send(head('application/json', 'content-length: 1000'));
  await b.armed();
  socket.write('{"name":');
  assert.equal(b.timers.length, 1);
  b.timers[0].fire();
  assert.match(await answer, /^HTTP\/1\.1 408 /);
  assert.deepEqual([b.timers, b.engine.calls], [[], []]);
});

test('a body that nobody takes is cut after its answer; one that has arrived has no timer left', async (t) => {
  const b = await bench(t);
  const late = await b.send('GET /v1/tasks HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n');
  const [text] = (await once(late.socket, 'data')) as [Buffer];
  assert.match(text.toString(), /^HTTP\/1\.1 200 /);
  b.timers[0].fire();
  assert.doesNotMatch(await late.answer, /408/);
  const body = '{"name":"order_fulfillment","namespace":"orders","version":"1.0.0"}';
  const whole = await b.send(head('application/json', `content-length: ${body.length}`) + body);
  const [created] = (await once(whole.socket, 'data')) as [Buffer];
  assert.match(created.toString(), /^HTTP\/1\.1 201 /);
  assert.deepEqual(b.timers, []);
});
