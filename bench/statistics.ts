/** Small sample statistics. Nothing here knows what is measured. */

/** Linear interpolation between closest ranks; NaN for no values. `q` in 0..1. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = Float64Array.from(values).sort();
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  const high = Math.ceil(at);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Four significant digits, so that a table does not pretend to more than was measured. */
export function significant(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(4)) : value;
}
