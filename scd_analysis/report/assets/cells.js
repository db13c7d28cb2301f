// What the data say of a cell. A cell is {pass, slot, position, letter}; a bonus token lies in no slot (null).

function readSequence(raw) {
  const passes = raw.base.map((base, pass) => {
    const cells = Array.from(raw.states[pass], (letter, slot) => ({ pass, slot, position: base + slot, letter }));
    if (raw.bonus[pass] !== null) cells.push({ pass, slot: null, position: base + cells.length, letter: "b" });
    return cells;
  });
  const rejections = passes.flat().filter((cell) => cell.letter === "r");
  return { raw, number: raw.sequence, passes, rejections };
}

function cellAt(sequence, pass, position) {
  const row = sequence.passes[pass];
  return row && row.length ? row[position - row[0].position] ?? null : null;
}

// The pass that committed a position, or else the last one that had it in its window.
function commitOf(sequence, position) {
  const found = historyOf(sequence, position);
  return found.find((cell) => committed(sequence, cell)) ?? found.at(-1) ?? null;
}

function historyOf(sequence, position) {
  return sequence.passes.map((_, pass) => cellAt(sequence, pass, position)).filter((cell) => cell !== null);
}

const committed = (sequence, cell) => cell.slot === null || sequence.raw.committed[cell.pass][cell.slot] === "1";
const accepted = (sequence, cell) => sequence.raw.accepted[cell.pass][cell.slot] === "1";
const reached = (sequence, cell) => !sequence.raw.accepted[cell.pass].slice(0, cell.slot).includes("0");

function valueOf(sequence, cell, name) {
  return sequence.raw[name]?.[cell.pass]?.[cell.slot] ?? null;
}

// "pass 3, position 17, draft 5, accepted, committed"
function nameOf(sequence, cell) {
  const place = `pass ${cell.pass}, position ${cell.position}`;
  if (cell.letter === "b") return `${place}, bonus token ${sequence.raw.bonus[cell.pass]}, committed`;
  const draft = `${place}, draft ${valueOf(sequence, cell, "draft")}`;
  const after = valueOf(sequence, cell, "after");
  switch (cell.letter) {
    case "a": return `${draft}, accepted, committed`;
    case "r": return `${draft}, rejected, ${committed(sequence, cell) ? `${after} committed` : "nothing committed"}`;
    case "k": return `${draft}, kept`;
    case "c": return `${draft}, changed to ${after}`;
    default: return `${draft}, irregular, ${after} committed`;
  }
}

// What verification did, with the numbers it rests on.
function accountOf(sequence, cell) {
  if (cell.letter === "b") {
    return "Every draft of the window was accepted, so this token was drawn past it. Its law is not recorded.";
  }
  const draft = valueOf(sequence, cell, "draft");
  const after = valueOf(sequence, cell, "after");
  const passed = accepted(sequence, cell);
  const test = testOf(sequence, cell);
  switch (cell.letter) {
    case "a": return `Verification accepted draft ${draft}${test}; the pass committed it.`;
    case "r": {
      const what = committed(sequence, cell)
        ? `the pass committed ${after}, drawn from the residual law (p − q)₊`
        : "the pass committed nothing here";
      return `Verification rejected draft ${draft}${test}; ${what}.`;
    }
    case "o": return reached(sequence, cell)
      ? `Verification accepted draft ${draft}${test}, yet the pass committed ${after}.`
      : `The pass committed ${after} although it had rejected an earlier draft.`;
  }
  const why = reached(sequence, cell)
    ? "Not committed, although every earlier draft of the pass was accepted."
    : "Not committed, since an earlier draft of the pass was rejected.";
  const next = cell.letter === "k" ? "the same token" : `token ${after}`;
  return `${why} Taken alone, draft ${draft} is ${passed ? "accepted" : "rejected"}${test}. The next draft is ${next}.`;
}

function testOf(sequence, cell) {
  const [u, q, p] = ["uniform", "draft_prob", "target_prob"].map((name) => valueOf(sequence, cell, name));
  if (q === null || p === null || q === 0) return "";
  const ratio = `p/q = ${three(p)}/${three(q)} = ${three(p / q)}`;
  return u === null ? ` (${ratio})` : ` (u = ${three(u)} against ${ratio})`;
}

// Rows {token, q, p} of the two laws, most probable first, and what is left of each.
function lawsOf(sequence, cell) {
  const flat = sequence.raw.laws?.[cell.pass]?.[cell.slot];
  if (!flat) return null;
  const rows = [];
  for (let i = 0; i + 2 < flat.length; i += 3) rows.push({ token: flat[i], q: flat[i + 1], p: flat[i + 2] });
  const [restQ, restP] = flat.slice(-2);
  return { rows, restQ, restP };
}
