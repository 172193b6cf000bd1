// Files become recordings: which format it is, and what a file does not say of itself.
import { isLead, leadName, remarks, span, upright } from "./leads.js";
import { readMuse } from "./muse.js";
import { PageError, g, median, percentile } from "./numbers.js";
import { readTable } from "./table.js";
import { readWfdb } from "./wfdb.js";

const UNITS_PER_MILLIVOLT = {
  mv: 1, millivolt: 1, millivolts: 1, v: 1e-3, volt: 1e-3, volts: 1e-3, nv: 1e6,
  uv: 1e3, "µv": 1e3, "μv": 1e3, microvolt: 1e3, microvolts: 1e3,
};
const UNITS = ["mV", "uV", "V", "nV"];

/** How many of a unit are one millivolt; 0 where the unit is no voltage. */
export function perMillivolt(unit) {
  return UNITS_PER_MILLIVOLT[unit.trim().toLowerCase()] ?? 0;
}

/**
 * Reads one recording.
 *
 * @param name of the file.
 * @param bytes its content, Uint8Array.
 * @param given {hz, units, leads}: what the user says of files that do not say it; null each.
 * @param known the table of lead names.
 * @param beside a function from a file's name to the bytes of a file given along with it, or null.
 */
export function read(name, bytes, given, known, beside = () => null) {
  const ending = name.toLowerCase().split(".").pop();
  if (!bytes.length) throw new PageError("the file is empty");
  if (ending === "hea") return fillIn(readWfdb(text(bytes), name, beside), given, known);
  if (ending === "xml") return fillIn(readMuse(bytes), given, known);
  if (["csv", "tsv", "txt"].includes(ending)) {
    return fillIn(readTable(text(bytes), { perMillivolt, known }), given, known);
  }
  throw new PageError(
    "this page reads CSV, TSV and TXT, WFDB (the .hea and .dat files together) and MUSE XML; " +
      "metaecg diagnose reads more",
  );
}

/** Text in UTF-8, or in UTF-16 where its first bytes say so. */
export function text(bytes) {
  const start = `${bytes[0]},${bytes[1]}`;
  const wide = { "255,254": "utf-16le", "254,255": "utf-16be" }[start];
  try {
    return new TextDecoder(wide ?? "utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new PageError("no text in UTF-8; save it as 'CSV UTF-8'");
  }
}

/** Fills in what a file left out, and refuses what cannot be an ECG. */
export function fillIn(raw, given, known) {
  const notes = [...(raw.notes ?? [])];
  let columns = raw.columns.map((column) => Float64Array.from(column));
  const unknown = columns.flatMap((_, i) => (raw.units?.[i] ? [] : [i]));
  const silent =
    raw.names && raw.units?.some(perMillivolt)
      ? unknown.filter((i) => isLead(raw.names[i], known))
      : unknown;
  const lacks = [];
  if (!given.hz && !raw.hz) lacks.push("the rate (samples per second)");
  if (!given.units && silent.length) lacks.push("the unit (mV, uV, V or nV)");
  if (!given.leads && !raw.names) lacks.push(`the names of the ${columns.length} leads in order`);
  if (lacks.length) throw new PageError(`the file does not say; give ${lacks.join(", ")}`);
  const hz = raw.hz ?? given.hz;
  if (!(hz >= 20 && hz <= 50000)) {
    throw new PageError(`${g(hz)} Hz: an ECG has 20 to 50000 samples per second`);
  }
  const used = raw.hz ? [] : [`${g(hz)} Hz`];
  const units = columns.map((_, i) => raw.units?.[i] ?? "");
  for (const i of silent) units[i] = given.units;
  if (silent.length) used.push(given.units);
  if (!raw.names) used.push(`leads ${given.leads.join(" ")}`);
  let names = raw.names ?? given.leads;
  if (names.length !== columns.length) {
    throw new PageError(`${names.length} leads are named, the file has ${columns.length}`);
  }
  if (used.length) notes.push({ text: `as given, not in the file: ${used.join(", ")}` });
  const volts = units.flatMap((unit, i) => (perMillivolt(unit) ? [i] : []));
  if (!volts.length) throw new PageError(`units ${units.join(", ")}: none is mV, uV, V or nV`);
  const others = units.flatMap((u, i) => (volts.includes(i) ? [] : `${names[i]} (${u || "no unit"})`));
  if (others.length) notes.push({ text: `left out, no voltage: ${others.join(", ")}` });
  columns = volts.map((i) => columns[i].map((x) => (Number.isFinite(x) ? x / perMillivolt(units[i]) : NaN)));
  const said = [...new Set(volts.map((i) => units[i]))].sort();
  if (said.some((unit) => perMillivolt(unit) !== 1)) notes.push({ text: `${said.join(" ")} to mV` });
  names = volts.map((i) => names[i]);
  const [leads, turned] = upright(columns, names, known);
  notes.push(...turned);
  const samples = columns[0].length;
  if (samples < 0.5 * hz) {
    throw new PageError(`${samples} samples are ${g(samples / hz)} s, too short for an ECG`);
  }
  checkAmplitude(columns, units[volts[0]], silent.length > 0);
  notes.push(...remarks(columns, leads, hz));
  return { columns, hz, leads, notes };
}

/** Refuses a wrong unit: half of the leads span what no heart does. */
function checkAmplitude(columns, unit, asked) {
  if (!columns.some((column) => column.some(Number.isFinite))) {
    throw new PageError("no sample is a number");
  }
  const spans = columns.filter((column) => span(column) > 0).map((column) => {
    const sorted = column.filter(Number.isFinite).sort();
    return percentile(sorted, 99) - percentile(sorted, 1);
  });
  if (!spans.length) throw new PageError("all leads are flat");
  const middle = median(spans);
  if (middle >= 0.005 && middle <= 100) return;
  const number = middle * perMillivolt(unit);
  const fits = UNITS.find((u) => number / perMillivolt(u) >= 0.05 && number / perMillivolt(u) <= 30);
  const looks = fits ? `looks like ${fits.replace("uV", "µV")} read as ${unit}` : "no ECG";
  let remedy = "are these raw counts? convert them to mV";
  if (!asked) remedy = "the unit or gain in the file is likely wrong";
  else if (fits) remedy = `give the unit ${fits}`;
  throw new PageError(`the signal spans ${g(middle, 3)} mV: ${looks}; ${remedy}`);
}

/** The names of leads in a line that a user wrote. */
export function leadsFrom(line, known) {
  const names = line.split(/[\s,;]+/).filter(Boolean);
  return names.length ? names.map((name) => leadName(name, known)) : null;
}
