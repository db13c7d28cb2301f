// Puts the parts together: the sequence chosen, the cell chosen, and the address that leads back to it.

const data = JSON.parse(byId("trajectory-data").textContent);
const sequences = new Map(data.sequences.map((raw) => [raw.sequence, readSequence(raw)]));
const chooser = byId("sequence");
const grid = new Grid(byId("grid"), byId("grid-scroll"), onChoice);
const overview = new Overview(byId("overview"), byId("grid-scroll"), (pass, position) => {
  const row = grid.sequence.passes[pass] ?? [];
  const near = row[Math.min(Math.max(position - row[0]?.position, 0), row.length - 1)];
  if (near) grid.choose(near, { focus: true });
});
let loading = true;

function onChoice(cell, focused) {
  showDetails(byId("details"), grid.sequence, cell, (other) => grid.choose(other, { focus: true }));
  if (loading) return;
  // A cell that has the focus is read out already.
  byId("announcement").textContent = focused ? "" : nameOf(grid.sequence, cell);
  const address = `#sequence=${grid.sequence.number}&pass=${cell.pass}&position=${cell.position}`;
  try {
    history.replaceState(null, "", address);
  } catch {
    // Some browsers forbid it for a file; the page works without.
  }
}

function showSequence(number) {
  const sequence = sequences.get(number);
  chooser.value = String(number);
  grid.show(sequence, (letter) => data.states[letter][1]);
  overview.show(sequence, Number(grid.root.getAttribute("aria-colcount")) - 1);
  byId("sequence-summary").textContent = summaryOf(sequence);
  const first = sequence.rejections[0] ?? sequence.passes.flat()[0];
  if (first) grid.choose(first);
  else byId("details").replaceChildren(make("p", {}, "Nothing was drafted in this sequence."));
}

function summaryOf(sequence) {
  const passes = `Sequence ${sequence.number}: ${sequence.raw.passes} passes`;
  const [first] = sequence.rejections;
  if (!first) return `${passes}, no rejection.`;
  const many = sequence.rejections.length;
  const place = `first rejection at pass ${first.pass}, position ${first.position}`;
  return `${passes}, ${many} ${many === 1 ? "rejection" : "rejections"}; ${place}.`;
}

function goTo(number, position, pass) {
  if (number !== grid.sequence.number) showSequence(number);
  const sequence = grid.sequence;
  const cell = (pass === null ? null : cellAt(sequence, pass, position)) ?? commitOf(sequence, position);
  if (!cell) return;
  byId("trajectories").scrollIntoView();
  grid.choose(cell, { focus: true });
}

// The rejection before or after the chosen cell, in reading order.
function step(direction) {
  const place = (cell) => cell.pass * (data.numTokens + 1) + cell.position;
  const here = grid.current ? place(grid.current) : -1;
  const ordered = direction > 0 ? grid.sequence.rejections : [...grid.sequence.rejections].reverse();
  const found = ordered.find((cell) => direction * (place(cell) - here) > 0);
  if (found) grid.choose(found);
  else byId("announcement").textContent = direction > 0 ? "No later rejection." : "No earlier rejection.";
}

function followAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const [number, pass, position] = ["sequence", "pass", "position"].map((name) => Number(asked.get(name) ?? NaN));
  if (sequences.has(number) && position >= 0) goTo(number, position, pass >= 0 ? pass : null);
}

chooser.addEventListener("change", () => {
  showSequence(Number(chooser.value));
  byId("announcement").textContent = byId("sequence-summary").textContent;
});
byId("first-rejection").addEventListener("click", () => {
  const [first] = grid.sequence.rejections;
  if (first) grid.choose(first);
  else byId("announcement").textContent = "No rejection.";
});
byId("previous-rejection").addEventListener("click", () => step(-1));
byId("next-rejection").addEventListener("click", () => step(1));
byId("grid").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  byId("details").focus();
});
byId("details").addEventListener("keydown", (event) => {
  if (event.key === "Escape" && grid.current) grid.choose(grid.current, { focus: true });
});
for (const button of document.querySelectorAll(".goto")) {
  const { sequence, position, pass } = button.dataset;
  button.addEventListener("click", () => goTo(
    sequence === undefined ? grid.sequence.number : Number(sequence), Number(position), pass === undefined ? null : Number(pass),
  ));
}
addEventListener("hashchange", followAddress);

showSequence(data.sequences[0].sequence);
loading = false;
followAddress();
