// GE MUSE XML: the rhythm strip, never the representative beats.
import { PageError, g } from "./numbers.js";

function inside(xml, tag) {
  return [...xml.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, "g"))].map((m) => m[1]);
}

function one(xml, tag, what = tag) {
  const [found] = inside(xml, tag);
  if (found === undefined) throw new PageError(`MUSE XML without ${what}`);
  return found.trim();
}

/** Reads the leads that the file holds, in its units, from the bytes of a file. */
export function readMuse(bytes) {
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 200));
  const encoding = start.match(/encoding=["']([\w-]+)["']/)?.[1] ?? "utf-8";
  let xml;
  try {
    xml = new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new PageError(`the XML is not in the encoding that it names, ${encoding}`);
  }
  xml = xml.replace(/<!--[\s\S]*?-->/g, "");
  if (!/<RestingECG[\s>]/.test(xml)) {
    throw new PageError("XML of another kind than GE MUSE; metaecg diagnose reads more");
  }
  const rhythm = inside(xml, "Waveform").find((w) => /rhythm/i.test(one(w, "WaveformType")));
  if (!rhythm) throw new PageError("MUSE XML without a rhythm strip; its median beats are not read");
  const hz = Number(one(rhythm, "SampleBase")) * 10 ** Number(inside(rhythm, "SampleExponent")[0] ?? 0);
  const leads = inside(rhythm, "LeadData");
  if (!leads.length || !(hz > 0)) throw new PageError("MUSE XML without leads or without a rate");
  const columns = leads.map((lead) => {
    const id = one(lead, "LeadID");
    const size = Number(inside(lead, "LeadSampleSize")[0] ?? 2);
    if (size !== 2) throw new PageError(`lead ${id}: samples of ${size} bytes, 2 are read`);
    const samples = decoded(one(lead, "WaveFormData"), id);
    const wanted = Number(inside(lead, "LeadSampleCountTotal")[0] ?? samples.length);
    if (samples.length !== wanted) {
      throw new PageError(`lead ${id}: ${samples.length} of ${wanted} samples`);
    }
    const step = Number(one(lead, "LeadAmplitudeUnitsPerBit"));
    return Array.from(samples, (x) => x * step);
  });
  if (new Set(columns.map((column) => column.length)).size > 1) {
    throw new PageError("its leads differ in length");
  }
  const usual = { MICROVOLTS: "uV", MILLIVOLTS: "mV" };
  const units = leads.map((lead) => {
    const said = one(lead, "LeadAmplitudeUnits");
    return usual[said.toUpperCase()] ?? said;
  });
  return withoutPulse({ columns, hz, units, names: leads.map((lead) => one(lead, "LeadID")) });
}

/** What a machine's file holds, without a calibration pulse at its end: all leads step by 1 mV. */
export function withoutPulse(raw) {
  const perMillivolt = { mV: 1, uV: 1000 }[raw.units[0]];
  const { columns, hz } = raw;
  if (!perMillivolt || raw.units.some((unit) => unit !== raw.units[0]) || columns.length < 2) return raw;
  const last = columns[0].length - 1;
  let first = last, low = 0, high = 0;
  for (let i = last; i > last - Math.trunc(2 * hz) && i >= 0; i -= 1) {
    const above = columns.map((column) => (column[i] - column[last]) / perMillivolt);
    const middle = above.reduce((a, b) => a + b, 0) / above.length;
    const spread = Math.max(...above) - Math.min(...above);
    // Samples before it may be alike by chance, but not of its height.
    if (spread > 0.01 || middle < -0.05 || middle > 1.05) break;
    [first, low, high] = [i, Math.min(low, ...above), Math.max(high, ...above)];
  }
  if (!(Math.abs(high - low - 1) < 0.05)) return raw; // NaN where samples are missing
  const seconds = g((last + 1 - first) / hz);
  const note = { text: `the calibration pulse at its end, ${seconds} s, is cut off`, serious: false };
  return { ...raw, columns: columns.map((column) => column.slice(0, first)), notes: [note] };
}

function decoded(base64, id) {
  let binary;
  try {
    binary = atob(base64.replace(/\s+/g, ""));
  } catch {
    throw new PageError(`lead ${id}: its samples are no base64`);
  }
  const bytes = Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Int16Array.from({ length: bytes.length >> 1 }, (_, i) => view.getInt16(2 * i, true));
}
