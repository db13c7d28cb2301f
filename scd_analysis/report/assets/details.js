// The chosen cell: what verification did, the two laws side by side, and the position's other passes.

const MEASURES = [
  ["total_variation", "Total variation"],
  ["collision_independent", "Collision, independent"],
  ["collision_gumbel", "Collision, shared Gumbel"],
  ["entropy", "Entropy of p (nats)"],
  ["renyi2", "Rényi-2 entropy of p (nats)"],
  ["age", "Passes since it entered"],
];

function showDetails(container, sequence, cell, goTo) {
  const [label, glyph] = data.states[cell.letter];
  container.replaceChildren(
    make("h3", {}, `Pass ${cell.pass}, position ${cell.position}`),
    make(
      "p",
      { class: "state" },
      make("span", { class: `swatch state-${cell.letter}`, "aria-hidden": "true" }, glyph),
      make("strong", {}, label),
    ),
    make("p", {}, accountOf(sequence, cell)),
    lawTable(sequence, cell),
    measures(sequence, cell),
    historyList(sequence, cell, goTo),
  );
}

function lawTable(sequence, cell) {
  const laws = lawsOf(sequence, cell);
  if (!laws) return null;
  const draft = valueOf(sequence, cell, "draft");
  const after = valueOf(sequence, cell, "after");
  const variation = valueOf(sequence, cell, "total_variation");
  const withResidual = cell.letter === "r" && variation > 0;
  const headings = ["Token", "Draft q", "Target p", ...(withResidual ? ["Residual"] : [])];
  const row = (token, notes, q, p, residual) => make(
    "tr",
    {},
    make("th", { scope: "row" }, token, ...notes.map((note) => make("small", {}, ` ${note}`))),
    share(q, "q"),
    share(p, "p"),
    withResidual ? share(residual, "residual") : null,
  );
  const rows = laws.rows.map(({ token, q, p }) => {
    const notes = [...(token === draft ? ["draft"] : []), ...(token === after ? ["after"] : [])];
    return row(String(token), notes, q, p, Math.max(0, p - q) / variation);
  });
  const others = data.vocabSize - laws.rows.length;
  if (others > 0) rows.push(row(`${others.toLocaleString("en")} others`, [], laws.restQ, laws.restP, null));
  return make(
    "table",
    { class: "laws" },
    make("caption", {}, `Laws of position ${cell.position} at pass ${cell.pass}`),
    make("thead", {}, make("tr", {}, ...headings.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...rows),
  );
}

function share(value, kind) {
  if (value === null) return make("td", {}, "–");
  const bar = make("span", { class: `bar bar-${kind}`, "aria-hidden": "true", hidden: value === 0 });
  bar.style.setProperty("--share", Math.min(1, value));
  return make("td", {}, bar, make("span", {}, three(value)));
}

function measures(sequence, cell) {
  const known = MEASURES.map(([name, label]) => [label, valueOf(sequence, cell, name)]).filter(([, value]) => value !== null);
  if (!known.length) return null;
  return make(
    "dl",
    { class: "measures" },
    ...known.map(([label, value]) => make("div", {}, make("dt", {}, label), make("dd", {}, three(value)))),
  );
}

function historyList(sequence, cell, goTo) {
  const items = historyOf(sequence, cell.position).map((other) => {
    const token = other.slot === null ? sequence.raw.bonus[other.pass] : valueOf(sequence, other, "draft");
    const button = make(
      "button",
      {
        type: "button",
        class: `state-${other.letter}`,
        "aria-label": nameOf(sequence, other),
        "aria-current": other.pass === cell.pass ? "true" : null,
      },
      `${token} ${data.states[other.letter][1]}`,
    );
    button.addEventListener("click", () => goTo(other));
    return make("li", {}, button);
  });
  return make(
    "div",
    {},
    make("h4", {}, `Position ${cell.position}, pass by pass`),
    make("ol", { class: "history", start: historyOf(sequence, cell.position)[0].pass }, ...items),
  );
}
