// Names of leads, and what leads say of each other.
import { PageError, count, dot, g, longestRun, median } from "./numbers.js";

const LIMB = { I: [1, 0], II: [0, 1], III: [-1, 1], aVR: [-0.5, -0.5], aVL: [1, -0.5], aVF: [-0.5, 1] };

/** The usual spelling of a lead, by the table that Python writes into the page. */
export function leadName(name, known) {
  const upper = name.toUpperCase().split(/\s+/).filter(Boolean).join(" ").slice(0, 200);
  return spelled(upper, known) ?? upper;
}

function spelled(upper, known) {
  if (Object.hasOwn(known.names, upper)) return known.names[upper];
  for (const [patterns, turn] of [[known.turned, true], [known.same, false]]) {
    for (const pattern of patterns) {
      const match = upper.match(new RegExp(`^(?:${pattern})$`));
      const inner = match && spelled(match[1], known);
      if (!inner) continue;
      if (!turn) return inner;
      return inner.startsWith("-") ? inner.slice(1) : `-${inner}`;
    }
  }
  return null;
}

/** Whether a name is that of a lead, inverted or not. */
export function isLead(name, known) {
  return Object.values(known.names).includes(leadName(name, known).replace(/^-/, ""));
}

/** Turns the leads whose names say that they are inverted; changes columns and names in place. */
export function upright(columns, names, known) {
  const usual = names.map((name) => leadName(name, known));
  const turned = [];
  const found = usual.map((name, i) => {
    const bare = name.slice(1);
    if (!name.startsWith("-") || !isLead(bare, known) || usual.includes(bare)) return name;
    turned.push(name);
    columns[i] = columns[i].map((x) => -x);
    return bare;
  });
  const note = `inverted in the file, turned upright: ${turned.join(" ")}`;
  return [found, turned.length ? [{ text: note }] : []];
}

/** Adds the limb leads that are wanted and that two others determine. */
export function complete(columns, leads, wanted) {
  const keep = leads.map((_, i) => columns[i].some(Number.isFinite));
  const notes = leads.filter((_, i) => !keep[i]).map((l) => ({ text: `lead ${l} has no samples` }));
  const kept = columns.filter((_, i) => keep[i]);
  const names = leads.filter((_, i) => keep[i]);
  const unread = names.filter((name) => !wanted.includes(name));
  const pair = Object.keys(LIMB).filter((lead) => count(names, lead) === 1).slice(0, 2);
  const derived = wanted.filter((lead) => LIMB[lead] && !names.includes(lead));
  if (derived.length && pair.length === 2) {
    const [[a, b], [c, d]] = pair.map((lead) => LIMB[lead]);
    const [x, y] = pair.map((lead) => kept[names.indexOf(lead)]);
    for (const lead of derived) {
      const [p, q] = LIMB[lead];
      const [u, v] = [(p * d - q * c) / (a * d - b * c), (q * a - p * b) / (a * d - b * c)];
      kept.push(x.map((each, i) => u * each + v * y[i]));
      names.push(lead);
    }
    notes.push({ text: `${derived.join(" ")} computed from ${pair.join(" and ")}` });
  }
  if (unread.length) notes.push({ text: `not read by the model: ${unread.join(" ")}` });
  return [kept, names, notes];
}

/** What a reader should know: missing samples, flat leads, leads that contradict each other. */
export function remarks(columns, leads, hz) {
  const notes = [];
  const serious = (text) => notes.push({ text, serious: true });
  const missing = columns.map((column) => column.filter(Number.isNaN).length);
  const all = missing.reduce((a, b) => a + b, 0);
  if (all) {
    const which = leads.filter((_, i) => missing[i]).join(" ");
    serious(`${all} missing samples (NaN) in ${which}`);
  }
  const still = leads.flatMap((lead, i) => {
    const [x, steps] = [columns[i], columns[i].length - 1];
    const run = longestRun(steps, (k) => x[k + 1] - x[k] === 0);
    return run >= hz && run < steps ? [`${lead} ${g((run + 1) / hz, 2)} s`] : [];
  });
  if (still.length) serious(`without any change for ${still.join(", ")}: are samples missing?`);
  const flat = leads.filter((_, i) => span(columns[i]) === 0);
  if (flat.length) serious(`flat: ${flat.join(" ")}`);
  const rows = [];
  for (let k = 0; k < Math.min(Math.round(60 * hz), columns[0].length); k += 1) {
    if (columns.every((column) => Number.isFinite(column[k]))) rows.push(k);
  }
  if (rows.length < hz) return notes;
  const at = (lead) => {
    const values = rows.map((k) => columns[leads.indexOf(lead)][k]);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return values.map((value) => value - mean);
  };
  const limbs = Object.keys(LIMB).filter((lead) => leads.includes(lead));
  if (limbs.length > 2 && contradict(limbs, limbs.map(at))) {
    serious(
      `${limbs.join(" ")} contradict each other (III is II − I, aVR is −(I + II)/2): ` +
        "are the leads in the order of their names, and recorded together at one gain?",
    );
  }
  if (leads.includes("I") && leads.includes("V6")) {
    const [one, six] = [at("I"), at("V6")];
    if (dot(one, six) < -0.5 * Math.sqrt(dot(one, one) * dot(six, six))) {
      serious("lead I runs against V6: are the arm electrodes swapped?");
    }
  }
  return notes;
}

function contradict(limbs, measured) {
  let [aa, ab, bb] = [0, 0, 0];
  for (const lead of limbs) {
    const [a, b] = LIMB[lead];
    [aa, ab, bb] = [aa + a * a, ab + a * b, bb + b * b];
  }
  const det = aa * bb - ab * ab;
  let [off, size] = [0, 0];
  for (let k = 0; k < measured[0].length; k += 1) {
    let [x, y] = [0, 0];
    limbs.forEach((lead, i) => {
      x += LIMB[lead][0] * measured[i][k];
      y += LIMB[lead][1] * measured[i][k];
    });
    const [p, q] = [(bb * x - ab * y) / det, (aa * y - ab * x) / det];
    limbs.forEach((lead, i) => {
      off += (measured[i][k] - LIMB[lead][0] * p - LIMB[lead][1] * q) ** 2;
      size += measured[i][k] ** 2;
    });
  }
  return off > 0.01 * size;
}

/** Greatest less least of the numbers that are finite; NaN where none is. */
export function span(column) {
  let [low, high] = [Infinity, -Infinity];
  for (const x of column) if (Number.isFinite(x)) [low, high] = [Math.min(low, x), Math.max(high, x)];
  return high >= low ? high - low : NaN;
}

/** Leaves each lead without its median of the first samples; returns these medians. */
export function withoutOffsets(columns, samples) {
  const offsets = columns.map((column) => median(column.slice(0, samples)));
  columns.forEach((column, i) => {
    columns[i] = column.map((x) => x - offsets[i]);
  });
  return offsets;
}

/** The one place of a lead among names. */
export function place(names, lead) {
  const there = count(names, lead);
  if (there !== 1) {
    throw new PageError(`lead ${lead} is there ${there} times; the record has ${names.join(" ")}`);
  }
  return names.indexOf(lead);
}
