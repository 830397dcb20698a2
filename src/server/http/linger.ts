/**
 * Refusing a request whose body is still on its way. Closing at once would reset the connection and the client could lose the answer it
 * is being given; reading all of it would let anybody keep us busy. So: answer, say that nothing more will be sent, and throw away what
 * still arrives, up to a bound.
 */
import type { IncomingMessage } from 'node:http';

const BYTES = 8 * 1024 * 1024;
const SILENCE_MS = 2000;

export function lingerOnClose(request: IncomingMessage): void {
  const { socket } = request;
  let left = BYTES;
  request.on('error', () => {});
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) socket.destroy();
  });
  const destroySoon = socket.destroySoon.bind(socket);
  socket.destroySoon = () => {
    if (request.complete) return destroySoon();
    socket.end();
    request.on('end', destroySoon);
    socket.setTimeout(SILENCE_MS, () => socket.destroy());
  };
}

export const carriesBody = (request: IncomingMessage): boolean =>
  request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
