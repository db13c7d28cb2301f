// Elements by construction: text is set as text, so nothing in the data can become markup.

const byId = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Three significant digits, as short as they can be.
function three(value) {
  const small = value !== 0 && Math.abs(value) < 1e-3;
  return (small ? value.toExponential(2) : String(Number(value.toPrecision(3)))).replaceAll("-", "−");
}
