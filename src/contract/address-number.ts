/** A number in an address comes as text: only a whole number written out in digits is one, so not `1e1`, `0x10`, `+5` or ` 10`. */
import { z } from 'zod';

const DIGITS = /^\d{1,15}$/;

export const addressNumber = (min: number, max: number) => {
  const error = `must be an integer from ${min} to ${max}, in digits`;
  return z.preprocess(
    (v) => (typeof v === 'string' && DIGITS.test(v) ? Number(v) : v),
    z.number({ error }).int({ error }).min(min, { error }).max(max, { error }),
  );
};
