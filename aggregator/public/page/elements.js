/** How the page's elements are found, made and changed. Text goes in as text only. */

/** An element of the page, by its id. */
export const at = (id) => document.getElementById(id);

/** Sets a text, when it is another. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows an element, or hides it. */
export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Makes an element; `className` may be empty. */
export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** A name that somebody else wrote, isolated: its direction changes nothing beside it. */
export const isolated = (name) => make("bdi", "", name);

/** Sets a name as an element's only text, isolated, when it is another. */
export function sayName(element, name) {
  if (element.textContent !== name) element.replaceChildren(isolated(name));
}

/** Sets a custom property, when it is another; the style sheet does the rest. */
export function set(element, name, value) {
  if (element.style.getPropertyValue(name) !== value) element.style.setProperty(name, value);
}

/** Keeps a list's rows by key: makes those that are new, drops those that are gone, puts them in order. */
export function keep(list, rows, create, update) {
  list.rows ??= new Map();
  const keys = new Set(rows.map(({ id }) => id));
  for (const [key, element] of list.rows) {
    if (keys.has(key)) continue;
    element.remove();
    list.rows.delete(key);
  }
  rows.forEach((row, index) => {
    let element = list.rows.get(row.id);
    if (element === undefined) list.rows.set(row.id, element = create(row));
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
    update(element, row);
  });
}

/** Empties a list that {@link keep} filled: its next rows are others, whatever their keys. */
export function clear(list) {
  list.replaceChildren();
  list.rows = undefined;
}
