// What can be looked through: tables that sort and filter, curves and samples of chosen runs. No library but Vega.
const data = JSON.parse(document.getElementById("data").textContent);
const runs = data.runs;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// Tables

const ROWS_AT_ONCE = 100;
const EXTREMES = { inf: Infinity, "-inf": -Infinity };
const SIGNS = { inf: "∞", "-inf": "−∞" };

// Four digits to read; whole numbers as they are
function read(value) {
  return String(Number.isInteger(value) ? value : Number(value.toPrecision(4))).replace("-", "−");
}

class Table {
  constructor(place, spec) {
    this.place = place;
    this.spec = spec;
    this.order = [...Array(spec.shown).keys()];
    this.sorted = null;
    this.descending = false;
    this.limit = ROWS_AT_ONCE;
    this.runOf = spec.columns.find((column) => column.kind === "run")?.values;
    this.axes = Object.fromEntries((runs?.axes ?? []).map((axis) => [axis.name, axis]));
  }

  // A value to sort by: a number, or a text
  key(column, row) {
    if (column.kind === "axis") {
      const run = this.runOf[row];
      return run == null ? null : this.axes[column.name].values[run];
    }
    const value = column.values[row];
    if (value == null) return null;
    return column.levels ? column.levels[value] : (EXTREMES[value] ?? value);
  }

  // A value as it is read
  written(column, row) {
    if (column.kind === "axis") {
      const run = this.runOf[row];
      return run == null ? "" : String(this.axes[column.name].values[run]);
    }
    const value = column.values[row];
    if (value == null) return "";
    if (column.kind === "run") return `run ${value + 1}`;
    if (column.levels) return column.levels[value];
    if (column.kind === "number") return SIGNS[value] ?? read(value);
    return value;
  }

  csv() {
    const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const cell = (column, row) => {
      if (column.kind === "run") return column.values[row] == null ? "" : runs.ids[column.values[row]];
      return quoted(String((column.kind === "number" ? column.values[row] : this.key(column, row)) ?? ""));
    };
    const lines = [this.spec.columns.map((column) => column.name).join(",")];
    for (let row = 0; row < this.spec.shown; row++) lines.push(this.spec.columns.map((column) => cell(column, row)).join(","));
    return lines.join("\r\n") + "\r\n";
  }

  download() {
    const url = URL.createObjectURL(new Blob([this.csv()], { type: "text/csv" }));
    element("a", { href: url, download: `${data.study}_${this.spec.name}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  sort(column) {
    this.descending = this.sorted === column && !this.descending;
    this.sorted = column;
    const sign = this.descending ? -1 : 1;
    const keys = this.order.map((row) => [row, this.key(column, row)]);
    keys.sort(([, a], [, b]) => {
      if (a == null || b == null) return (a == null) - (b == null); // what is missing comes last, either way
      return a < b ? -sign : a > b ? sign : 0;
    });
    this.order = keys.map(([row]) => row);
    this.fill();
  }

  build() {
    const { spec } = this;
    const caption = element("div");
    caption.innerHTML = spec.caption; // made from the project's own captions
    const meanings = element("dl");
    for (const column of spec.columns) if (column.meaning) meanings.append(element("dt", {}, column.name), element("dd", {}, column.meaning));
    this.filter = element("input", { type: "search", "aria-label": `Filter the table ${spec.name}`, placeholder: "such as f_mem 128", oninput: () => { this.limit = ROWS_AT_ONCE; this.fill(); } });
    this.count = element("span", { role: "status", "aria-live": "polite" });
    this.headings = spec.columns.map((column) =>
      element("th", { scope: "col", class: column.kind === "number" && "number", title: column.meaning || null },
        element("button", { type: "button", onclick: () => this.sort(column) }, column.kind === "run" ? column.name.replace("_id", "") : column.name)));
    this.body = element("tbody");
    this.more = element("button", { type: "button", onclick: () => { this.limit += 5 * ROWS_AT_ONCE; this.fill(); } }, "more rows");
    this.place.append(
      caption,
      element("details", { class: "meanings" }, element("summary", {}, "What the columns mean"), meanings),
      element("div", { class: "tools" }, element("label", {}, "Filter ", this.filter), element("button", { type: "button", onclick: () => this.download() }, "CSV"), this.count),
      element("div", { class: "rows", tabindex: "0", role: "group", "aria-label": `Rows of ${spec.name}` },
        element("table", {}, element("caption", { class: "hidden" }, spec.name), element("thead", {}, element("tr", {}, ...this.headings)), this.body)),
      this.more,
    );
    this.fill();
  }

  // Rows that hold every word of the filter, in some cell
  matching() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return this.order;
    return this.order.filter((row) => {
      const cells = this.spec.columns.map((column) => this.written(column, row).toLowerCase());
      return words.every((word) => cells.some((cell) => (/^[\d.]+$/.test(word) ? cell === word || cell.replaceAll(",", "") === word : cell.includes(word))));
    });
  }

  fill() {
    const { spec } = this;
    const rows = this.matching();
    const cells = (row) => spec.columns.map((column, place) => {
      const text = this.written(column, row);
      const content = column.kind === "run" && text ? element("a", { href: `#run-${column.values[row] + 1}`, title: runs.labels[column.values[row]] }, text) : text;
      return place ? element("td", { class: column.kind === "number" && "number" }, content) : element("th", { scope: "row", class: column.kind === "number" && "number" }, content);
    });
    this.body.replaceChildren(...rows.slice(0, this.limit).map((row) => element("tr", {}, ...cells(row))));
    spec.columns.forEach((column, place) => this.headings[place].setAttribute("aria-sort", column !== this.sorted ? "none" : this.descending ? "descending" : "ascending"));
    const cut = spec.shown < spec.total ? `; the page has the first ${spec.shown.toLocaleString("en")} of ${spec.total.toLocaleString("en")}, the Parquet file all` : "";
    this.count.textContent = `${rows.length.toLocaleString("en")} of ${spec.shown.toLocaleString("en")} rows${cut}`;
    this.more.hidden = rows.length <= this.limit;
  }
}

for (const place of document.querySelectorAll("details[data-table]")) {
  place.addEventListener("toggle", () => {
    if (!place.open || place.built) return;
    place.built = true;
    new Table(place, data.tables[place.dataset.table]).build();
  });
}

// Runs

class Explorer {
  constructor(spec) {
    this.spec = spec;
    this.chosen = new Set(spec.first);
    this.colours = new Map();
    this.filters = runs.axes.map((axis) => [axis, this.select(axis)]);
    document.getElementById("filters").append(...this.filters.map(([axis, select]) => element("label", {}, `${axis.title} `, select)));
    document.getElementById("clear").addEventListener("click", () => { this.chosen.clear(); this.show(); });
    this.charts = spec.panels.map((panel, place) => this.chart(panel, place));
    this.sheet = document.getElementById("sheet-run");
    if (this.sheet) {
      const numbers = Object.keys(spec.images.sheets).map(Number);
      this.sheet.append(...numbers.map((run) => element("option", { value: run }, runs.labels[run])));
      const first = spec.first.find((run) => numbers.includes(run));
      this.sheet.value = first ?? numbers[0];
      this.sheet.addEventListener("change", () => this.draw());
      this.draw();
    }
    this.show();
  }

  select(axis) {
    const written = [...new Set(this.spec.runs.toSorted((a, b) => (axis.values[a] < axis.values[b] ? -1 : axis.values[a] > axis.values[b] ? 1 : 0)).map((run) => axis.written[run]))];
    return element("select", { onchange: () => this.show() }, element("option", { value: "" }, "all"), ...written.map((value) => element("option", {}, value)));
  }

  chart(panel, place) {
    const area = element("div", { class: "panel", role: "img", "aria-label": `${panel.title} of the chosen runs against the step` });
    document.getElementById("panels").append(element("div", {}, element("p", { class: "note" }, panel.legend), area));
    return { area, panel, curves: this.spec.curves[place], view: null };
  }

  colour(run) {
    if (!this.colours.has(run)) {
      const used = new Set(this.colours.values());
      this.colours.set(run, this.spec.palette.find((colour) => !used.has(colour)));
    }
    return this.colours.get(run);
  }

  toggle(run, on) {
    if (on) this.chosen.add(run);
    else this.chosen.delete(run);
    this.show();
    document.getElementById(`choose-${run}`)?.focus();
  }

  only(run) {
    this.chosen = new Set([run]);
    for (const [, select] of this.filters) select.value = "";
    if (this.sheet && this.spec.images.sheets[run]) { this.sheet.value = run; this.draw(); }
    this.show();
  }

  show() {
    for (const run of this.colours.keys()) if (!this.chosen.has(run)) this.colours.delete(run);
    const full = this.chosen.size >= this.spec.most;
    const matching = this.spec.runs.filter((run) => this.filters.every(([axis, select]) => !select.value || axis.written[run] === select.value));
    const listed = [...new Set([...this.chosen, ...matching])].sort((a, b) => a - b);
    document.getElementById("choices").replaceChildren(...listed.map((run) => {
      const on = this.chosen.has(run);
      const box = element("input", { type: "checkbox", id: `choose-${run}`, checked: on, disabled: !on && full, onchange: (event) => this.toggle(run, event.target.checked) });
      const swatch = element("span", { class: "swatch", "aria-hidden": "true", style: on ? `background:${this.colour(run)}` : "" });
      const status = runs.status[run] === "finished" ? "" : `, ${runs.status[run]}`;
      return element("label", {}, box, swatch, `${runs.labels[run]}${status}`);
    }));
    document.getElementById("chosen").textContent = `${this.chosen.size} of at most ${this.spec.most} runs chosen`;
    document.getElementById("panels").hidden = !this.chosen.size;
    if (this.chosen.size) for (const chart of this.charts) this.update(chart);
  }

  // A chart is made with the first rows that it has to show, and told of others as they change
  update(chart) {
    const { curves } = chart;
    const rows = [];
    curves.run.forEach((run, row) => {
      if (this.chosen.has(run)) rows.push({ run: runs.labels[run], colour: this.colour(run), step: curves.step[row], series: curves.levels[curves.series[row]], value: curves.value[row], low: curves.low[row] ?? curves.value[row], high: curves.high[row] ?? curves.value[row] });
    });
    const onsets = [...this.chosen].filter((run) => run in this.spec.onsets).map((run) => ({ run: runs.labels[run], colour: this.colour(run), step: this.spec.onsets[run] }));
    chart.area.parentElement.hidden = !rows.length;
    if (!rows.length) return;
    chart.view ??= vegaEmbed(chart.area, { ...chart.panel.chart, datasets: { curves: rows, onsets } }, { actions: false, renderer: "svg" });
    chart.view.then(({ view }) => {
      chart.area.querySelector("svg").setAttribute("aria-hidden", "true"); // the area itself is the image, and says of what
      return view.data("curves", rows).data("onsets", onsets).runAsync();
    });
  }

  // A short address for an image that every cell refers to
  address(run, image) {
    this.addresses ??= new Map();
    if (!this.addresses.has(run)) {
      const bytes = Uint8Array.from(atob(image.split(",")[1]), (letter) => letter.charCodeAt(0));
      this.addresses.set(run, URL.createObjectURL(new Blob([bytes], { type: "image/png" })));
    }
    return this.addresses.get(run);
  }

  draw() {
    const { images } = this.spec;
    const run = Number(this.sheet.value);
    const { image, steps, copies } = images.sheets[run];
    const scale = Math.max(1, Math.round(32 / images.width));
    const [width, height] = [images.width * scale, images.height * scale];
    const cell = (row, column, copy) => element("td", {},
      element("span", { class: `cell${copy ? " copy" : ""}`, style: `width:${width}px;height:${height}px;background-position:${-column * width}px ${-row * height}px` }),
      ...(copy ? [element("span", { class: "hidden" }, "copy")] : []));
    const head = element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "step"), ...steps.map((step) => element("th", { scope: "col" }, step.toLocaleString("en")))));
    const body = element("tbody");
    for (let sample = 0; sample < images.samples; sample++) {
      const copied = (column) => copies[sample * steps.length + column] === "1";
      body.append(
        element("tr", { class: "sample" }, element("th", { scope: "row" }, `sample ${sample + 1}`), ...steps.map((_, column) => cell(2 * sample, column, copied(column)))),
        element("tr", {}, element("th", { scope: "row" }, "nearest"), ...steps.map((_, column) => cell(2 * sample + 1, column, false))));
    }
    const style = `--sheet:url(${this.address(run, image)});--width:${steps.length * width}px`;
    document.getElementById("sheet").replaceChildren(element("table", { class: "sheet", style }, element("caption", { class: "hidden" }, `Samples of ${runs.labels[run]}`), head, body));
  }
}

const explorer = data.explorer ? new Explorer(data.explorer) : null;

// Links into the page open what they lead to
function follow() {
  const run = location.hash.match(/^#run-(\d+)$/);
  if (run && explorer) {
    explorer.only(Number(run[1]) - 1);
    document.getElementById("explorer").scrollIntoView();
    document.getElementById("explorer").focus({ preventScroll: true });
  }
  const place = location.hash.startsWith("#table-") && document.getElementById(location.hash.slice(1));
  if (place) place.open = true;
}
window.addEventListener("hashchange", follow);
follow();
