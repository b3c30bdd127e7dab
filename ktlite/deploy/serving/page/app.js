// The page: texts or a table in, predictions out.

import { ask, setKey } from "./api.js";
import { decoded, download, rowsOf, written } from "./csv.js";
import { explainer } from "./explanation.js";
import { element, kindOf, texts, typesOf } from "./kinds.js";

const SHOWN = 100; // rows of a table that the page shows; the file has all
const LARGEST = 50e6; // bytes of a table
const LABELS = {
  questions: ["Question", "Text that answers it", "Column with the questions", "Column with the texts"],
  other: ["Texts", "Second texts", "Column with the texts", "Second column, for pairs"],
};
const PLACEHOLDERS = {
  questions: ["One question a line", "The text that the answer is in"],
  other: ["Type or paste texts, one a line", "One a line; each goes with the text beside it"],
};
const TASKS = {
  classification: (noun) => `Says which of these ${a(noun)} is`, multilabel: (noun) => `Says which of these ${a(noun)} has`,
  regression: (noun) => `Predicts a number for each ${noun}`, "token-classification": (noun) => `Finds in ${noun}s`,
  "question-answering": (noun) => `Answers questions from ${a(noun)}`, "sentence-similarity": (noun) => `Says how alike two ${noun}s are`,
  "text-generation": (noun) => `Goes on with ${a(noun)}`, translation: (noun) => `Translates ${a(noun)}`,
  summarization: (noun) => `Sums up ${a(noun)}`, "text2text-generation": (noun) => `Writes a text for ${a(noun)}`,
};
const a = (noun) => (/^[aeiou]/.test(noun) ? "an " : "a ") + noun;
const SHARE_OF_BODY = 0.9; // for files; the rest is what stands between them

const $ = (id) => document.getElementById(id);
let info, kind, table, files = [], results = [], stop = null;

// What is there

async function begin() {
  try {
    info = await ask("info");
  } catch (error) {
    $("key-form").hidden = error.status !== 401;
    $("about").textContent = error.status === 401 ? "This server needs a key." : "";
    if (error.status === 401) $("key").focus();
    if (error.status !== 401 || $("key").value) complain(error.status === 401 ? "That is not the key." : error.message);
    return;
  }
  complain("");
  kind = kindOf(info);
  $("key-form").hidden = true;
  $("form").hidden = false;
  document.title = $("name").textContent = info.name;
  $("about").textContent = about();
  const questions = info.takes === "questions";
  const words = questions ? "questions" : "other";
  [$("first-label"), $("second-label"), $("column-label"), $("column2-label")]
    .forEach((label, i) => { label.textContent = LABELS[words][i]; });
  [$("first"), $("second")].forEach((box, i) => { box.placeholder = PLACEHOLDERS[words][i]; });
  if (questions) {
    document.querySelector(".fields").classList.add("stacked");
    $("first").rows = 2;
    $("second").rows = 8;
  }
  const longest = Math.max(...info.classes.map((name) => String(name).length));
  if (info.classes.length) $("rows").style.setProperty("--names", `${Math.min(24, longest + 1)}ch`);
  $("pairs-label").hidden = info.takes !== "texts" || info.input !== "text" || kind.writes === true;
  if (info.media) takeFiles();
  $("hint").textContent = /Mac|iP/.test(navigator.platform) ? "⌘ Enter" : "Ctrl + Enter";
  showSecond();
  $("first").focus();
}

function about() {
  const names = typesOf(info);
  const listed = names.slice(0, 8).join(", ") + (names.length > 8 ? `, … (${names.length} in all)` : "");
  return (TASKS[info.task]?.(info.noun) ?? info.task) + (names.length ? `: ${listed}` : "");
}

const two = () => info.takes === "questions" || info.takes === "groups" || $("pairs").checked;

function showSecond() {
  $("second-field").hidden = !two();
  $("second").required = two();
  $("column2-field").hidden = info.takes === "tagged";
}

// Files, each of which is an example

function takeFiles() {
  $("first-field").hidden = true;
  $("first").required = false;
  $("file").accept = info.media;
  $("file").multiple = true;
  $("file-label").textContent = `Choose ${info.noun}s…`;
  $("drop").textContent = `Drop ${info.noun}s to predict them`;
}

function choose(chosen) {
  const kindOfFile = info.media.replace("*", "");
  const [fit, others] = [[], []];
  for (const file of chosen) (file.type.startsWith(kindOfFile) ? fit : others).push(file);
  const large = fit.filter((file) => file.size > SHARE_OF_BODY * info.limits.body);
  files.push(...fit.filter((file) => !large.includes(file)));
  complain([
    ...others.map((file) => `${file.name} is no ${info.noun}.`),
    ...large.map((file) => `${file.name} is larger than this server takes.`),
  ].slice(0, 5).join(" "));
  $("file").value = "";
  showFiles();
}

function showFiles() {
  $("pictures").hidden = $("clear").hidden = !files.length;
  $("pictures").replaceChildren(...files.slice(0, SHOWN).flatMap(texts));
}

// Texts that were typed

function typed() {
  if (info.media) {
    if (!files.length) throw new Error(`Choose ${info.noun}s, or drop them here.`);
    return files;
  }
  if (info.input !== "text") return $("first").value.split(/\r?\n/).filter(Boolean).map((line) => JSON.parse(line));
  const lines = (id) => $(id).value.split(/\r?\n/);
  const filled = (line) => line.trim() !== "";
  if (info.takes === "questions") {
    return lines("first").filter(filled).map((question) => ({ question, context: $("second").value }));
  }
  if (!two()) return lines("first").filter(filled);
  const [left, right] = [lines("first").filter(filled), lines("second").filter(filled)];
  if (left.length !== right.length) {
    throw new Error(`There are ${left.length} texts on the left and ${right.length} on the right; each needs its partner.`);
  }
  return left.map((text, i) => [text, right[i]]);
}

// A table

async function open(file) {
  complain("");
  try {
    if (file.size > LARGEST) throw new Error(`${file.name} is larger than 50 MB; use the command "ktlite predict" for it.`);
    const { text, guess } = decoded(await file.arrayBuffer());
    const [head, ...rows] = rowsOf(file.name, text.replace(/^\ufeff/, ""));
    if (!rows.length) throw new Error(`${file.name} has no texts, or no rows below its header.`);
    table = { name: file.name, head, rows };
    $("file-name").textContent = file.name;
    $("file-about").textContent = `${rows.length.toLocaleString("en")} rows${guess && `, read as ${guess}: it is not UTF-8`}`;
  } catch (error) {
    complain(error.message);
    return;
  }
  const choices = table.head.map((name, i) => [name || `column ${i + 1}`, i]);
  const mean = (i) => table.rows.slice(0, 50).reduce((sum, row) => sum + (row[i] ?? "").length, 0);
  const longest = choices.map(([, i]) => i).sort((a, b) => mean(b) - mean(a));
  $("column").replaceChildren(...choices.map(([name, i]) => new Option(name, i)));
  $("column2").replaceChildren(...(two() ? [] : [new Option("none", "")]), ...choices.map(([name, i]) => new Option(name, i)));
  const named = table.head.findIndex((name) => /^(text|sentence|review|content|question)s?$/i.test(name.trim()));
  $("column").value = named >= 0 ? named : longest[0];
  if (two()) $("column2").value = longest.find((i) => String(i) !== $("column").value) ?? longest[0];
  $("form").hidden = true;
  $("table-form").hidden = false;
  $("results").hidden = true;
  preview();
}

function examplesInTable() {
  const [a, b] = [$("column").value, $("column2").value];
  return table.rows.map((row) => {
    const [first, second] = [row[a] ?? "", b === "" ? null : row[b] ?? ""];
    if (!first.trim() || (second !== null && !second.trim())) return null;
    if (info.takes === "questions") return { question: first, context: second };
    return second === null || info.takes === "tagged" ? first : [first, second];
  });
}

function preview() {
  const examples = examplesInTable();
  const full = examples.filter((example) => example !== null);
  $("preview").replaceChildren(...full.slice(0, 3).map((example) =>
    element("li", {}, typeof example === "string" ? example : Object.values(example).join(" | "))));
  $("table-go").textContent = `Predict ${full.length.toLocaleString("en")} rows`;
  $("table-go").disabled = !full.length;
  const empty = examples.length - full.length;
  $("progress-text").textContent = empty ? `${empty.toLocaleString("en")} rows without text are left out` : "";
}

function closeTable() {
  stop?.abort();
  table = null;
  $("file").value = "";
  $("table-form").hidden = true;
  $("form").hidden = false;
  $("results").hidden = true;
  complain("");
  $("first").focus();
}

// Predictions

/** Predicts examples in parts, null for those that are null; what is done stays when one fails. */
async function predict(examples, progress = () => {}) {
  const signal = (stop = new AbortController()).signal;
  const there = examples.flatMap((example, i) => (example === null ? [] : [i]));
  const size = Math.min(64, info.limits.texts);
  const found = examples.map(() => null), remarked = examples.map(() => null);
  results = [];
  complain("");
  try {
    for (let at = 0, part; at < there.length; at += part.length) {
      progress(at, there.length);
      part = there.slice(at, at + size);
      let bytes = 0; // of files; texts have none
      const full = part.findIndex((i) => (bytes += examples[i].size ?? 0) > SHARE_OF_BODY * info.limits.body);
      if (full > 0) part.length = full;
      const { outcomes, remarks = [] } = await kind.ask(part.map((i) => examples[i]), info, signal);
      part.forEach((i, j) => { found[i] = outcomes[j]; remarked[i] = remarks[j] ?? null; });
    }
  } catch (error) {
    if (error.name !== "AbortError") complain(error.message);
  }
  results = examples.map((example, i) =>
    ({ example, outcome: found[i], remark: remarked[i], source: table?.rows[i] }));
  show();
}

function show() {
  const done = results.filter(({ outcome }) => outcome !== null);
  $("results").hidden = !done.length;
  if (!done.length) return;
  $("rows").replaceChildren(...done.slice(0, SHOWN).map(({ example, outcome, remark }) => {
    const item = element("li");
    const parts = kind.show(example, outcome, info);
    const last = parts.pop();
    const button = info.takes === "groups" || info.input !== "text" || kind.writes ? "" : explainer(example, item);
    item.append(...parts, element("div", { className: "outcome" }, last, button));
    if (remark) item.append(element("p", { className: "remark" }, `Not to be trusted: ${remark}.`));
    unfold(item);
    return item;
  }));
  const counts = new Map();
  for (const { outcome } of done) {
    const label = kind.label(outcome, info);
    if (label !== null) counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const parts = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 6)
    .map(([label, count]) => element("span", {}, element("strong", {}, count.toLocaleString("en")), ` ${label}`));
  const total = `${done.length.toLocaleString("en")} ${done.length === 1 ? "result" : "results"}`;
  $("summary").replaceChildren(element("span", {}, total), ...(done.length > 1 ? parts : []));
  $("more").textContent = done.length > SHOWN ? `The first ${SHOWN} are shown; the CSV file has all.` : "";
  $("status").textContent = `${total} below.`;
}

/** Lets a click show the whole of long texts. */
function unfold(item) {
  for (const box of item.querySelectorAll(".folded")) box.onclick = () => box.classList.remove("folded");
}

function save() {
  const head = table ? table.head : two() ? ["text", "second text"] : [info.noun];
  const cells = (example) => {
    if (example instanceof File) return [example.name];
    if (info.input !== "text") return [JSON.stringify(example)];
    return typeof example === "string" ? [example] : Object.values(example);
  };
  const rows = results.map(({ example, outcome, source }) => [
    ...(source ? head.map((_, i) => source[i] ?? "") : cells(example)),
    ...(outcome === null ? kind.columns(info).map(() => "") : kind.values(outcome, info)),
  ]);
  const name = (table ? table.name.replace(/\.\w+$/, "") : info.name) + "-predictions.csv";
  download(name, written([[...head, ...kind.columns(info)], ...rows]));
}

function complain(message) {
  $("message").textContent = message;
  $("message").hidden = !message;
}

// What people do

$("key-form").onsubmit = (event) => { event.preventDefault(); setKey($("key").value); begin(); };

$("form").onsubmit = async (event) => {
  event.preventDefault();
  $("go").disabled = true;
  $("go").textContent = "Predicting…";
  try {
    await predict(typed());
  } catch (error) {
    complain(error.message);
  }
  $("go").disabled = false;
  $("go").textContent = "Predict";
};

$("table-form").onsubmit = async (event) => {
  event.preventDefault();
  const running = (is) => {
    $("table-go").disabled = is;
    $("stop").hidden = $("progress").hidden = !is;
  };
  running(true);
  await predict(examplesInTable(), (done, all) => {
    $("progress").value = done / all;
    $("progress-text").textContent = `${done.toLocaleString("en")} of ${all.toLocaleString("en")}`;
  });
  running(false);
  $("progress-text").textContent = "";
};

for (const id of ["first", "second"]) {
  $(id).onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
  };
}
$("pairs").onchange = showSecond;
$("column").onchange = $("column2").onchange = preview;
const taken = (chosen) => chosen.length && (info.media ? choose(chosen) : open(chosen[0]));
$("file").onchange = () => taken($("file").files);
$("clear").onclick = () => { files = []; complain(""); showFiles(); };
$("close").onclick = closeTable;
$("stop").onclick = () => stop?.abort();
$("download").onclick = save;

let inside = 0; // nested elements that a file is dragged over
const carriesFile = (event) => info && event.dataTransfer.types.includes("Files");
addEventListener("dragenter", (event) => { if (carriesFile(event)) { inside++; $("drop").hidden = false; } });
addEventListener("dragleave", (event) => { if (carriesFile(event) && --inside <= 0) $("drop").hidden = true; });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  $("drop").hidden = true;
  if (info) taken(event.dataTransfer.files);
});

begin();
