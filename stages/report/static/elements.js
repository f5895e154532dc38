"use strict";
// What the scripts of several pages show things by.
const showValue = value => typeof value === "string" ? value : JSON.stringify(value);
const makeElement = (tag, className = "", content = "") => Object.assign(document.createElement(tag), {className, textContent: content});
// A label with a list to choose from; `options` are pairs of a value and its text.
const makeSelect = (label, options, change) => {
  const box = makeElement("label", "", label), select = document.createElement("select");
  select.append(...options.map(([value, shown]) => new Option(shown, value)));
  select.addEventListener("change", () => change(select));
  box.append(select);
  return {box, select};
};
