/** A lean HTTP/1.1 client: one request in flight per kept-alive connection, hand-parsed, so that the server is what is measured. */
import { connect, type Socket } from 'node:net';

export interface LoadRequest {
  port: number;
  path: string;
  headers: Record<string, string>;
  /** Body of request i; undefined: a GET. */
  body: (i: number) => string | undefined;
  count: number;
  connections: number;
  /** Status every answer must have. */
  expect: number;
}

export interface LoadResult {
  perSecond: number;
  /** Milliseconds of each request. */
  latencies: number[];
}

const HEAD_END = Buffer.from('\r\n\r\n');

export async function hammer(load: LoadRequest): Promise<LoadResult> {
  const latencies: number[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    const socket = connect(load.port, '127.0.0.1');
    socket.setNoDelay(true);
    try {
      await new Promise<void>((done, fail) => socket.once('connect', done).once('error', fail));
      while (next < load.count) {
        const start = performance.now();
        const status = await exchange(socket, load, next++);
        latencies.push(performance.now() - start);
        if (status !== load.expect) throw new Error(`wrong result: ${load.path} answered ${status}, not ${load.expect}`);
      }
    } finally {
      socket.destroy();
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: Math.min(load.connections, load.count) }, lane));
  return { perSecond: (load.count / (performance.now() - start)) * 1000, latencies };
}

function exchange(socket: Socket, load: LoadRequest, i: number): Promise<number> {
  const body = load.body(i);
  const headers = Object.entries(load.headers)
    .map(([k, v]) => `${k}: ${v}\r\n`)
    .join('');
  const content = body === undefined ? '' : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`;
  socket.write(`${body === undefined ? 'GET' : 'POST'} ${load.path} HTTP/1.1\r\nhost: localhost\r\n${headers}${content}\r\n${body ?? ''}`);
  return new Promise((done, fail) => {
    let got: Buffer = Buffer.alloc(0);
    const finish = (end: () => void): void => {
      socket.off('data', onData).off('error', onError).off('close', onClose);
      end();
    };
    const onData = (chunk: Buffer): void => {
      got = got.length === 0 ? chunk : Buffer.concat([got, chunk]);
      const head = got.indexOf(HEAD_END);
      if (head < 0) return;
      const text = got.toString('latin1', 0, head);
      const length = /content-length: *(\d+)/i.exec(text);
      const complete = length === null ? got.indexOf('0\r\n\r\n', head) >= 0 : got.length >= head + 4 + Number(length[1]);
      if (complete) finish(() => done(Number(text.slice(9, 12))));
    };
    const onError = (error: Error): void => finish(() => fail(error));
    const onClose = (): void => finish(() => fail(new Error('the server closed the connection')));
    socket.on('data', onData).on('error', onError).on('close', onClose);
  });
}
