// From a recording to the form that the model reads: docs/specification.md, step by step.
import { complete, place, span, withoutOffsets } from "./leads.js";
import { PageError, g, interp, longestRun, rint } from "./numbers.js";
import { bandpass, resample } from "./signal.js";

const LONGEST_GAP = 0.2; // s
const OFFSET = 0.1; // mV
const MOST_WINDOWS = 6;

function fillGaps(column, hz, lead) {
  const missing = Array.from(column, (x) => !Number.isFinite(x));
  const longest = longestRun(column.length, (i) => missing[i]);
  if (!longest) return [column, 0];
  if (longest > LONGEST_GAP * hz) {
    throw new PageError(
      `${g(longest / hz)} s of samples of lead ${lead} are missing (NaN) at a stretch; ` +
        `at most ${LONGEST_GAP} s are interpolated`,
    );
  }
  const known = [...missing.keys()].filter((i) => !missing[i]);
  const values = known.map((i) => column[i]);
  const filled = column.map((x, i) => (missing[i] ? interp(i, known, values) : x));
  return [filled, missing.filter(Boolean).length];
}

function note(notes, text, serious = false) {
  if (!notes.some((each) => each.text === text)) notes.push({ text, serious });
}

/**
 * Brings a recording into the model's form.
 *
 * @param recording {columns, hz, leads, notes}: one array of mV a lead, NaN where one is missing.
 * @param form {hz, samples, leads, scale, bandpass} as the model's `record`.
 * @returns {units, notes}: whole units of `scale` mV, one Int16Array a lead.
 */
export function adapt(recording, form) {
  const { hz } = recording;
  const [kept, names, done] = complete(recording.columns, recording.leads, form.leads);
  const missing = form.leads.filter((lead) => !names.includes(lead));
  if (missing.length === form.leads.length) {
    const [has, reads] = [recording.leads.join(" "), form.leads.join(" ")];
    throw new PageError(`has leads ${has}, the model reads ${reads}`);
  }
  const notes = [...recording.notes];
  done.forEach((each) => note(notes, each.text));
  const whole = kept[0].length;
  const samples = Math.ceil((form.samples / form.hz) * hz);
  const offsets = withoutOffsets(kept, samples);
  const large = names.flatMap((name, i) =>
    Math.abs(offsets[i]) >= OFFSET && form.leads.includes(name)
      ? [`${name} ${g(offsets[i], 2)} mV`]
      : [],
  );
  if (large.length) note(notes, `constant offset removed: ${large.join(", ")}`);
  if (samples < whole) note(notes, `first ${g(form.samples / form.hz)} of ${g(whole / hz)} s`);
  let gaps = 0;
  let columns = form.leads.map((lead) => {
    if (missing.includes(lead)) return new Float64Array(Math.min(samples, whole));
    const [filled, count] = fillGaps(kept[place(names, lead)].slice(0, samples), hz, lead);
    gaps += count;
    return filled;
  });
  if (gaps) note(notes, `${gaps} missing samples interpolated`, true);
  if (form.bandpass) columns = columns.map((column) => bandpass(column, hz, ...form.bandpass));
  if (hz !== form.hz) {
    columns = columns.map((column) => resample(column, hz, form.hz));
    note(notes, `${g(hz)} Hz to ${g(form.hz)} Hz`);
  }
  const have = columns[0].length;
  if (have > form.samples) note(notes, `first ${form.samples} of ${have} samples`);
  if (have < form.samples) {
    note(notes, `${have} samples padded with zeros to ${form.samples}`, true);
  }
  const units = columns.map((column) => quantised(column, form));
  const flat = form.leads.filter((_, i) => span(units[i]) === 0);
  if (flat.length === form.leads.length) throw new PageError("all leads are flat");
  const still = flat.filter((lead) => !missing.includes(lead));
  if (still.length) note(notes, `flat: ${still.join(" ")}`, true);
  if (form.bandpass) note(notes, `band-pass ${form.bandpass.map((f) => g(f)).join("–")} Hz`);
  if (whole / hz < (form.samples - 1) / form.hz) {
    note(notes, `only ${g(whole / hz)} of the ${g(form.samples / form.hz)} s that the model reads`);
  }
  if (missing.length) {
    const which = missing.join(" ");
    note(notes, `MISSING LEADS ${which}: read as zero, so that the answer may be wrong`, true);
  }
  if (hz < form.hz) note(notes, `nothing above ${g(hz / 2)} Hz is in it, the model expects it`, true);
  return { units, notes };
}

/** Windows of a recording that follow each other; one, as it is, if it does not hold two. */
function pieces(recording, seconds) {
  const { columns, hz } = recording;
  const count = Math.min(MOST_WINDOWS, Math.floor(columns[0].length / (seconds * hz) + 1e-6));
  if (count < 2) return [recording];
  return Array.from({ length: count }, (_, w) => {
    const start = Math.floor(w * seconds * hz + 0.5);
    const cut = (column) => column.slice(start, start + Math.ceil(seconds * hz));
    return { ...recording, columns: columns.map(cut) };
  });
}

/**
 * Brings a recording into the model's form, a long one window by window.
 *
 * @returns {windows, notes}: of each window units as of `adapt`, and the notes on all of them.
 */
export function inWindows(recording, form) {
  const seconds = form.samples / form.hz;
  const all = pieces(recording, seconds);
  const [found, notes, failed] = [[], [], []];
  for (const piece of all) {
    try {
      const { units, notes: said } = adapt(piece, form);
      found.push(units);
      said.forEach((each) => note(notes, each.text, each.serious));
    } catch (error) {
      if (!(error instanceof PageError)) throw error;
      failed.push(error);
    }
  }
  if (!found.length) throw failed[0];
  if (all.length > 1) {
    const whole = recording.columns[0].length / recording.hz;
    if (whole > all.length * seconds + 1 / recording.hz) {
      note(notes, `first ${g(all.length * seconds)} of ${g(whole)} s`);
    }
    note(notes, `read in ${found.length} windows of ${g(seconds)} s, their embeddings averaged`);
  }
  if (failed.length) {
    const text = `${failed.length} of ${all.length} windows left out, the first for: ${failed[0].message}`;
    note(notes, text, true);
  }
  return { windows: found, notes };
}

function quantised(column, form) {
  const units = new Int16Array(form.samples);
  const count = Math.min(column.length, form.samples);
  for (let i = 0; i < count; i += 1) {
    const unit = rint(column[i] / form.scale);
    if (!(Math.abs(unit) <= 32767)) {
      throw new PageError(
        `amplitude of ${g(Math.abs(unit) * form.scale)} mV is beyond ±${g(32767 * form.scale)} mV; ` +
          "the gain or unit in the header is likely wrong",
      );
    }
    units[i] = unit;
  }
  return units;
}

/** Units [lead][sample] as the model's input: float32 [samples, leads] in mV, flat. */
export function millivolts(units, scale) {
  const [leads, step] = [units.length, Math.fround(scale)];
  const made = new Float32Array(units[0].length * leads);
  units.forEach((lead, l) => lead.forEach((unit, i) => (made[i * leads + l] = unit * step)));
  return made;
}
