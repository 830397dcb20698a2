/** The README's sample, compiled: what `results` holds and what is refused. Never run. */
import { z } from 'zod';
import { template } from '../../src/sdk/template.ts';
import type { StepError } from '../../src/core/errors.ts';
import type { Tutti } from '../../src/sdk/tutti.ts';
import type { Equal, Expect } from './expect.ts';

const order = template('orders/order_fulfillment@1.0.0', { input: z.object({ orderId: z.string(), amount: z.number() }) })
  .step('validate', async ({ input }) => ({ ok: input.amount > 0 }))
  .step('reserve', { after: ['validate'] }, async ({ results }) => ({ hold: results.validate.ok }))
  .step('notify', { after: ['validate'], retry: { maxAttempts: 1 } }, async () => 'sent')
  .step('ship', { after: { reserve: 'required', notify: 'optional' } }, async ({ results }) => ({ notified: results.notify }));

declare const tutti: Tutti;
const task = await tutti.submit(order, { orderId: 'A1', amount: 12 });
const result = await task.result();

type Notified =
  | { readonly state: 'complete'; readonly value: string }
  | { readonly state: 'error'; readonly error: { readonly code: string; readonly message: string; readonly retryable: boolean; readonly stack?: string } }
  | { readonly state: 'cancelled'; readonly reason: string }
  | { readonly state: 'resolved_manually' };
export type Checks = [Expect<Equal<typeof result, { readonly ship: { readonly notified: Notified } }>>];
export const error: StepError = { code: 'x', message: 'y', retryable: true };

// @ts-expect-error the input's amount is a number
await tutti.submit(order, { orderId: 'A1', amount: '12' });
// @ts-expect-error the input lacks its amount
await tutti.submit(order, { orderId: 'A1' });
