// The interface for programs, as openapi.json describes it.

import { element } from "./kinds.js";

const here = new URL(".", location.href).href.replace(/\/$/, "");
const kindOf = (schema) => {
  if (schema.anyOf) return schema.anyOf.map(kindOf).filter((kind) => kind !== "null").join(" or ");
  return schema.type ?? "any";
};

function fields({ properties, required = [] }) {
  const rows = Object.entries(properties).map(([name, schema]) => element("tr", {},
    element("td", {}, element("code", {}, name)),
    element("td", {}, schema.description ?? kindOf(schema)),
    element("td", {}, required.includes(name) ? "required" : `default: ${JSON.stringify(schema.default ?? null)}`)));
  return element("table", {}, ...rows);
}

function route(path, method, { summary, description, requestBody }) {
  const schema = requestBody?.content["application/json"].schema;
  const example = schema && JSON.stringify({ [schema.required[0]]: "Your text" });
  const post = method === "post" ? " -X POST" : "";
  const command = `curl${schema ? ` --json '${example}'` : post} ${here}${path}`;
  return element("section", { className: "card" },
    element("h2", {}, element("span", { className: "method" }, method.toUpperCase()), element("code", {}, path)),
    element("p", {}, (description ?? summary).split("\n\n")[0].replaceAll("`", "")),
    schema ? fields(schema) : "",
    element("pre", {}, element("code", {}, command)));
}

const api = await (await fetch("openapi.json")).json();
document.title = api.info.title;
document.getElementById("routes").append(...Object.entries(api.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, details]) => route(path, method, details))));
