/**
 * orders/order_fulfillment@1.0.0: validate → reserve_inventory → process_payment → ship_order, with a parallel notify that may fail.
 *
 * Works on a file of orders (examples/data/orders.json). Every field of the input has a default, so `{}` fulfils the orders of that file.
 */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { PermanentError, RetryableError, template } from 'tutti';
import { z } from 'zod';

const DATA = join(import.meta.dirname, 'data');

const Line = z.object({ sku: z.string(), quantity: z.int().min(1) });
const OrderFile = z.object({
  stock: z.record(z.string(), z.object({ name: z.string(), on_hand: z.int().min(0), grams: z.int().min(1), cents: z.int().min(0) })),
  orders: z.array(
    z.object({
      id: z.string(),
      customer: z.string(),
      email: z.string(),
      country: z.string(),
      card: z.string(),
      lines: z.array(Line).min(1),
    }),
  ),
});
type OrderFile = z.infer<typeof OrderFile>;

const input = z.object({
  orders_file: z.string().default('orders.json').describe('A file in examples/data'),
  order_id: z.string().default('all').describe('One order of the file, or "all"'),
  pace_ms: z.int().min(0).max(60_000).default(200).describe('How long each call to the imagined outside world takes'),
  gateway_hiccups: z.int().min(0).max(10).default(0).describe('Attempts of process_payment that meet an unreachable gateway'),
});

const load = async (name: string): Promise<OrderFile> => {
  // A task comes from outside: it may name a file of the samples, not a path.
  if (name !== basename(name)) throw new PermanentError(`orders_file must be the name of a file in examples/data, not ${JSON.stringify(name)}`);
  let text: string;
  try {
    text = await readFile(join(DATA, name), 'utf8');
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') throw new PermanentError(`there is no file ${name} in examples/data`);
    throw e;
  }
  return OrderFile.parse(JSON.parse(text));
};

/** The check digit that card numbers carry. */
const luhn = (card: string): boolean => {
  const digits = [...card].reverse().map(Number);
  return /^\d{12,19}$/.test(card) && digits.reduce((sum, d, i) => sum + (i % 2 === 0 ? d : d < 5 ? d * 2 : d * 2 - 9), 0) % 10 === 0;
};

const euros = (cents: number): string => `${(cents / 100).toFixed(2)} EUR`;

export const orderFulfillment = template('orders/order_fulfillment@1.0.0', {
  description: 'Validates orders, reserves stock, takes payment and ships; customers are notified meanwhile.',
  input,
})
  .step('validate', { timeout: '30s' }, async ({ input, signal }) => {
    const { orders, stock } = await load(input.orders_file);
    const chosen = orders.filter((o) => input.order_id === 'all' || o.id === input.order_id);
    if (chosen.length === 0) throw new PermanentError(`${input.orders_file} has no order ${input.order_id}`);
    await wait(input.pace_ms, undefined, { signal });
    const accepted: { id: string; customer: string; email: string; country: string; lines: { sku: string; quantity: number }[]; cents: number }[] = [];
    const rejected: { id: string; reason: string }[] = [];
    for (const { card, ...order } of chosen) {
      const unknown = order.lines.find((l) => stock[l.sku] === undefined);
      const reason = unknown
        ? `unknown article ${unknown.sku}`
        : !/^[^\s@]+@[^\s@]+$/.test(order.email)
          ? `${order.email} is no mail address`
          : !luhn(card)
            ? 'the card number is mistyped'
            : null;
      if (reason === null) accepted.push({ ...order, cents: order.lines.reduce((sum, l) => sum + stock[l.sku].cents * l.quantity, 0) });
      else rejected.push({ id: order.id, reason });
    }
    return { accepted, rejected };
  })
  .step('reserve_inventory', { after: ['validate'], timeout: '30s' }, async ({ input, results, signal }) => {
    const { stock } = await load(input.orders_file);
    const left = new Map(Object.entries(stock).map(([sku, s]) => [sku, s.on_hand]));
    await wait(input.pace_ms, undefined, { signal });
    const reserved: string[] = [];
    const backordered: { id: string; sku: string; missing: number }[] = [];
    for (const order of results.validate.accepted) {
      const short = order.lines.find((l) => (left.get(l.sku) ?? 0) < l.quantity);
      if (short) {
        backordered.push({ id: order.id, sku: short.sku, missing: short.quantity - (left.get(short.sku) ?? 0) });
        continue;
      }
      for (const l of order.lines) left.set(l.sku, (left.get(l.sku) ?? 0) - l.quantity);
      reserved.push(order.id);
    }
    return { reserved, backordered, left: Object.fromEntries(left) };
  })
  .step('notify', { after: ['validate'], retry: { maxAttempts: 1 }, timeout: '30s' }, async ({ input, results, progress, signal }) => {
    const sent: { to: string; text: string }[] = [];
    const { accepted } = results.validate;
    for (const order of accepted) {
      await wait(input.pace_ms / 2, undefined, { signal });
      sent.push({ to: order.email, text: `Dear ${order.customer}, we have your order ${order.id} of ${euros(order.cents)}.` });
      progress(sent.length / accepted.length, `${sent.length} of ${accepted.length} messages`);
    }
    return { sent };
  })
  .step(
    'process_payment',
    {
      after: ['validate', 'reserve_inventory'],
      timeout: '30s',
      retry: { maxAttempts: 5, backoff: 'exponential', baseMs: 400, maxMs: 5000 },
    },
    async ({ input, results, attempt, signal }) => {
      await wait(input.pace_ms, undefined, { signal });
      if (attempt <= input.gateway_hiccups) throw new RetryableError('the payment gateway did not answer');
      const reserved = new Set(results.reserve_inventory.reserved);
      const payments = results.validate.accepted
        .filter((o) => reserved.has(o.id))
        // The reference is made of the order alone: a second attempt after a crash charges nobody twice.
        .map((o) => ({ id: o.id, cents: o.cents, reference: `PAY-${o.id}` }));
      return { payments, cents: payments.reduce((sum, p) => sum + p.cents, 0) };
    },
  )
  .step(
    'ship_order',
    {
      after: { validate: 'required', process_payment: 'required', notify: 'optional' },
      timeout: '30s',
    },
    async ({ input, results, signal }) => {
      const { stock } = await load(input.orders_file);
      await wait(input.pace_ms, undefined, { signal });
      const paid = new Set(results.process_payment.payments.map((p) => p.id));
      const parcels = results.validate.accepted
        .filter((o) => paid.has(o.id))
        .map((o) => ({
          id: o.id,
          country: o.country,
          grams: o.lines.reduce((sum, l) => sum + stock[l.sku].grams * l.quantity, 0),
          tracking: `TR-${o.country}-${o.id}`,
        }));
      return { parcels, taken: euros(results.process_payment.cents), notified: results.notify.state === 'complete' };
    },
  );
