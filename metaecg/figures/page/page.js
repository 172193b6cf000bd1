// What the reader sees and does: files are dropped, embedded, diagnosed and drawn.
import { fit } from "./answer.js";
import { unpackBackground } from "./background.js";
import { startEmbedding } from "./embedding.js";
import { leadsFrom, read } from "./files.js";
import { inWindows } from "./form.js";
import { PageError, g, percent } from "./numbers.js";
import { paper } from "./paper.js";

const EVIDENCE = 3; // examples shown with an answer
const $ = (id) => document.getElementById(id);

/** An element with properties and children; all text is text, never markup. */
function el(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** The files of a drop, those of folders with the folder's name. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) {
    return [...transfer.files].map((file) => ({ file, folder: "" }));
  }
  const found = [];
  async function walk(entry, folder) {
    if (entry.isFile) {
      found.push({ file: await new Promise((done, fail) => entry.file(done, fail)), folder });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!some.length) return;
      for (const each of some) await walk(each, entry.name);
    }
  }
  for (const entry of entries) await walk(entry, "");
  return found;
}

const chosen = (input) =>
  [...input.files].map((file) => ({ file, folder: file.webkitRelativePath.split("/").at(-2) ?? "" }));

class Page {
  constructor(model, embed) {
    Object.assign(this, { model, embed, examples: [], queries: [], failed: [] });
  }

  /** Reads recordings; what a WFDB header names is looked for in the same folder. */
  async read(files) {
    const given = {
      hz: Number($("hz").value) || null,
      units: $("units").value || null,
      leads: leadsFrom($("leads").value, this.model.lead_names),
    };
    const key = (folder, name) => `${folder}/${name}`.toLowerCase();
    const contents = new Map();
    for (const { file, folder } of files) {
      contents.set(key(folder, file.name), new Uint8Array(await file.arrayBuffer()));
    }
    const headers = files.filter(({ file }) => /\.hea$/i.test(file.name));
    const stems = headers.map(({ file, folder }) => key(folder, file.name.replace(/\.hea$/i, "")));
    const found = [];
    for (const { file, folder } of files) {
      const stem = key(folder, file.name.replace(/\.[^.]*$/, ""));
      if (file.name.startsWith(".") || (!/\.hea$/i.test(file.name) && stems.includes(stem))) continue;
      try {
        const beside = (name) => contents.get(key(folder, name)) ?? null;
        const bytes = contents.get(key(folder, file.name));
        const recording = read(file.name, bytes, given, this.model.lead_names, beside);
        const { windows, notes } = inWindows(recording, this.model.record);
        const embedding = await this.embed(windows);
        found.push({ name: file.name, folder, windows, notes, hz: recording.hz, embedding });
      } catch (error) {
        if (!(error instanceof PageError)) console.error(error);
        this.failed.push(`${file.name}: ${error.message}`);
      }
    }
    return found;
  }

  async add(files, asExamples) {
    this.busy("Reading …");
    document.body.dataset.reading = "yes";
    this.failed = [];
    if (!asExamples) this.queries.push(...(await this.read(files)));
    else {
      const label = $("label").value.trim();
      for (const each of await this.read(files)) {
        const named = each.folder || label;
        if (named) this.examples.push({ ...each, label: named });
        else this.failed.push(`${each.name}: write its diagnosis first, or give a folder that bears it`);
      }
    }
    this.show();
    delete document.body.dataset.reading;
  }

  busy(text) {
    $("state").textContent = text;
  }

  show() {
    const { examples, queries } = this;
    $("failed").replaceChildren(...this.failed.map((text) => warning(text, "Not read: ")));
    const labels = [...new Set(examples.map((each) => each.label))];
    $("examples").replaceChildren(
      ...labels.map((label) => {
        const mine = examples.filter((each) => each.label === label);
        const names = mine.map((each) => each.name).join(", ");
        const remove = el("button", { type: "button", textContent: "remove" });
        remove.onclick = () => {
          this.examples = examples.filter((each) => each.label !== label);
          this.show();
        };
        return el("li", {}, el("strong", { textContent: `${label} (${mine.length})` }), ` ${names} `, remove);
      }),
    );
    $("answers").replaceChildren();
    try {
      const rate = Number($("rate").value) / 100;
      if (!queries.length) this.busy("Give recordings to diagnose.");
      else this.answer(fit(this.model, examples, rate));
    } catch (error) {
      if (!(error instanceof PageError)) throw error;
      this.busy(`${error.message}.`);
    }
  }

  answer(fitted) {
    this.busy(
      `Candidates: ${fitted.labels.map((l, w) => `${l} (${fitted.counts[w]})`).join(", ")}. ` +
        "No other diagnosis can be answered, even where it is the true one.",
    );
    $("answers").append(...fitted.warnings.map((text) => warning(text)));
    this.last = this.queries.map((query) => ({ name: query.name, ...fitted.diagnose(query) }));
    this.queries.forEach((query, i) => $("answers").append(this.card(query, this.last[i])));
  }

  ecg({ windows, name }, title = name) {
    const { hz, leads, scale } = this.model.record;
    const columns = windows[0].map((lead) => Float64Array.from(lead, (unit) => unit * scale));
    const figure = el("figure", { className: "wide", tabIndex: 0 });
    figure.innerHTML = paper(columns, hz, leads, title);
    return figure;
  }

  card(query, found) {
    const top = found.ranked[0];
    let said = "Unsure.";
    if (found.answer) said = `${found.answer}, probability ${percent(found.probs[top])}.`;
    else if (found.errorRate && found.plausible.length === 1) {
      said = `Unsure: ${found.plausible[0]} is not certain enough to be answered.`;
    }
    const grounds = found.errorRate
      ? `Plausible: ${found.plausible.join(", ")}. Answers and lists like these are wrong in about ` +
        `${percent(found.errorRate)} of recordings like those of the validation, if the true diagnosis ` +
        "is among the candidates."
      : "No rate of errors can be stated, so that no candidate is excluded.";
    const remove = el("button", { type: "button", textContent: "remove" });
    remove.onclick = () => {
      this.queries = this.queries.filter((each) => each !== query);
      this.show();
    };
    return el(
      "section",
      { className: "case" },
      el("h2", {}, query.name, " ", remove),
      el(
        "div",
        { className: found.answer ? "answer" : "answer unsure" },
        el("p", {}, el("strong", { textContent: said })),
        el("p", { textContent: grounds }),
      ),
      ...found.warnings.map((text) => warning(text)),
      this.ecg(query),
      table(found),
      el("h3", { textContent: "Examples behind the answer" }),
      el("p", {
        textContent:
          "Weight: share of the answer by likeness to the recording. What the probability is " +
          "without an example was computed with it left out.",
      }),
      ...found.evidence.slice(0, EVIDENCE).map((each) => this.evidence(each, found.labels[top])),
      el("h3", { textContent: "What was done to the recording" }),
      query.notes.length
        ? el("ul", {}, ...query.notes.map(({ text }) => el("li", { textContent: text })))
        : el("p", { textContent: "Nothing: it was in the model's form." }),
    );
  }

  evidence({ example, weight, effect }, top) {
    const { label, name } = this.examples[example];
    const points = Math.abs(100 * effect);
    const change = `would be ${points.toFixed(1)} points ${effect > 0 ? "lower" : "higher"}`;
    const without = points >= 0.05 ? change : "would stay the same";
    const title = `${label} — ${name}`;
    const figure = this.ecg(this.examples[example], title);
    figure.append(
      el("figcaption", {
        textContent: `${title}: weight ${percent(weight)}; without it the probability of ${top} ${without}`,
      }),
    );
    return figure;
  }
}

function warning(text, before = "Warning: ") {
  const said = el("p", {}, el("strong", { textContent: before }), text);
  return el("div", { className: "warning" }, said);
}

function table(found) {
  const head = ["diagnosis", "plausible", "probability", "range"];
  const rows = found.ranked.map((w) => {
    const bar = el("span", { className: "bar" });
    bar.style.width = `${100 * found.probs[w]}%`;
    const inside = found.plausible.includes(found.labels[w]);
    if (!inside) bar.classList.add("no");
    return el(
      "tr",
      {},
      el("th", { scope: "row", textContent: found.labels[w] }),
      el("td", { textContent: inside ? "yes" : "no" }),
      el("td", { className: "n" }, percent(found.probs[w], 1), bar),
      el("td", { className: "n", textContent: `${percent(found.low[w], 1)} – ${percent(found.high[w], 1)}` }),
    );
  });
  const cells = head.map((text) => el("th", { scope: "col", textContent: text }));
  const made = el("table", {}, el("thead", {}, el("tr", {}, ...cells)), el("tbody", {}, ...rows));
  return el("div", { className: "wide" }, made);
}

function listen(page) {
  for (const [zone, asExamples] of [["support", true], ["query", false]]) {
    const add = (files) => page.add(files, asExamples);
    $(zone).ondragover = (event) => event.preventDefault();
    $(zone).ondrop = async (event) => {
      event.preventDefault();
      await add(await dropped(event.dataTransfer));
    };
    for (const input of $(zone).querySelectorAll("input[type=file]")) {
      input.onchange = async () => {
        await add(chosen(input));
        input.value = "";
      };
    }
  }
  $("rate").onchange = () => page.show();
  window.ondragover = window.ondrop = (event) => event.preventDefault();
}

/** Labelled examples that came with the page: units of the model's scale, base64. */
async function includedExamples(embed) {
  const found = [];
  for (const each of JSON.parse($("included").textContent)) {
    const bytes = Uint8Array.from(atob(each.units), (letter) => letter.charCodeAt(0));
    const all = new Int16Array(bytes.buffer);
    const size = all.length / each.leads / each.windows;
    const lead = (n) => all.slice(n * size, (n + 1) * size);
    const windows = Array.from({ length: each.windows }, (_, w) =>
      Array.from({ length: each.leads }, (_, l) => lead(w * each.leads + l)),
    );
    found.push({ ...each, windows, folder: "", embedding: await embed(windows) });
  }
  return found;
}

async function start() {
  const model = JSON.parse($("model").textContent);
  if (model.background) model.background = unpackBackground(model.background);
  const { hz, samples, leads } = model.record;
  $("about").textContent =
    `The model reads ${leads.length} leads (${leads.join(" ")}), ${g(samples / hz)} s at ${g(hz)} Hz; ` +
    "other recordings are brought to this form. Nothing leaves this page: no request is made to any server.";
  const page = new Page(model, await startEmbedding(model));
  page.examples.push(...(await includedExamples(page.embed)));
  listen(page);
  page.show();
  document.body.dataset.ready = "yes";
  window.metaecg = page;
}

start().catch((error) => {
  $("state").textContent = `This browser cannot run the page: ${error.message}`;
});
