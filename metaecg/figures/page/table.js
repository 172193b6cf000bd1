// Tables of text, one line a sample and one column a lead.
import { isLead } from "./leads.js";
import { PageError, g, median, rint } from "./numbers.js";

const TIME = ["time", "times", "t", "elapsed time", "seconds", "sec", "timestamp", "milliseconds"];
const COUNT = ["", "sample", "samples", "sample #", "sample number", "sample_number", "sampleno",
  "sample no", "index", "idx", "n", "#", "nseq", "unnamed: 0"]; // prettier-ignore
const TIME_UNITS = { s: 1, sec: 1, second: 1, seconds: 1, ms: 1e3, msec: 1e3, milliseconds: 1e3,
  us: 1e6, "µs": 1e6, "μs": 1e6 }; // prettier-ignore
const MISSING = ["", "nan", "na", "n/a", "#n/a", "null", "none", "-"];
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** The number in a cell: NaN of a missing sample, null of anything else. */
function number(cell) {
  if (MISSING.includes(cell.toLowerCase())) return NaN;
  return NUMBER.test(cell) ? Number(cell) : null;
}

const isNumber = (cell) => Number.isFinite(number(cell));

function cells(line, separator) {
  const parts = separator === " " ? line.trim().split(/\s+/) : line.split(separator);
  return parts.map((part) => part.trim().replace(/^["']|["']$/g, "").trim());
}

/** Reads a table's leads; what it does not say is null. */
export function readTable(text, { perMillivolt, known }) {
  let lines = text.replace(/^\ufeff/, "").split(/\r\n|\r|\n/);
  const declared = lines[0].match(/^"?sep=(.)"?\s*$/)?.[1];
  if (declared) lines = lines.slice(1);
  const numbered = lines.map((line, i) => [line, i + (declared ? 2 : 1)]);
  const full = numbered.filter(([line]) => line.trim());
  if (!full.length) throw new PageError("no line of numbers in it");
  const last = full.slice(-Math.min(20, Math.max(1, full.length >> 1))).map(([line]) => line);
  const separator = declared ?? separatorOf(last, full[0][0]);
  const width = cells(last[0], separator).length;
  const numbers = (line) =>
    cells(line, separator).map((cell) => (separator === "," ? cell : cell.replace(",", ".")));
  let first = full.findIndex(([line]) => {
    const row = numbers(line);
    return row.length === width && row.some(isNumber) && !line.startsWith("#");
  });
  if (first < 0) throw new PageError("no line of numbers in it");
  if (isLead(cells(full[first][0], separator)[0], known)) {
    throw new PageError("one line a lead; this page reads one line a sample, so turn the table");
  }
  const head = full.slice(0, first).map(([line]) => cells(line.replace(/^#\s*/, ""), separator));
  const columns = Array.from({ length: width }, () => new Float64Array(full.length - first));
  full.slice(first).forEach(([line, at], i) => {
    const row = numbers(line);
    if (row.length !== width) {
      throw new PageError(`line ${at} has ${row.length} columns, the ones before have ${width}`);
    }
    row.forEach((cell, c) => {
      const value = number(cell);
      if (value === null) {
        throw new PageError(`line ${at}, column ${c + 1}: '${cell.slice(0, 40)}' is no number`);
      }
      columns[c][i] = value;
    });
  });
  const between = numbered.slice(full[first][1] - (declared ? 2 : 1)).map(([line]) => line);
  while (between.length && !between.at(-1).trim()) between.pop();
  if (between.length !== full.length - first) {
    throw new PageError("an empty line among the numbers: is a sample missing? remove the line");
  }
  return interpreted(head, columns, separator, perMillivolt);
}

function separatorOf(last, first) {
  for (const separator of ["\t", ";", "|", ",", " "]) {
    const rows = last.map((line) => cells(line, separator));
    const widths = new Set(rows.map((row) => row.length));
    const point = (cell) => (separator === "," ? cell : cell.replace(",", "."));
    const fits = rows.every((row) => row.slice(Number(row.length > 2)).every((c) => number(point(c)) !== null));
    if (widths.size !== 1 || widths.has(1) || !fits) continue;
    const digits = separator === "," && rows.every((row) => row.slice(1).every((c) => /^\d+$/.test(c)));
    const named = cells(first, separator).filter((cell) => !isNumber(cell)).length === 2;
    if (digits && rows[0].length === 2 && !named) {
      throw new PageError(
        "commas may be decimal commas or separate columns; separate the columns by semicolons, " +
          "or write decimal points",
      );
    }
    return separator;
  }
  return " ";
}

function interpreted(head, columns, separator, perMillivolt) {
  const notes = [];
  let before = head;
  let units = columns.map(() => "");
  const bare = (row) => row.map((cell) => cell.replace(/^[([]|[)\]]$/g, ""));
  const isUnit = (cell) => perMillivolt(cell) || cell === "" || TIME_UNITS[cell.toLowerCase()];
  if (before.length > 1 && before.at(-1).length === columns.length && bare(before.at(-1)).every(isUnit)) {
    units = bare(before.at(-1));
    before = before.slice(0, -1);
  }
  let names = null;
  let hz = null;
  if (before.length && before.at(-1).length === columns.length) {
    names = before.at(-1);
    before = before.slice(0, -1);
  } else if (before.length && columns.length > 1 && !said(before.at(-1), separator)) {
    const wrong = before.at(-1).length;
    throw new PageError(`${wrong} names in the first line for ${columns.length} columns`);
  }
  let unread = 0;
  for (const row of before) {
    const [key, value] = said(row, separator) ?? ["", ""];
    const rate = value.match(/^(\d+(?:\.\d+)?)\s*(hertz|hz|sps|samples\b.*|\/s)?\W*$/i);
    if (/^(sampl\w*[ _]?(rate|freq\w*)|fs|hz|rate|frequency)$/i.test(key) && rate) hz = Number(rate[1]);
    else unread += 1;
  }
  if (unread) notes.push({ text: `${unread} lines before the table not read` });
  names = names?.map((name, i) => {
    const split = name.match(/^(.*?)\s*[([]\s*(\S+?)\s*[)\]]$/) ?? name.match(/^(time|t)[_ ](s|sec|seconds|ms|msec|us)$/i);
    if (!split || !isUnit(split[2])) return name;
    units[i] ||= split[2];
    return split[1];
  });
  if (columns.length > 1 && columns.at(-1).every(Number.isNaN) && !names?.at(-1)) {
    columns = columns.slice(0, -1); // each line ends with a separator
    names = names?.slice(0, -1);
  }
  const leads = [];
  let places = null;
  columns.forEach((column, i) => {
    const word = names ? names[i].toLowerCase().trim() : "?";
    if (TIME.includes(word)) {
      [places, hz] = rateOf(column, units[i].toLowerCase());
      notes.push({ text: `${g(hz)} Hz by the column '${names[i]}'` });
    } else if (COUNT.includes(word)) {
      notes.push({ text: `column ${i + 1} (${word || "no name"}) left out: it counts samples` });
      places ??= placesOf(column)[0];
    } else if (column.length > 10 && column.every((x, k) => !k || x > column[k - 1])) {
      throw new PageError(
        `column ${i + 1} rises in each line, as time does: name the columns in a first line, ` +
          "such as 'time (s),I,II', or remove it",
      );
    } else leads.push(i);
  });
  if (!leads.length) throw new PageError("no column of a lead in it");
  const kept = leads.map((i) => spread(columns[i], places));
  const unit = leads.map((i) => units[i]);
  let found = names && leads.map((i) => names[i]);
  if (found?.every((name) => /^\d+$/.test(name))) found = null; // the columns are numbered
  return { columns: kept, hz, units: unit.some(Boolean) ? unit : null, names: found ?? null, notes };
}

function said(row, separator) {
  const match = row.join(separator).match(/^\W*([A-Za-z][A-Za-z _]*?)\s*[,:;=\t|]\s*(\S.*)$/);
  return match && [match[1], match[2]];
}

/** The place of each row on an even grid from 0 on, and the grid's step. */
function placesOf(column) {
  const error = new PageError(
    "the time column does not rise evenly: one rate is wanted, and time in each line",
  );
  const steps = Array.from(column.subarray(1), (x, i) => x - column[i]);
  if (!steps.length || !steps.every((step) => step > 0)) throw error;
  const short = steps.filter((step) => step < 1.5 * median(steps));
  const usual = short.reduce((a, b) => a + b, 0) / short.length;
  const places = [0];
  for (const step of steps) places.push(places.at(-1) + Math.max(1, rint(step / usual)));
  if (places.at(-1) > 1 << 24) throw new PageError("a gap in the time column is too long");
  const step = (column.at(-1) - column[0]) / places.at(-1);
  if (places.some((p, i) => Math.abs(column[i] - column[0] - p * step) > 0.5 * step)) throw error;
  return [places, step];
}

function rateOf(times, unit) {
  const [places, step] = placesOf(times);
  const perSecond = TIME_UNITS[unit] ?? 1;
  const hz = perSecond / step;
  if (!unit && !(hz >= 20 && hz <= 50000)) {
    throw new PageError("the time column's unit is unclear: call it 'time (s)' or 'time (ms)'");
  }
  // Times are rounded in files: a whole rate that fits them as well is meant.
  const off = (each) =>
    places.reduce((most, p, i) => Math.max(most, Math.abs(times[i] - times[0] - p * each)), 0);
  const whole = rint(hz);
  if (whole && off(perSecond / whole) <= 2 * off(step) + 1e-6 * step) return [places, whole];
  return [places, hz];
}

function spread(column, places) {
  if (!places || places.at(-1) === column.length - 1) return column;
  const made = new Float64Array(places.at(-1) + 1).fill(NaN);
  places.forEach((place, i) => (made[place] = column[i]));
  return made;
}
