// Runs the page's program without a browser: a job as JSON on stdin, what it found on stdout.
//
//     node page_program.mjs FOLDER < job.json
//
// FOLDER holds the files of metaecg/figures/page.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(`${process.argv[2]}/${name}.js`));
const { fit } = await load("answer");
const { unpackBackground } = await load("background");
const { fillIn, read } = await load("files");
const { adapt, inWindows } = await load("form");
const { leadName } = await load("leads");
const { withoutPulse } = await load("muse");
const { PageError, g } = await load("numbers");
const { paper } = await load("paper");

const job = JSON.parse(readFileSync(0, "utf-8"));
const nothing = { hz: null, units: null, leads: null };

/** What a function returns, or the one line of a PageError; all else ends the program. */
function tried(act) {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof PageError)) throw error;
    return { error: error.message };
  }
}

function column(each, name) {
  const made = new Float64Array(each.samples).map((_, i) => {
    const at = (sum, [size, period, shift]) => sum + size * Math.sin((2 * Math.PI * (i + shift)) / period);
    return Math.floor(each.leads[name].reduce(at, 0) + 0.5) + (each.offset?.[name] ?? 0);
  });
  for (const [lead, first, count] of each.missing ?? []) {
    if (lead === name) made.fill(NaN, first, first + count);
  }
  const [quiet, step, after] = each.pulse ?? [0, 0, 0];
  const pulse = new Float64Array(quiet + step + after).fill(each.height ?? 1000, quiet, quiet + step);
  return Float64Array.of(...made, ...pulse);
}

const vector = (each) => tried(() => {
  const names = Object.keys(each.leads);
  const columns = names.map((name) => column(each, name));
  const raw = withoutPulse({ columns, hz: each.hz, units: names.map(() => "uV"), names });
  const { units, notes } = adapt(fillIn(raw, nothing, job.leads), each.form);
  return {
    units: units.map((lead) => [...lead]),
    notes: notes.map(({ text, serious }) => [text, Boolean(serious)]),
  };
});

const windowed = (each) => tried(() => {
  const names = Object.keys(each.leads);
  const columns = names.map((name) => column(each, name));
  const raw = { columns, hz: each.hz, units: names.map(() => "uV"), names };
  const { windows, notes } = inWindows(fillIn(raw, nothing, job.leads), each.form);
  return {
    windows: windows.map((units) => units.map((lead) => [...lead])),
    notes: notes.map(({ text, serious }) => [text, Boolean(serious)]),
  };
});

const file = ({ name, bytes, given, beside }) => tried(() => {
  const content = (base64) => new Uint8Array(Buffer.from(base64, "base64"));
  const find = (other) => (beside?.[other] ? content(beside[other]) : null);
  const found = read(name, content(bytes), { ...nothing, ...given }, job.leads, find);
  return {
    ...found,
    columns: found.columns.map((each) => [...each].map((x) => (Number.isNaN(x) ? null : x))),
    notes: found.notes.map(({ text, serious }) => [text, Boolean(serious)]),
  };
});

const answered = ({ model, examples, queries, rate }) => tried(() => {
  const background = unpackBackground(model.background);
  const fitted = fit({ ...model, background }, examples, rate);
  return { warnings: fitted.warnings, found: queries.map(fitted.diagnose) };
});

const each = (list, act) => (list ?? []).map(act);
console.log(
  JSON.stringify({
    vectors: each(job.vectors, vector),
    windows: each(job.windows, windowed),
    files: each(job.files, file),
    answers: each(job.answers, answered),
    names: each(job.names, (name) => leadName(name, job.leads)),
    numbers: each(job.numbers, ([x, digits]) => g(x, digits)),
    papers: each(job.papers, ({ columns, hz, leads, title }) => paper(columns, hz, leads, title)),
  }),
);
