/** A TCP proxy that cuts connections after a number of bytes, as a bad line would: in the middle of an event, of a line, of a header. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface CuttingProxy extends AsyncDisposable {
  url: string;
  /** Connections cut so far. */
  cuts: number;
  /** Bytes that servers sent through it. */
  bytes: number;
  /** From now on nothing is cut. */
  heal(): void;
}

/** `bytes` says, for each connection, after how many bytes from the server it is cut. */
export async function cuttingProxy(target: () => string, bytes: () => number): Promise<CuttingProxy> {
  const open = new Set<Socket>();
  let healed = false;
  const server = createServer((client) => {
    const upstream = connect(Number(new URL(target()).port), '127.0.0.1');
    let left = bytes();
    const end = (): void => {
      client.destroy();
      upstream.destroy();
      open.delete(client);
    };
    open.add(client);
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
    client.pipe(upstream);
    upstream.on('data', (chunk: Buffer) => {
      proxy.bytes += chunk.length;
      if (healed || chunk.length < left) {
        left -= chunk.length;
        client.write(chunk);
        return;
      }
      proxy.cuts++;
      client.write(chunk.subarray(0, left), end);
      upstream.pause();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: CuttingProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cuts: 0,
    bytes: 0,
    heal: () => void (healed = true),
    async [Symbol.asyncDispose]() {
      for (const s of open) s.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
