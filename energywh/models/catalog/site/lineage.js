// The lineage page: select a table or a column to see its description, its inputs and what is computed from it.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const page = document.querySelector(".lineage");
const panel = document.querySelector("aside");
const search = document.querySelector("input");
const found = document.querySelector(".found");
const tables = new Map(data.tables.map((table) => [table.name, table]));
const boxes = new Map([...document.querySelectorAll(".box")].map((box) => [box.dataset.name, box]));
const lines = [...document.querySelectorAll(".lines path")];
const columns = data.columns; // each with its table's name, and `up`: every column that its value comes from
columns.forEach((column, id) => { column.id = id; column.full = column.table + "." + column.name; });
const byName = new Map(columns.map((column) => [column.full, column]));

function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") made.addEventListener("click", value); else if (value) made.setAttribute(key, value);
  }
  made.append(...[content].flat().filter((each) => each !== null && each !== undefined));
  return made;
}

const go = (name) => { location.hash = name; };
const button = (text, name) => element("button", text, { on: () => go(name), class: "name" });
const heading = (text) => element("h2", text);
const faint = (text) => element("div", text, { class: "faint" });

function grid(headings, rows, marked) {
  const head = element("tr", headings.map((text) => element("th", text)));
  const body = rows.map((cells, place) =>
    element("tr", cells.map((cell) => element("td", cell)), { class: place === marked ? "on" : "" }));
  return element("div", element("table", [element("thead", head), element("tbody", body)]), { class: "wide" });
}

// The columns that a column comes from, as a tree; a column that is already expanded above is not repeated.
function tree(column, kept, shown) {
  const repeated = column.values.length && shown.has(column.id);
  shown.add(column.id);
  const label = [column.name === "*" ? button("rows of " + column.table, column.table) : button(column.full, column.full)];
  if (repeated) label.push(element("span", " as above", { class: "faint" }));
  if (column.field) label.push(faint(column.field));
  if (column.constants) label.push(faint("constant: " + column.constants));
  if (repeated) return element("li", label);
  const groups = new Map(); // four or more columns of one staging table are collapsed
  column.values.filter(([id]) => kept.has(id)).forEach(([id, where]) => {
    const item = tree(columns[id], kept, shown);
    if (where) item.insertBefore(faint("where " + where), item.children[1] || null);
    const key = columns[id].values.length ? id : columns[id].table;
    groups.set(key, [...(groups.get(key) || []), item]);
  });
  const below = [...groups].flatMap(([table, items]) => items.length < 4 ? items : [element("li", element("details",
    [element("summary", items.length + " columns of " + table), element("ul", items)]))]);
  return element("li", below.length ? [...label, element("ul", below)] : label);
}

function light(names, pairs) {
  page.classList.toggle("path", names.size > 0);
  boxes.forEach((box, name) => box.classList.toggle("on", names.has(name)));
  lines.forEach((line) => line.classList.toggle("on", pairs(line.dataset.from, line.dataset.to)));
}

function choose(name) {
  boxes.forEach((box) => box.classList.toggle("chosen", box.dataset.name === name));
  const box = boxes.get(name);
  if (box) box.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function closure(name, next) {
  const seen = new Set([name]);
  for (const each of seen) for (const other of next(each)) seen.add(other);
  return seen;
}

function showTable(table) {
  const up = closure(table.name, (name) => tables.get(name)?.reads || []);
  const down = closure(table.name, (name) => tables.get(name)?.readers || []);
  const both = new Set([...up, ...down]);
  choose(table.name);
  light(both, (from, to) => (up.has(from) && up.has(to)) || (down.has(from) && down.has(to)));
  const parts = [element("h1", table.name), element("p", table.description)];
  parts.push(...table.facts.map(([label, text]) => element("div", [element("span", label + ": ", { class: "faint" }), text])));
  if (table.note) parts.push(element("p", table.note, { class: "bad" }));
  const own = columns.filter((column) => column.table === table.name && column.name !== "*");
  if (own.length) {
    parts.push(heading(own.length + " columns"));
    parts.push(grid(["column", "unit", table.counted ? "filled" : null].filter((text) => text !== null).concat("description"),
      own.map((column) => [button(column.name, column.full), column.unit || "",
        ...(table.counted ? [column.filled || ""] : []), column.description || column.field || ""])));
  }
  if (table.audits.length) {
    parts.push(heading(table.audits.length + " audits"));
    parts.push(grid(["audit", "severity", "rows that fail"], table.audits.map((audit) => [
      [audit.name, audit.description ? faint(audit.description) : null].filter(Boolean), audit.severity,
      audit.failures === null ? "" : element("span", audit.failures.toLocaleString("en"), { class: audit.failures ? "bad" : "" })])));
  }
  for (const [text, names] of [["reads", table.reads], ["read by", table.readers]]) {
    if (names.length) parts.push(heading(text), ...names.map((name) => element("div", button(name, name))));
  }
  if (table.sql) {
    parts.push(element("details", [element("summary", "SQL"), element("pre", table.sql)]));
  }
  panel.replaceChildren(...parts);
  panel.scrollTop = 0;
}

function showColumn(column) {
  const up = new Set(column.up);
  const down = columns.filter((other) => other.up.includes(column.id));
  const on = new Set([column.table, ...column.up.map((id) => columns[id].table), ...down.map((other) => other.table)]);
  const pairs = new Set();
  const walk = (start, kept) => start.forEach((each) => each.values.forEach(([id]) => {
    if (kept(id)) pairs.add(columns[id].table + " " + each.table);
  }));
  walk([column, ...column.up.map((id) => columns[id])], (id) => up.has(id));
  const below = new Set([column.id, ...down.map((other) => other.id)]);
  walk(down, (id) => below.has(id));
  on.forEach((name) => { // the sources of the staging tables
    if (name.startsWith("staging.")) (tables.get(name)?.reads || []).forEach((from) => { on.add(from); pairs.add(from + " " + name); });
  });
  choose(column.table);
  light(on, (from, to) => pairs.has(from + " " + to));
  const parts = [element("div", button("← " + column.table, column.table)), element("h1", column.name)];
  parts.push(element("p", column.description || column.field || ""));
  const facts = [["unit", column.unit], ["filled", column.filled], ["type", column.type]].filter(([, text]) => text);
  parts.push(...facts.map(([label, text]) => element("div", [element("span", label + ": ", { class: "faint" }), text])));
  parts.push(heading("comes from"), element("ul", tree(column, up, new Set()), { class: "top" }));
  if (column.by.length) {
    const by = column.by.map((id) => button(columns[id].name === "*" ? "rows of " + columns[id].table : columns[id].full,
      columns[id].name === "*" ? columns[id].table : columns[id].full));
    parts.push(element("details", [element("summary", "chosen by " + by.length + " columns: filters, keys, order"),
      ...by.map((each) => element("div", each))]));
  }
  const named = down.filter((other) => other.name !== "*");
  parts.push(heading(named.length ? "used by " + named.length + (named.length === 1 ? " column" : " columns") : "used by no column"));
  parts.push(...named.map((other) => element("div", button(other.full, other.full))));
  panel.replaceChildren(...parts);
  panel.scrollTop = 0;
}

function showStart() {
  boxes.forEach((box) => box.classList.remove("chosen"));
  light(new Set(), () => false);
  panel.replaceChildren(element("h1", "Where numbers come from"), element("p",
    "Select a table to see its columns, audits and SQL. Select a column to trace its value back to the field of its " +
    "source, and to see which columns use it."), ...data.facts.map(([label, text]) =>
    element("div", [element("span", label + ": ", { class: "faint" }), text])));
}

function show() {
  const name = decodeURIComponent(location.hash.slice(1));
  found.replaceChildren();
  if (tables.has(name)) showTable(tables.get(name));
  else if (byName.has(name)) showColumn(byName.get(name));
  else showStart();
}

// Scale the graph to the window, but not below a legible size.
const graph = document.querySelector("svg.graph");
const whole = Number(graph.getAttribute("width"));
function zoom(scale) { graph.style.width = whole * scale + "px"; graph.style.height = "auto"; }
function fit(least) { zoom(Math.max(least, Math.min(1, (graph.parentElement.clientWidth - 20) / whole))); }
document.querySelector(".zoom").append(element("button", "whole", { on: () => fit(0) }), " · ",
  element("button", "100 %", { on: () => zoom(1) }));
window.addEventListener("resize", () => fit(0.72));
fit(0.72);

search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (text) => words.every((word) => text.toLowerCase().includes(word));
  const names = words.length ? [...tables.keys()].filter(fits) : [];
  const others = words.length ? columns.filter((column) => column.name !== "*" && fits(column.full + " " + (column.description || ""))) : [];
  others.sort((one, other) => !fits(one.full) - !fits(other.full));
  found.replaceChildren(...names.map((name) => button(name, name)), ...others.slice(0, 60).map((each) => button(each.full, each.full)));
});
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && found.firstChild) { found.firstChild.click(); search.blur(); }
  if (event.key === "Escape") { search.value = ""; found.replaceChildren(); }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) { event.preventDefault(); search.focus(); }
  if (event.key === "Escape" && document.activeElement !== search) go("");
});
boxes.forEach((box, name) => {
  box.setAttribute("tabindex", "0");
  box.addEventListener("click", () => go(name));
  box.addEventListener("keydown", (event) => { if (event.key === "Enter") go(name); });
});
window.addEventListener("hashchange", show);
show();
