// An ECG on paper, as metaecg.figures.ecg_paper draws it: 25 mm/s, 10 mm/mV, a grid of 1 and 5 mm.
import { g, median } from "./numbers.js";
import { span } from "./leads.js";

const [PER_SECOND, PER_MILLIVOLT, EDGE, PULSE, TITLE, FOOT] = [25, 10, 5, 10, 10, 5]; // mm
const COLUMNS = [["I", "II", "III"], ["aVR", "aVL", "aVF"], ["V1", "V2", "V3"], ["V4", "V5", "V6"]];

/** Of each row: lead, its first and last sample, and where on the paper it starts, in samples. */
function layout(leads, samples, hz) {
  const twelve = COLUMNS.flat();
  if (leads.length !== 12 || !twelve.every((lead) => leads.includes(lead))) {
    return leads.map((_, i) => [[i, 0, samples, 0]]);
  }
  const at = (lead) => leads.indexOf(lead);
  if (samples / hz <= 5) {
    return [0, 1, 2, 3, 4, 5].map((r) => [
      [at(twelve[r]), 0, samples, 0],
      [at(twelve[r + 6]), 0, samples, samples],
    ]);
  }
  const ends = [0, 1, 2, 3, 4].map((c) => Math.round((samples * c) / 4));
  const rows = [0, 1, 2].map((r) => COLUMNS.map((column, c) => [at(column[r]), ends[c], ends[c + 1], ends[c]]));
  return [...rows, [[at("II"), 0, samples, 0]]];
}

function escaped(text) {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/**
 * The paper as SVG, of its size in mm.
 *
 * @param columns one array of mV a lead.
 * @param title written above.
 */
export function paper(columns, hz, leads, title) {
  const samples = Math.min(columns[0].length, Math.round(10 * hz));
  const rows = layout(leads, samples, hz);
  const across = Math.max(...rows.flat().map(([, first, last, start]) => start + last - first)) / hz;
  const width = 5 * Math.ceil(Math.max(2 * EDGE + PULSE + PER_SECOND * across, 60) / 5 - 1e-6);
  const tall = rows.length <= 4 ? 30 : 25;
  const height = TITLE + tall * rows.length + FOOT;
  const parts = [grid(width, height, 1, "#f7dada", 0.09), grid(width, height, 5, "#e6a3a3", 0.16)];
  rows.forEach((row, r) => {
    const base = TITLE + tall * (r + 0.4) + tall * 0.2;
    parts.push(`<path class="trace" d="M${EDGE} ${base}h1.5v-10h5v10h1.5"/>`);
    for (const [lead, first, last, start] of row) {
      const column = columns[lead].slice(0, samples);
      const centre = median(column);
      const x = (i) => EDGE + PULSE + (PER_SECOND * (start + i - first)) / hz;
      const points = [];
      for (let i = first; i <= Math.min(last, samples - 1); i += 1) {
        points.push(`${x(i).toFixed(2)} ${(base - PER_MILLIVOLT * (column[i] - centre)).toFixed(2)}`);
      }
      const name = leads[lead] + (span(column) > 0 ? "" : " (flat)");
      parts.push(`<polyline class="trace" points="${points.join(" ")}"/>`);
      parts.push(`<text x="${x(first) + 1}" y="${base - 11.5}" class="lead">${escaped(name)}</text>`);
      if (start) parts.push(`<path class="cut" d="M${x(first)} ${base - 2}v4"/>`);
    }
  });
  parts.push(`<text x="${EDGE}" y="6.5" class="title">${escaped(title)}</text>`);
  parts.push(`<text x="${EDGE}" y="${height - 1.8}">25 mm/s · 10 mm/mV</text>`);
  const seconds = g(samples / hz);
  const alt = `ECG of ${title}: ${leads.length} leads (${leads.join(", ")}), ${seconds} s`;
  return (
    `<svg class="ecg" role="img" aria-label="${escaped(alt)}" xmlns="http://www.w3.org/2000/svg" ` +
    `width="${width}mm" height="${height}mm" viewBox="0 0 ${width} ${height}">${parts.join("")}</svg>`
  );
}

function grid(width, height, step, colour, pen) {
  let lines = "";
  for (let y = 0; y <= height; y += step) lines += `M0 ${y}H${width}`;
  for (let x = 0; x <= width; x += step) lines += `M${x} 0V${height}`;
  return `<path d="${lines}" stroke="${colour}" stroke-width="${pen}" fill="none"/>`;
}
