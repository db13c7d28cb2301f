// The whole decode at a glance; a click leads there. For the eye only: the grid has everything it shows.

const HEIGHT = 96;

class Overview {
  constructor(canvas, scroller, onPlace) {
    this.canvas = canvas;
    this.scroller = scroller;
    canvas.hidden = false;
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const pass = Math.floor(((event.clientY - box.top) / box.height) * this.sequence.passes.length);
      onPlace(pass, Math.floor(((event.clientX - box.left) / box.width) * this.columns));
    });
    for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"]) {
      matchMedia(query).addEventListener("change", () => this.draw());
    }
    new ResizeObserver(() => this.draw()).observe(canvas);
    scroller.addEventListener("scroll", () => requestAnimationFrame(() => this.draw()), { passive: true });
  }

  show(sequence, columns) {
    this.sequence = sequence;
    this.columns = columns;
    this.draw();
  }

  draw() {
    if (!this.sequence) return;
    const scale = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth;
    if (this.canvas.width !== Math.round(width * scale)) this.canvas.width = Math.round(width * scale);
    if (this.canvas.height !== Math.round(HEIGHT * scale)) this.canvas.height = Math.round(HEIGHT * scale);
    const context = this.canvas.getContext("2d");
    const styles = getComputedStyle(this.canvas);
    const colour = Object.fromEntries(Object.keys(data.states).map((s) => [s, styles.getPropertyValue(`--state-${s}`)]));
    const across = this.canvas.width / this.columns;
    const down = this.canvas.height / this.sequence.passes.length;
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (const cell of this.sequence.passes.flat()) {
      context.fillStyle = colour[cell.letter];
      context.fillRect(cell.position * across, cell.pass * down, Math.max(across, 1), Math.max(down, 1));
    }
    this.#frame(context, styles.color);
  }

  // What the grid shows now.
  #frame(context, colour) {
    const { scrollLeft, scrollTop, clientWidth, clientHeight, scrollWidth, scrollHeight } = this.scroller;
    const [x, y] = [this.canvas.width / scrollWidth, this.canvas.height / scrollHeight];
    context.strokeStyle = colour;
    context.lineWidth = 2 * (window.devicePixelRatio || 1);
    context.strokeRect(scrollLeft * x, scrollTop * y, clientWidth * x, clientHeight * y);
  }
}
