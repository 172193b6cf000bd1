// Whether a recording is like any of the candidates at all, as metaecg/diagnose/background.py.
import { dot, interp, percent } from "./numbers.js";

/** A background as the page holds it, its directions [D, K] as bytes. */
export function unpackBackground({ directions, ...rest }) {
  return { directions: Int8Array.from(atob(directions), (letter) => letter.charCodeAt(0)), ...rest };
}

/** An embedding in the space in which the background varies by 1. */
export function inBackground({ directions, scale, offset }, embedding) {
  const sums = new Float64Array(scale.length);
  embedding.forEach((x, d) => {
    const start = d * sums.length;
    for (let k = 0; k < sums.length; k += 1) sums[k] += x * directions[start + k];
  });
  return sums.map((sum, k) => sum * scale[k] - offset[k]);
}

/** How much better the background explains a recording than any label's examples do, all placed. */
function unlikeness(query, examples, slots, way, shared) {
  const square = dot(query, query);
  const ratios = Array.from({ length: way }, (_, w) => {
    const mine = examples.filter((_, s) => slots[s] === w);
    const known = (mine.length * shared) / (mine.length * shared + 1 - shared);
    const mean = (k) => (known * mine.reduce((sum, each) => sum + each[k], 0)) / mine.length;
    const away = query.reduce((sum, x, k) => sum + (x - mean(k)) ** 2, 0);
    const spread = 1 - shared * known;
    return (away / spread - square + query.length * Math.log(spread)) / 2;
  });
  return Math.min(...ratios);
}

/** The warning that a diagnosis may be none of the candidates, in a list; empty without cause. */
export function aboutLikeness(background, row, embedding, examples, slots, way) {
  if (!row.unlike?.length) return [];
  const unlike = unlikeness(inBackground(background, embedding), examples, slots, way, background.shared);
  const shares = row.unlike.map((_, i) => i / (row.unlike.length - 1));
  const likeness = 1 - interp(unlike, row.unlike, shares);
  if (likeness > background.false_alarms) return [];
  return [
    "possibly none of these diagnoses: of recordings whose diagnosis is among the candidates, about " +
      `${percent(likeness)} are as little like any of them`,
  ];
}
