/** Edits (insert, delete, replace, swap of neighbours) that turn one word into the other. */
export const editDistance = (a: string, b: string): number => {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, rows[i - 2][j - 2] + 1);
      row[j] = best;
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
};

/** The candidate that a person most likely meant; null when nothing is near. Ties go to the earlier candidate. */
export const nearestName = (name: string, candidates: Iterable<string>): string | null => {
  const wanted = name.toLowerCase().replaceAll('-', '_');
  let best: string | null = null;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    const known = candidate.toLowerCase();
    const allowed = Math.max(1, Math.floor(Math.max(wanted.length, known.length) / 3));
    // It takes no fewer edits than that, and counting them takes the product of the lengths: one of them may be a stranger's.
    const least = Math.abs(wanted.length - known.length);
    const distance = least > allowed ? least : editDistance(wanted, known);
    // A word cut short or run on ("size" for "channel_size") is far in edits and near in meaning.
    const contained = wanted.length >= 3 && (known.includes(wanted) || (known.length >= 3 && wanted.includes(known)));
    if ((distance <= allowed || contained) && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
};
