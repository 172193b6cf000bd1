// WFDB records of one segment: a header and the files of samples that it names.
import { PageError, g } from "./numbers.js";

const PLAIN = {
  16: [2, (view, at) => view.getInt16(at, true), -32768],
  61: [2, (view, at) => view.getInt16(at, false), -32768],
  80: [1, (view, at) => view.getUint8(at) - 128, -128],
  160: [2, (view, at) => view.getUint16(at, true) - 32768, -32768],
  32: [4, (view, at) => view.getInt32(at, true), -(2 ** 31)],
};
const LINE = /^(\S+)\s+(\d+)(x\d+)?(:\d+)?(?:\+(\d+))?(?:\s+(.*))?$/;

/** Reads the leads of a header's text; `beside` gives the bytes of the files that it names. */
export function readWfdb(text, name, beside) {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const [record, ...signals] = lines.filter((line) => line && !line.startsWith("#"));
  const [title, number, rate, length] = (record ?? "").split(/\s+/);
  if (!/^\d+$/.test(number ?? "")) throw new PageError("no WFDB record line");
  if (title.includes("/")) throw new PageError("of several segments; give the segments");
  if (signals.length !== Number(number)) {
    throw new PageError(`${signals.length} signal lines for ${number} signals`);
  }
  const channels = signals.map(channel);
  if (!channels.some((each) => each.checksum)) channels.forEach((each) => delete each.checksum);
  const notes = [];
  if (!rate) notes.push({ text: "no rate in the file: 250 Hz is assumed", serious: true });
  const bare = channels.filter((each) => !each.calibrated).map((each) => each.name || "?");
  if (bare.length) {
    const which = bare.join(" ").slice(0, 200);
    notes.push({ text: `no gain in the header for ${which}: 200 units per mV are assumed`, serious: true });
  }
  if (channels.some((each) => each.checksum === undefined)) notes.push({ text: "no checksum" });
  else if (channels.some((each) => each.format === 32)) {
    notes.push({ text: "checksum of the lowest 16 of 32 bits" });
  }
  const columns = new Array(channels.length);
  for (const file of new Set(channels.map((each) => each.file))) {
    const sharing = [...channels.keys()].filter((i) => channels[i].file === file);
    const digital = samples(file, sharing.map((i) => channels[i]), Number(length) || 0, beside);
    sharing.forEach((i, column) => {
      columns[i] = physical(digital[column], channels[i]);
    });
  }
  const hz = rate ? Number(rate.split("/")[0]) : 250;
  if (!(hz > 0)) throw new PageError(`a rate of ${g(hz)} Hz`);
  const names = channels.map((each) => each.name);
  return { columns, hz, units: channels.map((each) => each.unit), names: names.every(Boolean) ? names : null, notes };
}

function channel(line) {
  const match = line.match(LINE);
  if (!match) throw new PageError(`no WFDB signal line: '${line.slice(0, 60)}'`);
  const [, file, format, frames, skew, offset, rest] = match;
  if (frames || skew) throw new PageError("several samples a frame or a skew; metaecg diagnose reads them");
  if (/[/\\:]/.test(file) || file.startsWith("..")) {
    throw new PageError(`points outside its folder: '${file}'`);
  }
  const words = (rest ?? "").split(/\s+/);
  const gain = (words[0] ?? "").match(/^([-+.\deE]+)(?:\((-?\d+)\))?(?:\/(\S+))?$/);
  const calibrated = gain !== null && Number(gain[1]) !== 0;
  return {
    file,
    format: Number(format),
    offset: Number(offset ?? 0),
    gain: calibrated ? Number(gain[1]) : 200,
    baseline: Number(gain?.[2] ?? words[2] ?? 0),
    unit: gain?.[3] ?? "mV",
    checksum: words[4] === undefined ? undefined : Number(words[4]),
    name: words.slice(6).join(" "),
    calibrated,
  };
}

/** The samples of the channels that share a file, as they are stored. */
function samples(file, channels, length, beside) {
  const bytes = beside(file);
  if (!bytes) throw new PageError(`${file}: missing; give it together with its header`);
  const { format, offset } = channels[0];
  if (channels.some((each) => each.format !== format || each.offset !== offset)) {
    throw new PageError(`${file}: its signals differ in format or offset`);
  }
  const content = bytes.subarray(offset);
  const width = format === 212 ? 1.5 : PLAIN[format]?.[0];
  if (!width) throw new PageError(`${file}: format ${format}; metaecg diagnose reads it`);
  const frames = length || Math.floor(content.length / (width * channels.length));
  if (content.length < Math.floor(frames * width * channels.length) || !frames) {
    const least = Math.floor(frames * width * channels.length) + offset;
    throw new PageError(`${file}: truncated, ${bytes.length} of ${least} bytes`);
  }
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  const value = format === 212 ? (k) => packed(content, k) : (k) => PLAIN[format][1](view, k * width);
  const missing = format === 212 ? -2048 : PLAIN[format][2];
  return channels.map((each, c) => {
    const column = Float64Array.from({ length: frames }, (_, i) => value(i * channels.length + c));
    const total = column.reduce((a, b) => a + b, 0);
    if (each.checksum !== undefined && (total - each.checksum) % 65536 !== 0) {
      const [is, says] = [total, each.checksum].map((x) => ((x % 65536) + 65536) % 65536);
      throw new PageError(`${file}: checksum of ${each.name} is ${is}, the header has ${says}`);
    }
    return column.map((x) => (x === missing ? NaN : x));
  });
}

/** Sample k of format 212: two of 12 bits in three bytes. */
function packed(bytes, k) {
  const at = 3 * (k >> 1);
  const twelve = k % 2 ? ((bytes[at + 1] & 0xf0) << 4) | bytes[at + 2] : ((bytes[at + 1] & 0x0f) << 8) | bytes[at];
  return twelve > 2047 ? twelve - 4096 : twelve;
}

function physical(digital, each) {
  return digital.map((x) => (x - each.baseline) / each.gain);
}
