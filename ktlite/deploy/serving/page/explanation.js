// Explanations: which words speak for a prediction, and which against it.

import { ask } from "./api.js";
import { element, marked } from "./kinds.js";

/** Makes the button that asks for an explanation, shows it, and hides it again. */
export function explainer(example, place) {
  const button = element("button", { type: "button", className: "link" }, "Explain");
  button.setAttribute("aria-expanded", "false");
  let shown = null;
  button.onclick = async () => {
    if (!shown) {
      button.disabled = true;
      button.textContent = "Explaining…";
      try {
        shown = box(await ask("explain", { text: example }), example);
      } catch (error) {
        shown = element("div", { className: "why", role: "alert" }, error.message);
      }
      button.disabled = false;
      shown.hidden = true;
      place.append(shown);
    }
    shown.hidden = !shown.hidden;
    button.textContent = shown.hidden ? "Explain" : "Hide";
    button.setAttribute("aria-expanded", String(!shown.hidden));
  };
  return button;
}

function box(found, example) {
  const texts = typeof example === "string" ? [example]
    : Array.isArray(example) ? example : [example.question, example.context];
  const largest = Math.max(...found.scores.map((score) => Math.abs(score ?? 0))) || 1;
  const parts = texts.map(() => []);
  found.words.forEach(({ text, start, end }, i) => {
    const score = found.scores[i];
    parts[text].push({
      start, end,
      mark(node) {
        node.title = score === null ? "not looked at" : (score > 0 ? "+" : "") + score.toFixed(3);
        const side = score > 0 ? "--for" : "--against";
        const strength = Math.abs(score ?? 0) / largest;
        node.style.background = strength < 0.03 ? "none" : `rgba(var(${side}), ${(0.65 * strength).toFixed(3)})`;
      },
    });
  });
  const target = String(found.target);
  return element("div", { className: "why" },
    ...texts.map((text, i) => marked(text, parts[i])),
    element("div", { className: "legend" },
      element("span", {}, element("span", { className: "swatch for" }), `for ${target}`),
      element("span", {}, element("span", { className: "swatch against" }), "against it"),
      element("span", {}, found.method.replaceAll("-", " "))));
}
