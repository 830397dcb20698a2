import { template, Tutti } from 'tutti';
import { z } from 'zod';
const order = template('orders/order_fulfillment@1.0.0', { input: z.object({ orderId: z.string(), amount: z.number() }) })
  .step('validate', async ({ input }) => ({ ok: input.amount > 0 }))
  .step('reserve', { after: ['validate'] }, async ({ results }) => ({ hold: results.validate.ok }))
  .step('notify',  { after: ['validate'], retry: { maxAttempts: 1 } }, async () => 'sent')
  .step('ship',    { after: { reserve: 'required', notify: 'optional' } }, async ({ results }) => ({ notified: results.notify }));
const tutti = await Tutti.open({ store: 'orders.db', templates: [order] });
const task = await tutti.submit(order, { orderId: 'A1', amount: 12 });
console.log(await task.result());
await tutti.close();
