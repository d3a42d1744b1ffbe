// Finds what a person would call by this name: the first one that is visible, also within open shadow roots.
const [how, what] = arguments;
const words = (text) => (text || "").replace(/\s+/g, " ").trim();
const roots = [document];
for (const root of roots) {
  for (const node of root.querySelectorAll("*")) if (node.shadowRoot) roots.push(node.shadowRoot);
}
const all = (css) => roots.flatMap((root) => [...root.querySelectorAll(css)]);
const named = (node) => [node.textContent, node.value, node.getAttribute("aria-label")].some((text) => words(text) === what);
// A label may say more after the name, e.g. that the field is optional.
const begins = (label) => words(label.textContent) === what || words(label.firstChild && label.firstChild.textContent) === what;
const find = {
  css: () => all(what),
  link: () => all("a[href]").filter(named),
  button: () => all("button, input[type=submit], [role=button], summary").filter(named),
  field: () => all("label").filter(begins).map((label) => label.control).concat(all("[aria-label]").filter(named)),
};
return find[how]().find((node) => node && node.checkVisibility()) || null;
