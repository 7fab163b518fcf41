// What /metrics says, and what follows from two readings of it.

const kLine = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)/i;

// Map from name to [{labels, value}].
export function parseMetrics(text) {
  const families = new Map();
  for (const line of text.split('\n')) {
    const found = line.startsWith('#') ? null : kLine.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, name, value] of (found[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[name] = value;
    if (!families.has(found[1])) families.set(found[1], []);
    families.get(found[1]).push({ labels, value: Number(found[3].replace('+Inf', 'Infinity')) });
  }
  return families;
}

// Of all its series.
export const total = (metrics, name) => (metrics.get(`gemma4_${name}`) ?? []).reduce((sum, { value }) => sum + value, 0);
export function largest(metrics, name) {
  return Math.max(0, ...(metrics.get(`gemma4_${name}`) ?? []).map(({ value }) => value));
}

// How much a counter grew; a server that started anew counts from zero.
export function growth(before, after, name) {
  const grown = total(after, name) - total(before, name);
  return grown < 0 ? total(after, name) : grown;
}

// Upper bound to cumulative count, of all series of a histogram.
function buckets(metrics, name) {
  const counts = new Map();
  for (const { labels, value } of metrics.get(`gemma4_${name}_bucket`) ?? []) {
    const bound = labels.le === '+Inf' ? Infinity : Number(labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return counts;
}

// Quantiles `of` (each 0 to 1) of what a histogram saw between two readings, straight within a
// bucket as Prometheus does; null each when it saw nothing.
export function quantiles(before, after, name, of) {
  const old = buckets(before, name);
  const now = [...buckets(after, name)].sort(([a], [b]) => a - b);
  const isNew = now.some(([bound, count]) => count < (old.get(bound) ?? 0));  // a server that started anew
  const counts = now.map(([bound, count]) => [bound, count - (isNew ? 0 : old.get(bound) ?? 0)]);
  const all = counts.length ? counts.at(-1)[1] : 0;
  return of.map((quantile) => {
    if (all <= 0) return null;
    const rank = quantile * all;
    const at = counts.findIndex(([, count]) => count >= rank);
    const [bound, count] = counts[at];
    const [lower, below] = at > 0 ? counts[at - 1] : [0, 0];
    if (bound === Infinity) return lower;
    return lower + (bound - lower) * (count > below ? (rank - below) / (count - below) : 1);
  });
}
