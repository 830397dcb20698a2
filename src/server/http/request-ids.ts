/** Every answer names its request: by the caller's own `x-request-id` where that is usable, else by a number no other start gives. */
import type { IncomingMessage } from 'node:http';

const USABLE = /^[\w.:/+=-]{1,128}$/;

export function requestIds(startedAt: number): (request: IncomingMessage) => string {
  const boot = startedAt.toString(36);
  let last = 0;
  return (request) => {
    const given = request.headers['x-request-id'];
    return typeof given === 'string' && USABLE.test(given) ? given : `${boot}-${(++last).toString(36)}`;
  };
}
