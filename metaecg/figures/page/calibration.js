// The calibration between what was fitted, and what it makes of probabilities.
import { count, g, interp } from "./numbers.js";
import { ridge, softmax } from "./ridge.js";

/** Rows known at some places, each of their numbers interpolated. */
function between(rows, known, at) {
  const mix = (values) =>
    Array.isArray(values[0])
      ? values[0].map((_, i) => interp(at, known, values.map((v) => v[i])))
      : interp(at, known, values);
  return Object.fromEntries(Object.keys(rows[0]).map((key) => [key, mix(rows.map((r) => r[key]))]));
}

/** The row of a way and shot, between those fitted, on a logarithmic scale of both. */
export function rowAt(calibration, way, shot) {
  const ways = [...new Set(calibration.rows.map((row) => row.way))].sort((a, b) => a - b);
  const lower = Math.max(...ways.filter((w) => w <= way), ways[0]);
  const upper = Math.min(...ways.filter((w) => w >= way), ways.at(-1));
  const atShot = (w) => {
    const rows = calibration.rows.filter((row) => row.way === w).sort((a, b) => a.shot - b.shot);
    return between(rows, rows.map((row) => Math.log(row.shot)), Math.log(shot));
  };
  const near = [...new Set([lower, upper])].sort((a, b) => a - b);
  return between(near.map(atShot), near.map(Math.log), Math.log(way));
}

/** Why no rate can be stated for a way and shot; empty where one can. */
export function outside(calibration, way, shot) {
  const ways = [...new Set(calibration.rows.map((row) => row.way))].sort((a, b) => a - b);
  if (way < ways[0] || way > ways.at(-1)) {
    const fitted = ways.length > 1 ? `${ways[0]} to ${ways.at(-1)}` : `${ways[0]}`;
    return `there are ${way} candidates, and the calibration was fitted for ${fitted}`;
  }
  const near = [Math.max(...ways.filter((w) => w <= way)), Math.min(...ways.filter((w) => w >= way))];
  const shots = near.map((w) => calibration.rows.filter((r) => r.way === w).map((r) => r.shot));
  const least = Math.max(...shots.map((each) => Math.min(...each)));
  const most = Math.min(...shots.map((each) => Math.max(...each)));
  if (shot >= least && shot <= most) return "";
  return (
    `there are about ${g(shot, 3)} examples of each of ${way} candidates, and the calibration was ` +
    `fitted for ${g(least)} to ${g(most)}`
  );
}

/** The score up to which a label is plausible. */
export function threshold(row, errorRate) {
  const places = row.scores.map((_, i) => i / (row.scores.length - 1));
  return interp(1 - errorRate, places, row.scores);
}

/** The probability from which on an answer is given; Infinity if none. */
export function sureFrom(row, errorRate, needed) {
  const enough = row.risks.map((risk, i) =>
    row.counts.length ? row.counts[i] >= needed : risk <= errorRate,
  );
  let chosen = Infinity;
  for (let level = enough.lastIndexOf(true); level >= 0; level -= 1) {
    if (row.risks[level] > errorRate) break;
    chosen = level / (row.risks.length - 1);
  }
  return chosen;
}

const FOLDS = 5;

const logOdds = (p) => {
  const kept = Math.min(Math.max(p, 1e-6), 1 - 1e-6);
  return Math.log(kept / (1 - kept));
};

/** How well the examples of each label are recognised when they are left out; NaN of a single one. */
export function recognition(embeddings, slots, way, head, temperature) {
  const counts = Array.from({ length: way }, (_, w) => count(slots, w));
  const rounds = Math.min(FOLDS, Math.max(...counts));
  const round = slots.map((slot, s) => (counts[slot] > 1 ? count(slots.slice(0, s), slot) % rounds : -1));
  const odds = new Array(slots.length).fill(NaN);
  for (let one = 0; one < rounds; one += 1) {
    const keep = (_, s) => round[s] !== one;
    const answer = ridge(embeddings.filter(keep), slots.filter(keep), way, head);
    round.forEach((mine, s) => {
      if (mine === one) odds[s] = logOdds(softmax(answer(embeddings[s]), temperature)[slots[s]]);
    });
  }
  return counts.map((of, w) => {
    const mine = odds.filter((_, s) => slots[s] === w);
    return mine.reduce((a, b) => a + b, 0) / of;
  });
}

/** A probability judged against how well its label is recognised at all. */
export function adjusted(p, row, recognised) {
  const beyond = Number.isNaN(recognised) ? 0 : recognised - row.usual;
  return 1 / (1 + Math.exp(row.slope * beyond - logOdds(p)));
}

/** Root mean square difference of embeddings in units of the training part's spread. */
export function distance(a, b, spread) {
  const sum = spread.reduce((total, each, d) => total + ((a[d] - b[d]) / each) ** 2, 0);
  return Math.sqrt(sum / spread.length);
}
