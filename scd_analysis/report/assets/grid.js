// The grid: a row a pass, a cell a draft. One cell can be reached by Tab; arrow keys go on from there.

const PAGE = 10;

class Grid {
  constructor(root, scroller, onChoice) {
    this.root = root;
    this.scroller = scroller;
    this.onChoice = onChoice;
    this.current = null;
    root.addEventListener("click", (event) => this.#clicked(event));
    root.addEventListener("keydown", (event) => this.#pressed(event));
    this.scrolledTo = 0;
    scroller.addEventListener("scroll", () => requestAnimationFrame(() => this.#follow()), { passive: true });
  }

  show(sequence, glyphOf) {
    this.sequence = sequence;
    this.current = null;
    const last = Math.max(0, ...sequence.passes.flat().map((cell) => cell.position));
    this.elements = sequence.passes.map((row) => row.map((cell) => make(
      "div",
      {
        role: "gridcell",
        class: `cell state-${cell.letter}`,
        tabindex: -1,
        "aria-colindex": cell.position + 2,
        "aria-label": nameOf(sequence, cell),
        "aria-selected": "false",
      },
      glyphOf(cell.letter),
    )));
    const rows = this.elements.map((cells, pass) => {
      if (cells.length) cells[0].style.setProperty("--from", sequence.passes[pass][0].position);
      const header = make("div", { role: "rowheader", class: "pass", "aria-colindex": 1 }, String(pass));
      return make("div", { role: "row", class: "row", "aria-rowindex": pass + 2 }, header, ...cells);
    });
    this.root.setAttribute("aria-rowcount", rows.length + 1);
    this.root.setAttribute("aria-colcount", last + 2);
    this.root.setAttribute("aria-label", `Sequence ${sequence.number}: passes down, positions across`);
    this.root.style.setProperty("--columns", last + 1);
    this.root.replaceChildren(this.#header(last), ...rows);
  }

  #header(last) {
    const corner = make("div", { role: "columnheader", class: "pass", "aria-colindex": 1 }, "pass");
    const columns = Array.from({ length: last + 1 }, (_, position) => make(
      "div", { role: "columnheader", class: "position", "aria-colindex": position + 2 }, String(position),
    ));
    return make("div", { role: "row", class: "row head", "aria-rowindex": 1 }, corner, ...columns);
  }

  elementOf(cell) {
    return this.elements[cell.pass][cell.position - this.sequence.passes[cell.pass][0].position];
  }

  choose(cell, { focus = false } = {}) {
    if (this.current) {
      const before = this.elementOf(this.current);
      before.setAttribute("aria-selected", "false");
      before.tabIndex = -1;
    }
    this.current = cell;
    const element = this.elementOf(cell);
    element.setAttribute("aria-selected", "true");
    element.tabIndex = 0;
    if (focus) element.focus({ preventScroll: true });
    this.#reveal(element);
    if (focus) element.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.onChoice(cell, focus);
  }

  // Scroll the grid, and not the page: a little for a neighbour, to the middle for a leap.
  #reveal(element) {
    const view = this.scroller.getBoundingClientRect();
    const box = element.getBoundingClientRect();
    const size = box.width;
    const pass = this.root.querySelector(".pass").getBoundingClientRect();
    const shift = (start, end, from, to, room) => {
      const over = start < from ? start - from : Math.max(0, end - to);
      return Math.abs(over) > room ? (start + end) / 2 - (from + to) / 2 : over;
    };
    this.scroller.scrollLeft += shift(
      box.left - size, box.right + size, view.left + pass.width, view.left + this.scroller.clientWidth, 3 * size,
    );
    this.scroller.scrollTop += shift(
      box.top - size, box.bottom + size, view.top + pass.height, view.top + this.scroller.clientHeight, 3 * size,
    );
  }

  // The window moves right as passes go down: scrolled down to where nothing would be seen, the grid moves along.
  #follow() {
    const { scrollTop, scrollLeft, clientWidth, clientHeight } = this.scroller;
    if (scrollTop === this.scrolledTo || !this.sequence) return;
    this.scrolledTo = scrollTop;
    const { width, height } = this.root.querySelector(".pass").getBoundingClientRect();
    const seen = this.sequence.passes.slice(Math.floor(scrollTop / height), Math.ceil((scrollTop + clientHeight) / height) - 1);
    const positions = seen.flatMap((row) => (row.length ? [row[0].position, row.at(-1).position] : []));
    const [from, to] = [scrollLeft / height, (scrollLeft + clientWidth - width) / height];
    if (positions.length && (Math.max(...positions) < from + 1 || Math.min(...positions) > to - 1)) {
      this.scroller.scrollLeft = (positions[0] - 1) * height;
    }
  }

  #clicked(event) {
    const element = event.target.closest(".cell");
    if (!element) return;
    const pass = Number(element.parentElement.getAttribute("aria-rowindex")) - 2;
    const position = Number(element.getAttribute("aria-colindex")) - 2;
    this.choose(cellAt(this.sequence, pass, position), { focus: true });
  }

  #pressed(event) {
    if (!this.current || event.altKey || event.metaKey) return;
    const target = this.#target(event);
    if (target === undefined) return;
    event.preventDefault();
    if (target) this.choose(target, { focus: true });
  }

  // Undefined for a key that means nothing here, null at the edge.
  #target(event) {
    const { pass, position } = this.current;
    const row = this.sequence.passes[pass];
    const lastPass = this.sequence.passes.length - 1;
    switch (event.key) {
      case "ArrowLeft": return cellAt(this.sequence, pass, position - 1);
      case "ArrowRight": return cellAt(this.sequence, pass, position + 1);
      case "ArrowUp": return this.#near(pass - 1, position);
      case "ArrowDown": return this.#near(pass + 1, position);
      case "PageUp": return this.#near(Math.max(0, pass - PAGE), position);
      case "PageDown": return this.#near(Math.min(lastPass, pass + PAGE), position);
      case "Home": return event.ctrlKey ? this.sequence.passes[0][0] : row[0];
      case "End": return event.ctrlKey ? this.sequence.passes[lastPass].at(-1) : row.at(-1);
      default: return undefined;
    }
  }

  // The cell of a pass at a position, or the nearest that it has.
  #near(pass, position) {
    const row = this.sequence.passes[pass];
    if (!row?.length) return null;
    return row[Math.min(Math.max(position - row[0].position, 0), row.length - 1)];
  }
}
