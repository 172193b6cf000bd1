// From labelled examples to a diagnosis: evidence and warnings, as metaecg.diagnose.diagnoser.
import { aboutLikeness, inBackground } from "./background.js";
import {
  adjusted, distance, outside, recognition, rowAt, sureFrom, threshold,
} from "./calibration.js";
import { PageError, count, dot, g } from "./numbers.js";
import { ridge, softmax } from "./ridge.js";

/** Units [lead][sample] without offsets and of length 1: products are correlations. */
function outline(units) {
  const flat = units.flatMap((lead) => {
    const mean = lead.reduce((a, b) => a + b, 0) / lead.length;
    return Array.from(lead, (x) => x - mean);
  });
  const size = Math.max(Math.sqrt(dot(flat, flat)), 1e-9);
  return Float64Array.from(flat, (x) => x / size);
}

const still = (lead) => lead.every((x) => x === lead[0]);
const WHOLE = 0.9; // share of the time that is read from which on a recording is as good as whole

/** What a recording [window][lead][sample] lacks beside those that were calibrated, or "". */
function incomplete(windows, leads) {
  const gone = leads.filter((_, l) => windows.some((units) => still(units[l])));
  if (gone.length) return `${gone.join(" ")} missing or flat`;
  const samples = windows[0][0].length;
  const ends = windows.map((units) => {
    let end = samples;
    while (end > 1 && units.every((lead) => lead[end - 1] === lead[end - 2])) end -= 1;
    return end;
  });
  const share = Math.min(...ends) / samples;
  return share >= WHOLE ? "" : `it ends after ${(100 * share).toFixed(0)}% of the time that is read`;
}

/** Sentences about the examples as recordings. */
function aboutExamples(examples, model) {
  const found = [];
  const labels = [...new Set(examples.map((each) => each.label))];
  for (const label of labels) {
    if (examples.filter((each) => each.label === label).length === 1) {
      found.push(`${label} has a single example; the answer depends on that one recording`);
    }
  }
  examples.forEach((a, i) =>
    examples.slice(i + 1).forEach((b) => {
      if (dot(a.outline, b.outline) <= model.same_recording) return;
      const [names, once] = [`${a.name} and ${b.name}`, "are the same recording, given"];
      if (a.label === b.label) found.push(`${names} ${once} twice as ${a.label}`);
      else found.push(`${names} ${once} once as ${a.label} and once as ${b.label}; correct the labels`);
    }),
  );
  const remarked = new Map();
  for (const { name, label, notes } of examples) {
    for (const { text, serious } of notes) {
      if (serious) remarked.set(text, [...(remarked.get(text) ?? []), `${name} (${label})`]);
    }
  }
  for (const [text, names] of remarked) {
    const rest = names.length > 3 ? ` and ${names.length - 3} more` : "";
    if (names.length === 1) found.push(`example ${names[0]}: ${text}`);
    else found.push(`${names.length} of ${examples.length} examples, ${names.slice(0, 3).join(", ")}${rest}: ${text}`);
  }
  const rates = [...new Set(examples.map((each) => each.hz))].sort((a, b) => a - b);
  if (rates.length > 1) {
    const listed = rates.map((hz) => {
      const its = examples.filter((each) => each.hz === hz).map((each) => each.label);
      return `${g(hz)} Hz: ${[...new Set(its)].sort().join(", ")}`;
    });
    found.push(
      `the examples were recorded at several rates (${listed.join("; ")}); where a rate goes with ` +
        "a diagnosis, devices may be distinguished instead of hearts",
    );
  }
  return found;
}

const noRate = (model, reason) => model.no_rate.replace("{reason}", reason);

/**
 * Fits labelled examples.
 *
 * @param model what Python wrote into the page (`diagnose.plain`).
 * @param given [{name, label, units, hz, notes, embedding}].
 * @returns a function from a query {units, hz, notes, embedding} to its diagnosis.
 */
export function fit(model, given, errorRate = 0.1) {
  if (!(errorRate > 0 && errorRate < 1)) throw new PageError("the error rate must be between 0 and 1");
  const examples = given.map((each) => ({ ...each, outline: outline(each.windows[0]) }));
  const labels = [...new Set(examples.map((each) => each.label))];
  if (!examples.length) {
    throw new PageError("there is no labelled example; give some of each diagnosis");
  }
  if (labels.length < 2) {
    throw new PageError(
      `all ${examples.length} examples are of one diagnosis, ${labels[0]}; give examples of what it ` +
        "is to be distinguished from, such as normal ECGs",
    );
  }
  const way = labels.length;
  const slots = examples.map((each) => labels.indexOf(each.label));
  const counts = labels.map((_, w) => count(slots, w));
  const shot = 1 / (counts.reduce((sum, c) => sum + 1 / c, 0) / way);
  const { calibration, record } = model;
  const row = rowAt(calibration, way, shot);
  const lacking = examples
    .map((each) => [each.name, incomplete(each.windows, record.leads)])
    .filter(([, why]) => why);
  let unstated = outside(calibration, way, shot);
  if (lacking.length) {
    const [name, why] = lacking[0];
    unstated =
      `${lacking.length} of ${examples.length} examples are incomplete, such as ` +
      `${name} (${why}), and whole recordings were calibrated`;
  }
  const embeddings = examples.map((each) => each.embedding);
  const { background } = model;
  const placed = background && embeddings.map((each) => inBackground(background, each));
  const recognised = recognition(embeddings, slots, way, model.head, row.temperature);
  const heads = [null, ...examples.keys()].map((gone) => {
    const keep = (_, s) => s !== gone;
    return ridge(embeddings.filter(keep), slots.filter(keep), way, model.head);
  });
  const warnings = aboutExamples(examples, model);
  if (unstated) warnings.unshift(noRate(model, unstated));

  function diagnose(query) {
    const [all, ...without] = heads.map((head, h) => {
      const logits = head(query.embedding);
      const slot = slots[h - 1];
      if (h && counts[slot] === 1) logits[slot] = -Infinity;
      return softmax(logits, row.temperature);
    });
    const top = all.indexOf(Math.max(...all));
    const variants = [all, ...without.filter((_, s) => counts[slots[s]] > 1)];
    const distances = embeddings.map((each) => distance(query.embedding, each, calibration.spread));
    const weights = new Array(examples.length);
    labels.forEach((_, w) => {
      const mine = [...slots.keys()].filter((s) => slots[s] === w);
      const near = softmax(mine.map((s) => -(distances[s] ** 2)), row.bandwidth);
      mine.forEach((s, i) => (weights[s] = near[i] * all[w]));
    });
    const evidence = examples.map((_, s) => ({ example: s, weight: weights[s], effect: all[top] - without[s][top] }));
    const gone = incomplete(query.windows, record.leads);
    const stated = !unstated && !gone;
    const limit = threshold(row, errorRate);
    const inside = all.map(
      (p, w) => w === top || 1 - adjusted(p, row, recognised[w]) <= limit || !stated,
    );
    const sure = inside.filter(Boolean).length === 1 && all[top] >= sureFrom(row, errorRate, model.evidence_needed);
    const unlike = stated && background
      ? aboutLikeness(background, row, query.embedding, placed, slots, way)
      : [];
    const ranked = [...all.keys()].sort((a, b) => all[b] - all[a] || a - b);
    return {
      labels,
      probs: all,
      low: labels.map((_, w) => Math.min(...variants.map((each) => each[w]))),
      high: labels.map((_, w) => Math.max(...variants.map((each) => each[w]))),
      answer: stated && sure ? labels[top] : null,
      plausible: ranked.filter((w) => inside[w]).map((w) => labels[w]),
      ranked,
      errorRate: stated ? errorRate : null,
      evidence: evidence.sort((a, b) => b.weight - a.weight || a.example - b.example),
      warnings: [...aboutQuery(query, gone), ...unlike],
    };
  }

  function aboutQuery(query, gone) {
    const found = query.notes.filter((note) => note.serious).map((note) => note.text);
    if (!examples.some((each) => each.hz === query.hz)) {
      found.push(`recorded at ${g(query.hz)} Hz, no example is; all were brought to one rate`);
    }
    if (gone) found.push(noRate(model, `${gone}, and whole recordings were calibrated`));
    const drawn = outline(query.windows[0]);
    for (const { name, label, outline: other } of examples) {
      if (dot(drawn, other) > model.same_recording) {
        found.push(`this recording is among the examples, as ${name} (${label}); the answer proves nothing`);
      }
    }
    if (distance(query.embedding, calibration.mean, calibration.spread) > calibration.strange) {
      found.push(model.strange);
    }
    return found;
  }

  return { labels, counts, warnings, diagnose };
}
