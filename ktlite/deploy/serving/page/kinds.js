// What each task's predictions are: how to ask for them, show them, and write them to a file.

import { ask } from "./api.js";

const SHOWN = 5; // classes with a bar, before one asks for all

/** Makes an element with properties and children; text is never read as HTML. */
export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const percent = (p) => (100 * p).toFixed(1) + " %";
const decimals = (number) => Number(number).toLocaleString("en", { maximumSignificantDigits: 5, useGrouping: false });

/** Returns what to send: examples under their kind's name, and options. Files go as a form. */
function request(examples, info, options = {}) {
  const name = `${info.noun}s`;
  if (!info.media) return { [name]: examples, ...options };
  const form = new FormData();
  for (const [key, value] of Object.entries(options)) form.append(key, JSON.stringify(value));
  for (const file of examples) form.append(name, file, file.name);
  return form;
}

const textsOf = (example) => (Array.isArray(example) ? example : [example]);

/** Shows texts as they are, sounds with a player, and pictures, both with their names. */
export function texts(example) {
  if (example instanceof File && example.type.startsWith("audio/")) {
    const player = element("audio", { src: URL.createObjectURL(example), controls: true, preload: "none" });
    return [element("figure", { className: "picture" }, player, element("figcaption", { className: "quiet" }, example.name))];
  }
  if (example instanceof File) {
    const picture = element("img", { src: URL.createObjectURL(example), alt: "", loading: "lazy" });
    return [element("figure", { className: "picture" }, picture, element("figcaption", { className: "quiet" }, example.name))];
  }
  return textsOf(example).map((text) => element("div", { className: "text folded" }, text));
}

/** Shows a share for each name; what was chosen stands out. */
function bars(items) {
  const box = element("div", { className: "bars" });
  const add = ({ name, share, chosen }) => {
    const mark = chosen ? " chosen" : "";
    const fill = element("div", { className: "fill" + mark });
    fill.style.width = percent(Math.max(0, share)).replace(" ", "");
    box.append(
      element("span", { className: "name" + mark }, String(name)),
      element("div", { className: "track" }, fill),
      element("span", { className: "value" + mark }, percent(share)),
    );
  };
  items.slice(0, SHOWN).forEach(add);
  if (items.length > SHOWN) {
    const all = element("button", { type: "button", className: "link" }, `All ${items.length}`);
    all.onclick = () => { all.remove(); items.slice(SHOWN).forEach(add); };
    return element("div", {}, box, all);
  }
  return box;
}

/** Shows a text with parts marked: [{start, end, mark(node)}], in their order, not overlapping. */
export function marked(text, parts) {
  const box = element("div", { className: "text" });
  // Python counts characters, JavaScript counts an emoji as two.
  const characters = /[\ud800-\udfff]/.test(text) ? Array.from(text) : text;
  const cut = (a, b) => (typeof characters === "string" ? characters.slice(a, b) : characters.slice(a, b).join(""));
  let at = 0;
  for (const { start, end, mark } of parts) {
    if (start < at) continue;
    const node = element("mark", {}, cut(start, end));
    mark(node);
    box.append(cut(at, start), node);
    at = end;
  }
  box.append(cut(at, characters.length));
  return box;
}

/** Returns the types of entities, without B- and I-. */
export const typesOf = (info) =>
  [...new Set(info.classes.map((name) => String(name).replace(/^[A-Z]-(?=.)/, "")))].filter((name) => name !== "O");

/** Colours that are far from each other, readable on light and dark: steps of the golden angle. */
const tint = (number) => `hsl(${(215 + 137.5 * number) % 360} 75% 50% / .24)`;

const classesWithShares = (row, classes, chosen) =>
  classes.map((name, i) => ({ name, share: row[i], chosen: chosen(row[i], i) })).sort((a, b) => b.share - a.share);

const classification = {
  async ask(examples, info, signal) {
    const { classes, probabilities, remarks } = await ask("predict_proba", request(examples, info), signal);
    if (JSON.stringify(classes) !== JSON.stringify(info.classes)) {
      throw new Error("The server has another model by now, with other classes. Load this page again.");
    }
    return { outcomes: probabilities, remarks };
  },
  label: (row, info) => info.classes[row.indexOf(Math.max(...row))],
  show: (example, row, info) => [
    ...texts(example),
    bars(classesWithShares(row, info.classes, (share) => share === Math.max(...row))),
  ],
  columns: (info) => ["prediction", ...info.classes.map((name) => `probability of ${name}`)],
  values: (row, info) => [classification.label(row, info), ...row],
};

const thereIn = (info) => (share, i) => share >= (info.settings.thresholds?.[i] ?? 0.5);
const multilabel = {
  ...classification,
  label: () => null,
  show: (example, row, info) => [...texts(example), bars(classesWithShares(row, info.classes, thereIn(info)))],
  values: (row, info) => [info.classes.filter((_, i) => thereIn(info)(row[i], i)).join("; "), ...row],
};

/** Asks for predictions, with what the server remarks on them. */
async function predictions(options, signal) {
  const { predictions: outcomes, remarks } = await ask("predict", options, signal);
  return { outcomes, remarks };
}

const plain = {
  ask: (examples, info, signal) => predictions(request(examples, info), signal),
  label: () => null,
  show: (example, value) => [...texts(example), element("div", { className: "number" }, JSON.stringify(value))],
  columns: () => ["prediction"],
  values: (value) => [typeof value === "object" ? JSON.stringify(value) : value],
};

const regression = {
  ...plain,
  show(example, value, info) {
    const names = Array.isArray(value) ? info.classes : [""];
    const numbers = [value].flat().map((number, i) =>
      element("div", { className: "number" }, element("small", {}, String(names[i])), decimals(number)));
    return [...texts(example), element("div", {}, ...numbers)];
  },
  columns: (info) => (info.classes.length ? info.classes.map(String) : ["prediction"]),
  values: (value) => [value].flat(),
};

const similarity = {
  ...plain,
  show: (example, value) => [...texts(example), bars([{ name: "cosine", share: value, chosen: true }])],
  columns: () => ["cosine"],
};

const tagging = {
  ask: (examples, info, signal) =>
    predictions(request(examples, info, { merge_tokens: true, return_proba: true }), signal),
  label: () => null,
  show(example, entities, info) {
    const parts = entities.map(([, type, share, [start, end]]) => ({
      start, end,
      mark(node) {
        node.className = "entity";
        node.title = `${type}, ${percent(share)}`;
        node.style.background = tint(typesOf(info).indexOf(type));
        node.append(element("small", {}, type));
      },
    }));
    const none = entities.length ? "" : element("p", { className: "quiet" }, "Nothing found.");
    return [marked(example, parts), element("div", {}, none)];
  },
  columns: () => ["found"],
  values: (entities) => [entities.map(([text, type]) => `${text} [${type}]`).join("; ")],
};

const answering = {
  ask: (examples, info, signal) =>
    predictions(request(examples, info, { return_proba: true, return_offsets: true, n_best: 3 }), signal),
  label: () => null,
  show({ question, context }, answers) {
    const [, , [start, end]] = answers[0];
    const parts = end > start ? [{ start, end, mark: (node) => { node.className = "answer"; } }] : [];
    return [
      element("h2", {}, question),
      marked(context, parts),
      bars(answers.map(([text, share], i) => ({ name: text || "no answer", share, chosen: !i }))),
    ];
  },
  columns: () => ["answer", "probability"],
  values: (answers) => answers[0].slice(0, 2),
};

const writing = {
  ...plain,
  writes: true,
  show: (example, text) => [...texts(example), element("div", { className: "text" }, text)],
  columns: () => ["text written"],
};

const KINDS = {
  classification, multilabel, regression,
  "sentence-similarity": similarity,
  "token-classification": tagging,
  "question-answering": answering,
  "text-generation": writing, translation: writing, summarization: writing, "text2text-generation": writing,
};

export const kindOf = (info) => KINDS[info.task] ?? plain;
