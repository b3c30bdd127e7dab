// The interface for programs, as openapi.json describes it.

import { element } from "./kinds.js";

const here = new URL(".", location.href).href.replace(/\/$/, "");
const kindOf = (schema) => {
  if (schema.anyOf) return schema.anyOf.map(kindOf).filter((kind) => kind !== "null").join(" or ");
  return schema.type ?? "any";
};

/** An example of what a field takes, of the first kind that it may be. */
function sample(schema) {
  const one = schema.anyOf?.[0] ?? schema;
  return one.type === "array" ? [sample(one.items)] : one.type === "integer" ? 1 : "Your text";
}

function fields({ properties, required = [] }, asked = true) {
  const given = (name, schema) => required.includes(name) ? "required" : `default: ${JSON.stringify(schema.default ?? null)}`;
  const there = (name, schema) => required.includes(name) ? kindOf(schema) : `${kindOf(schema)}, or missing`;
  const rows = Object.entries(properties).map(([name, schema]) => element("tr", {},
    element("td", {}, element("code", {}, name)),
    element("td", {}, schema.description ?? kindOf(schema)),
    element("td", {}, (asked ? given : there)(name, schema))));
  return element("table", {}, ...rows);
}

const named = (schema) => (schema?.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema);

function answers(responses) {
  const schema = named(responses["200"]?.content?.["application/json"]?.schema);
  const problems = Object.entries(responses).filter(([status]) => status !== "200")
    .map(([status, { description }]) => `${status}: ${description}`).join("; ");
  return [
    ...(schema?.properties ? [element("h3", {}, "Answer"), fields(schema, false)] : []),
    ...(problems ? [element("p", { className: "quiet" }, problems)] : []),
  ];
}

function route(path, method, { summary, description, requestBody, responses = {} }) {
  const schema = requestBody?.content["application/json"].schema;
  const form = requestBody?.content["multipart/form-data"]?.schema;
  const example = schema && JSON.stringify({ [schema.required[0]]: sample(schema.properties[schema.required[0]]) });
  const post = method === "post" ? " -X POST" : "";
  const json = schema ? ` --json '${example}'` : post;
  const command = `curl${form ? ` -F ${form.required[0]}=@a-file` : json} ${here}${path}`;
  return element("section", { className: "card" },
    element("h2", {}, element("span", { className: "method" }, method.toUpperCase()), element("code", {}, path)),
    element("p", {}, (description ?? summary).split("\n\n")[0].replaceAll("`", "")),
    schema ? fields(schema) : "",
    element("pre", {}, element("code", {}, command)),
    ...answers(responses));
}

const api = await (await fetch("openapi.json")).json();
document.title = api.info.title;
document.getElementById("routes").append(...Object.entries(api.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, details]) => route(path, method, details))));
