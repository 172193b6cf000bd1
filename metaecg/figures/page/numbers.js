// Numbers as Python writes and rounds them, and small statistics.

export class PageError extends Error {}

/** Rounds to the nearest whole number, halves to the even one, as numpy.rint. */
export function rint(x) {
  const low = Math.floor(x);
  const over = x - low;
  if (over !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

/** A number as Python's format(x, ".{digits}g"). */
export function g(x, digits = 6) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
  if (x === 0) return "0";
  const [mantissa, exponent] = x.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  const bare = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (power < -4 || power >= digits) {
    const shown = String(Math.abs(power)).padStart(2, "0");
    return `${bare(mantissa)}e${power < 0 ? "-" : "+"}${shown}`;
  }
  return bare(Number(x).toFixed(Math.max(0, digits - 1 - power)));
}

export function percent(x, digits = 0) {
  return `${(100 * x).toFixed(digits)}%`;
}

/** The median of the numbers that are finite; 0 where none is. */
export function median(values) {
  const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
  const half = sorted.length >> 1;
  if (!sorted.length) return 0;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** A percentile of sorted numbers, as numpy's default. */
export function percentile(sorted, share) {
  const at = (share / 100) * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

/** As numpy.interp: `at` between rising places `known`, the ends held. */
export function interp(at, known, values) {
  if (at <= known[0]) return values[0];
  const last = known.length - 1;
  if (at >= known[last]) return values[last];
  let i = 0;
  while (known[i + 1] < at) i += 1;
  const share = (at - known[i]) / (known[i + 1] - known[i]);
  return values[i] + share * (values[i + 1] - values[i]);
}

/** The longest run of places 0 … count − 1 for which `is` holds. */
export function longestRun(count, is) {
  let longest = 0;
  let run = 0;
  for (let i = 0; i < count; i += 1) {
    run = is(i) ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return longest;
}

/** A number of equal entries in a list. */
export function count(list, entry) {
  return list.filter((each) => each === entry).length;
}

/** The inner product of two lists. */
export function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
  return sum;
}
