// The lab: controls, player, map and instruments of one story. What is shown is a function of (frames, step); going back and
// forth needs no kernel. Joined with map.js by lab.py.

const number = (n) => n.toLocaleString("en-US");

function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// JupyterLab says on the body which theme it has; elsewhere the system is asked.
function themeOf() {
  const said = document.body.dataset.jpThemeLight ?? document.body.getAttribute("data-jp-theme-light");
  if (said) return said === "false" ? "dark" : "light";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

class LabView {
  constructor(model, root) {
    this.model = model;
    this.id = `zonelab-${Math.random().toString(36).slice(2, 10)}`; // each lab on a page has ids of its own
    this.stop = new AbortController(); // ends every listener at once
    this.mark = -1; // block or page under the pointer or the keyboard's cursor
    this.open = model.get("block") ?? -1; // block that is looked into; -1 for the machine
    this.asking = 0; // step whose question is shown; 0 for none
    this.zone = null; // zone whose free areas are shown, when the reader chose one
    this.build(root);
    this.controls();
    this.theme();
    this.load();
    this.listen();
    this.resize();
  }

  // -- the page

  build(root) {
    const button = (text, label, act) => el("button", { type: "button", title: label, "aria-label": label, onclick: act }, text);
    this.back = button("◀", "One step back (left arrow)", () => this.go(this.step - 1));
    this.forth = button("▶", "One step forward (right arrow)", () => this.go(this.step + 1));
    this.play = button("Play", "Play (space)", () => this.toggle());
    this.speed = el("select", { "aria-label": "Speed", title: "Speed" });
    for (const [value, text] of [[2, "½×"], [1, "1×"], [0.5, "2×"], [0.25, "4×"]]) {
      this.speed.append(el("option", { value, selected: value === 1 }, text));
    }
    this.scrub = el("input", { type: "range", min: 1, step: 1, "aria-label": "Step", class: "zl-scrub" });
    this.scrub.addEventListener("input", () => this.go(+this.scrub.value));
    this.where = el("span", { class: "zl-where" });
    this.title = el("b", { class: "zl-title" });
    this.ctl = el("div", { class: "zl-controls", role: "group", "aria-label": "Sizes" });
    this.say = el("div", { class: "zl-say", "aria-live": "polite", "aria-atomic": "true", tabindex: 0, role: "region", "aria-label": "What happens at this step" });
    this.canvas = el("canvas", { tabindex: 0, role: "application", "aria-roledescription": "memory map" });
    this.crumb = el("div", { class: "zl-crumb", hidden: true });
    this.tip = el("div", { class: "zl-tip", hidden: true });
    this.heard = el("div", { class: "zl-heard", "aria-live": "polite" });
    this.map = el("div", { class: "zl-map" }, this.canvas, this.crumb, this.tip, this.heard);
    this.side = el("aside", { class: "zl-side", tabindex: 0, "aria-label": "Instruments" });
    this.total = el("span", {});
    this.codeField = el("input", { type: "text", readonly: true, "aria-label": "Code of your answers", value: this.model.get("code") });
    this.codeBack = el("input", { type: "text", "aria-label": "A code from before", placeholder: "paste a code from before" });
    this.codeSaid = el("span", { role: "status" });
    this.saved = el("details", { class: "zl-saved" }, el("summary", {}, "your answers"), el("div", {},
      "They are kept in a file beside this notebook. To take them elsewhere, copy this code: ", this.codeField, this.codeBack,
      button("Restore", "Restore answers from a code", () => this.model.send({ kind: "restore", code: this.codeBack.value })), this.codeSaid));
    this.keys = el("span", { class: "zl-keys" }, "click a block to open it · ← → steps · space plays");
    this.root = el(
      "section",
      { class: "zonelab", role: "group" },
      el(
        "header", {}, this.title,
        el("span", { class: "zl-player", role: "group", "aria-label": "Player" },
          button("|◀", "First step (Home)", () => this.go(1)), this.back, this.forth, this.play, this.speed, this.scrub, this.where,
          button("Reset", "All sizes as they were, first step", () => this.reset())),
      ),
      this.ctl,
      this.say,
      el("div", { class: "zl-main" }, this.map, this.side),
      el("footer", {}, this.total, this.saved, this.keys),
    );
    root.append(this.root);
  }

  controls() {
    this.inputs = {};
    for (const control of this.model.get("controls")) {
      const id = `${this.id}-${control.name}`;
      const { kind, name } = control;
      let input;
      let shown = "";
      if (kind === "choice") {
        input = el("select", { id });
        for (const option of control.options) input.append(el("option", { value: option }, option));
      } else if (kind === "seed") {
        input = el("input", { id, type: "number", min: control.min, max: control.max, step: 1 });
        const another = () => this.set(name, Math.floor(Math.random() * control.max), 1);
        shown = el("button", { type: "button", onclick: another }, "Another one");
      } else if (kind === "toggle") input = el("input", { id, type: "checkbox" });
      else {
        input = el("input", { id, type: "range", min: control.min, max: control.max, step: control.step });
        shown = el("output", { for: id });
      }
      const value = () => (kind === "toggle" ? input.checked : kind === "choice" ? input.value : +input.value);
      input.addEventListener(kind === "slider" ? "input" : "change", () => {
        if (kind === "seed" && !input.checkValidity()) return;
        this.set(name, value(), kind === "seed" ? 1 : 0);
      });
      const show = (now) => {
        if (kind === "toggle") input.checked = now;
        else input.value = now;
        if (kind === "slider") {
          shown.textContent = `${number(now)} ${control.unit}`;
          input.setAttribute("aria-valuetext", `${now} ${control.unit}`);
        }
      };
      this.inputs[name] = { input, show, start: control.value };
      const text = el("label", { for: id }, control.label);
      this.ctl.append(el("div", { class: `zl-control zl-${kind}` }, ...(kind === "toggle" ? [input, text] : kind === "seed" ? [text, input, shown] : [text, shown, input])));
    }
    this.ctl.hidden = !this.ctl.children.length;
    this.shown();
  }

  listen() {
    const on = (target, kind, act) => target.addEventListener(kind, act, { signal: this.stop.signal });
    // JupyterLab would take keys for itself (a: new cell, d d: delete this one): those pressed in here stay in here.
    on(this.root, "keydown", (event) => this.key(event));
    on(this.canvas, "pointermove", (event) => this.point(event));
    on(this.canvas, "pointerleave", () => this.look(-1));
    on(this.canvas, "click", (event) => {
      this.point(event);
      this.enter();
    });
    on(this.canvas, "blur", () => this.look(-1));
    const themes = new MutationObserver(() => this.theme());
    themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
    on(matchMedia("(prefers-color-scheme: dark)"), "change", () => this.theme());
    const sizes = new ResizeObserver(() => this.resize());
    sizes.observe(this.map);
    const follow = {
      "change:tape": () => this.load(),
      "change:values": () => this.shown(),
      "change:step": () => this.show(),
      "change:show": () => this.show(),
      "change:answers": () => this.show(),
      "change:predict": () => this.show(),
      "change:code": () => (this.codeField.value = this.model.get("code")),
      "msg:custom": (content, buffers) => this.answered(content, buffers),
    };
    for (const [name, act] of Object.entries(follow)) this.model.on(name, act);
    this.stop.signal.addEventListener("abort", () => {
      themes.disconnect();
      sizes.disconnect();
      clearTimeout(this.timer);
      clearTimeout(this.late);
      for (const [name, act] of Object.entries(follow)) this.model.off(name, act);
    });
  }

  // -- what the reader does

  get step() {
    return Math.max(1, Math.min(this.model.get("step"), this.story.steps.length));
  }

  go(step) {
    let to = Math.max(1, Math.min(step, this.story.steps.length));
    const asked = this.closed(this.step, to);
    if (asked) to = asked - 1;
    this.asking = asked;
    if (to === this.step) return this.show(); // a question stands in the way
    this.model.set("step", to);
    this.model.save_changes();
  }

  // The first step after `from`, up to `to`, whose question has not been answered; 0 if there is none.
  closed(from, to) {
    if (!this.model.get("predict")) return 0;
    const answers = this.model.get("answers");
    for (let n = from + 1; n <= to; n++) {
      const { ask } = this.story.steps[n - 1];
      if (ask && !(ask.key in answers)) return n;
    }
    return 0;
  }

  get ask() {
    return this.asking ? this.story.steps[this.asking - 1]?.ask : null;
  }

  answer(given) {
    const { ask, asking } = this;
    if (!ask) return;
    const near = ask.kind !== "choice" && ask.kind !== "zone" && Math.abs(given - ask.answer) <= ask.within;
    const right = near || String(given) === String(ask.answer);
    const before = this.model.get("answers")[ask.key];
    const tries = (before?.tries || 0) + 1;
    // Shown at once; the kernel keeps it, and says so by sending all answers.
    this.model.set("answers", { ...this.model.get("answers"), [ask.key]: { given, right, tries, first: right } });
    this.model.send({ kind: "answer", key: ask.key, given });
    this.asking = 0;
    if (this.open >= 0 && ask.kind === "page") this.leave();
    this.go(asking);
    this.root.querySelector(".zl-say").focus();
  }

  // A new exercise begins at its first step, a moved slider stays where it is.
  set(name, value, step = 0) {
    this.asking = 0;
    if (step) this.model.set("step", step);
    this.inputs[name].show(value);
    this.model.set("values", { ...this.model.get("values"), [name]: value });
    this.model.save_changes();
  }

  reset() {
    this.pause();
    const start = Object.fromEntries(Object.entries(this.inputs).map(([name, { start }]) => [name, start]));
    this.zone = null;
    this.asking = 0;
    this.leave();
    this.model.set({ values: start, step: 1 });
    this.model.save_changes();
  }

  toggle() {
    if (this.timer) return this.pause();
    if (this.step === this.story.steps.length) this.go(1);
    this.play.textContent = "Pause";
    this.play.setAttribute("aria-label", "Pause (space)");
    const beat = () => {
      this.go(this.step + 1);
      if (this.asking || this.step === this.story.steps.length) this.pause();
      else this.timer = setTimeout(beat, 1800 * this.speed.value);
    };
    this.timer = setTimeout(beat, 1800 * this.speed.value);
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = null;
    this.play.textContent = "Play";
    this.play.setAttribute("aria-label", "Play (space)");
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.key === "Tab") return;
    if (event.key === "Enter" && event.shiftKey) return; // runs the cell, as everywhere
    event.stopPropagation();
    const { target, key } = event;
    if (key === "Escape" && this.open >= 0) this.leave();
    else if (target === this.canvas && this.move(key)) event.preventDefault();
    else if (target.matches("input, select, button")) return;
    else if (key === "ArrowRight") this.go(this.step + 1);
    else if (key === "ArrowLeft") this.go(this.step - 1);
    else if (key === "Home") this.go(1);
    else if (key === "End") this.go(this.story.steps.length);
    else if (key === " ") this.toggle();
    else return;
    event.preventDefault();
  }

  // The keyboard's cursor on the map.
  move(key) {
    if (key === "Enter") return this.enter(), true;
    const by = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
    if (!by) return false;
    let next = this.mark;
    if (this.open >= 0) {
      const [x, y] = zCurve(Math.max(0, next));
      next = next < 0 ? 0 : zIndex((x + by[0] + 32) % 32, (y + by[1] + 32) % 32);
    } else if (next < 0) {
      const { focus } = this.story.steps[this.step - 1];
      next = focus >= 0 ? Math.floor(focus / BLOCK) : 0;
    } else next = Math.max(0, Math.min(this.frames.blocks - 1, next + by[0] + by[1] * this.plan.strip));
    this.look(next, true);
    return true;
  }

  point(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    this.look(this.open >= 0 ? pageUnder(this.square, x, y) : this.plan ? blockUnder(this.plan, x, y) : -1);
  }

  look(mark, aloud = false) {
    if (mark === this.mark) return;
    this.mark = mark;
    this.hint();
    if (aloud) this.heard.textContent = this.tip.textContent;
    this.draw();
  }

  enter() {
    if (this.mark < 0) return;
    const { ask } = this;
    if (ask?.kind === "block") return this.answer(this.mark);
    if (ask?.kind === "zone") return this.answer(called(this.frames.zones.get(this.frames.zone[this.mark])));
    if (ask?.kind === "page" && this.open >= 0) {
      const free = this.pages?.freeBlock(this.mark);
      return this.answer(this.open * BLOCK + (free ? free[0] : this.mark));
    }
    if (this.open >= 0) {
      this.model.send({ kind: "page", pfn: this.open * BLOCK + this.mark, step: this.step });
      return;
    }
    this.open = this.mark;
    this.mark = -1;
    this.pages = null;
    this.facts = null;
    this.fetch();
    this.show();
  }

  leave() {
    if (this.open < 0) return;
    this.mark = this.open;
    this.open = -1;
    this.facts = null;
    this.show();
    this.hint();
  }

  // Ask the kernel for the pages of the open block.
  fetch() {
    if (this.open >= 0) this.model.send({ kind: "block", block: this.open, step: this.step });
  }

  answered(content, buffers) {
    if (content.kind === "restore") this.codeSaid.textContent = content.problem || `${content.restored} answers restored`;
    else if (content.problem) this.heard.textContent = content.problem;
    else if (content.kind === "answer") this.codeSaid.textContent = content.trouble;
    else if (content.kind === "block" && content.block === this.open && content.step === this.step) {
      this.pages = new Pages(content.free, buffers);
      this.draw();
    } else if (content.kind === "page" && Math.floor(content.pfn / BLOCK) === this.open) {
      this.facts = content;
      this.heard.textContent = Object.entries(content.facts).map((pair) => pair.join(": ")).join("; ");
      this.draw();
    }
  }

  // -- showing

  load() {
    this.frames = new Frames(this.model.get("tape"));
    this.story = this.frames.story;
    if (this.open >= this.frames.blocks) this.leave();
    this.scrub.max = this.story.steps.length;
    const asks = this.model.get("predict") && this.story.steps.some((step) => step.ask);
    this.saved.hidden = !asks;
    this.root.classList.toggle("zl-has-asks", asks);
    this.title.textContent = this.story.title;
    this.root.setAttribute("aria-label", `Lab: ${this.story.title}`);
    this.plan = null;
    this.show();
  }

  shown() {
    const values = this.model.get("values");
    for (const [name, { show }] of Object.entries(this.inputs)) show(values[name]);
  }

  theme() {
    const theme = themeOf();
    this.palette = this.model.get("palette")[theme];
    this.root.dataset.theme = theme;
    for (const name of ["page", "panel", "ink", "soft", "line", "free", "main", "hot", "good", "shared"]) {
      this.root.style.setProperty(`--zl-${name}`, this.palette[name]);
    }
    if (this.frames) this.show();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.map;
    if (!width || !height) return;
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    this.plan = null;
    this.draw(true);
  }

  show() {
    const n = this.step;
    const step = this.story.steps[n - 1];
    const last = this.story.steps.length;
    this.frames.seek(n - 1);
    if (this.asking && (this.asking !== n + 1 || !this.ask)) this.asking = 0;
    this.scrub.value = n;
    this.scrub.setAttribute("aria-valuetext", `step ${n} of ${last}`);
    this.where.textContent = `step ${n} of ${last}`;
    this.back.disabled = n === 1;
    this.forth.disabled = n === last;
    this.tell(step, n);
    const [total, free, used] = step.total;
    const holds = total === free + used;
    this.total.replaceChildren(
      `${number(total)} pages = `, el("b", {}, number(free)), " free + ", el("b", {}, number(used)), ` used ${holds ? "✓" : "✗"}`,
    );
    if (this.open >= 0) this.fetch(); // the old pages stay until the new ones are here
    this.crumb.hidden = this.open < 0;
    this.canvas.setAttribute("aria-label", this.open < 0
      ? `Memory map of ${this.story.nodes.length} nodes. Arrow keys go from block to block, Enter opens one.`
      : `Block ${this.open}, 1,024 pages. Arrow keys go from page to page, Enter tells all about one, Escape closes it.`);
    this.draw(true); // not in the next frame: that would be 16 ms later
    // The instruments can wait for it, and are built once however many steps went by.
    this.building ||= requestAnimationFrame(() => {
      this.building = 0;
      this.instruments(this.story.steps[this.step - 1]);
    });
  }

  // What happens at this step, or the question before the next one.
  tell(step, n) {
    const { ask } = this;
    const key = JSON.stringify([n, step.text, this.asking, ask?.key, step.ask && this.model.get("answers")[step.ask.key]]);
    if (key === this.told) return; // nothing new: screen readers are not disturbed
    this.told = key;
    this.say.classList.toggle("zl-problem", step.problem && !ask);
    this.say.classList.toggle("zl-asking", Boolean(ask));
    this.map.classList.toggle("zl-target", Boolean(ask) && ["block", "zone", "page"].includes(ask.kind));
    if (ask) {
      this.say.replaceChildren(...this.question(ask));
      if (ask.kind === "page" && this.open !== ask.at) {
        this.open = ask.at;
        this.mark = -1;
        this.pages = this.facts = null;
      }
      return;
    }
    const verdict = step.ask ? this.verdict(step.ask) : [];
    this.say.replaceChildren(el("p", {}, el("em", { "aria-hidden": "true" }, String(n)), step.text), ...verdict);
  }

  question(ask) {
    const text = el("p", {}, el("em", {}, "predict"), ask.question);
    const pass = el("button", { type: "button", class: "zl-pass", onclick: () => this.answer("?") }, "I don’t know, show me");
    if (ask.kind === "choice") {
      const choices = ask.options.map((option) => el("button", { type: "button", onclick: () => this.answer(option) }, option));
      return [text, el("div", { class: "zl-options" }, ...choices, pass)];
    }
    if (ask.kind === "number") {
      const input = el("input", { type: "number", "aria-label": "Your answer", step: 1 });
      const send = () => input.value !== "" && this.answer(+input.value);
      input.addEventListener("keydown", (event) => event.key === "Enter" && send());
      return [text, el("div", { class: "zl-options" }, input, el("button", { type: "button", onclick: send }, "Answer"), pass)];
    }
    const how = ask.kind === "zone" ? "a block of the zone" : ask.kind === "page" ? "the block of pages" : "the block";
    return [text, el("div", { class: "zl-options" }, el("span", {}, `Click ${how} on the map, or go there with the arrow keys and press Enter.`), pass)];
  }

  // Prediction and outcome, side by side.
  verdict(ask) {
    const answer = this.model.get("answers")[ask.key];
    if (!answer) return [];
    const right = answer.given === ask.answer || String(answer.given) === String(ask.answer) || (typeof ask.answer === "number" && Math.abs(answer.given - ask.answer) <= ask.within);
    const show = (value) => (typeof value === "number" ? number(value) : value);
    const said = right ? ask.why : ask.feedback[String(answer.given)] || ask.otherwise;
    const yours = answer.given === "?" ? "You passed." : `You said ${show(answer.given)}.`;
    return [el("p", { class: `zl-verdict ${right ? "zl-right" : "zl-wrong"}` },
      el("b", {}, right ? "✓ " : "✗ "), right ? `${yours} Right. ` : `${yours} It was ${show(ask.answer)}. `, said, !right && ask.why && said !== ask.why ? ` ${ask.why}` : "")];
  }

  // One drawing a frame, however much has changed; at once when the canvas was cleared.
  draw(now = false) {
    if (now) return this.paint();
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.paint();
    });
  }

  paint() {
    if (!this.frames || !this.palette) return;
    const { clientWidth: width, clientHeight: height } = this.map;
    if (!width || !height) {
      this.late ||= setTimeout(() => ((this.late = 0), this.draw()), 200); // hidden for a moment, as when a theme is changed
      return;
    }
    const ctx = this.canvas.getContext("2d");
    const ratio = this.canvas.width / Math.max(1, width);
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    this.square = Math.floor(Math.min(height - 34, width - 10) / 32) * 32;
    this.card(width);
    if (this.open < 0) {
      this.plan ||= layout(this.story.nodes, width, height);
      if (this.plan) drawMachine(ctx, this.plan, this.frames, this.palette, this.step - 1, this.mark);
      return;
    }
    const zone = this.frames.zones.get(this.frames.zone[this.open]);
    const first = this.open * BLOCK;
    const back = el("button", { type: "button", onclick: () => this.leave() }, "◂ machine");
    const about = `block ${this.open}: pfn ${number(first)} to ${number(first + BLOCK - 1)}, zone ${zone ? zone.name : "?"}`;
    if (this.crumb.dataset.about !== about) this.crumb.replaceChildren(back, el("span", {}, about));
    this.crumb.dataset.about = about;
    if (this.pages) drawBlock(ctx, this.square, this.pages, this.palette, isShared(zone), this.mark);
  }

  // What is known about a page, beside its block.
  card(width) {
    const facts = this.facts && this.open >= 0 ? this.facts : null;
    this.facted ||= this.map.appendChild(el("dl", { class: "zl-facts" }));
    const room = width - this.square - 30;
    this.facted.hidden = !facts || room < 120;
    if (!facts) return;
    this.facted.style.left = `${this.square + 20}px`;
    this.facted.style.width = `${room}px`;
    const rows = [["page", `pfn ${number(facts.pfn)}`], ...Object.entries(facts.facts)];
    this.facted.replaceChildren(...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  }

  // The words beside the pointer.
  hint() {
    const words = this.mark < 0 ? null : this.open >= 0 ? this.aboutPage(this.mark) : this.aboutBlock(this.mark);
    this.tip.hidden = !words;
    if (!words) return;
    this.tip.replaceChildren(...words.map((line, i) => el(i ? "div" : "b", {}, line)));
    let at = null;
    if (this.open >= 0) {
      const [x, y] = zCurve(this.mark);
      const cell = this.square / 32;
      at = [5 + (x + 1) * cell, 24 + (y + 1) * cell];
    } else {
      at = this.plan && cellAt(this.plan, this.mark);
      if (at) at = [at[0] + this.plan.cell, at[1] + this.plan.cell];
    }
    if (!at) return;
    const { clientWidth: width, clientHeight: height } = this.map;
    const { offsetWidth: w, offsetHeight: h } = this.tip;
    this.tip.style.left = `${Math.max(0, Math.min(at[0] + 6, width - w - 4))}px`;
    this.tip.style.top = `${at[1] + h + 10 < height ? at[1] + 6 : Math.max(0, at[1] - h - 30)}px`;
  }

  age(stamp) {
    const ago = this.story.steps[this.step - 1].clock - stamp;
    return stamp ? `last used ${ago ? `${number(ago)} touches ago` : "just now"}` : "";
  }

  aboutBlock(block) {
    const f = this.frames;
    const zone = f.zones.get(f.zone[block]);
    const node = f.nodeOf(block);
    const used = f.used[block];
    const lines = [`pfn ${number(block * BLOCK)} to ${number(block * BLOCK + BLOCK - 1)}`, `zone ${zone ? zone.name : "?"}, node ${node.id}`];
    if (!used) lines.push("free as a whole, order 10");
    else {
      lines.push(`${number(used)} of 1,024 pages in use`);
      lines.push(`charged to ${this.frames.accounts[f.owner[block]]} (most of it)`);
      lines.push(`holds ${this.frames.mappings[f.mapping[block]] || "?"} (most of it)`, this.age(f.stamp[block]));
    }
    return lines.filter(Boolean);
  }

  aboutPage(i) {
    const p = this.pages;
    if (!p) return null;
    const pfn = this.open * BLOCK + i;
    const free = p.freeBlock(i);
    if (free) {
      const first = this.open * BLOCK + free[0];
      return [`pfn ${number(pfn)}`, `free, in a block of order ${free[1]}`, `pfn ${number(first)} to ${number(first + (1 << free[1]) - 1)}`];
    }
    const name = this.frames.mappings[p.mapping[i]] || "?";
    return [`pfn ${number(pfn)}`, `charged to ${this.frames.accounts[p.owner[i]]}`, `page ${number(p.index[i])} of ${name}`, this.age(p.stamp[i])].filter(Boolean);
  }

  // -- instruments

  instruments(step) {
    const parts = {
      why: () => this.why(step),
      free: () => this.freeAreas(step),
      zones: () => this.zoneList(),
      charges: () => this.charges(step),
      interference: () => this.interference(step),
    };
    const within = this.side.contains(document.activeElement) ? document.activeElement.dataset.zone : null;
    this.side.replaceChildren(...this.model.get("show").flatMap((name) => parts[name]()));
    if (within) this.side.querySelector(`[data-zone="${within}"]`)?.focus();
  }

  why(step) {
    const items = step.events.map(([depth, kind, text]) => el("li", { class: `zl-is-${kind}`, style: `--depth:${Math.min(depth, 5)}` }, text));
    return items.length ? [el("h5", {}, "Why"), el("ol", { class: "zl-why", tabindex: 0, "aria-label": "Why" }, ...items)] : [];
  }

  // The zone in which this step allocated, unless the reader chose one.
  zoneShown(step) {
    const chosen = this.zone !== null && this.frames.zones.get(this.zone);
    if (chosen) return chosen;
    const block = step.focus >= 0 ? Math.floor(step.focus / BLOCK) : this.frames.changed[0];
    const zone = this.frames.zones.get(this.frames.zone[block ?? 0]);
    return zone || this.frames.zones.values().next().value;
  }

  freeAreas(step) {
    const zone = this.zoneShown(step);
    if (!zone) return [];
    const most = Math.max(1, ...zone.counts);
    const colour = zoneColour(this.palette, this.frames, zone);
    const bars = zone.counts.map((n, order) =>
      el("td", {},
        el("span", { class: "zl-count" }, n ? number(n) : "·"),
        el("i", { style: `height:${n ? Math.max(3, Math.round((34 * Math.log2(1 + n)) / Math.log2(1 + most))) : 0}px;background:${colour}` })));
    const orders = zone.counts.map((_, order) => el("th", { scope: "col" }, String(order)));
    const caption = el("caption", { class: "zl-heard" }, `Free blocks of each order in zone ${zone.name}`);
    return [
      el("h5", {}, `Free blocks by order · ${zone.name}, node ${zone.node}`),
      el("table", { class: "zl-free" }, caption, el("tbody", {}, el("tr", {}, ...bars)), el("tfoot", {}, el("tr", {}, ...orders))),
    ];
  }

  zoneList() {
    const shown = this.zoneShown(this.story.steps[this.step - 1]);
    const rows = [...this.frames.zones.values()].sort((a, b) => a.node - b.node || a.id - b.id).map((zone) => {
      const used = (100 * (zone.pages - zone.free)) / zone.pages;
      const tick = (mark) => el("u", { style: `left:${100 - (100 * mark) / zone.pages}%` });
      const colour = zone.role === "main" ? this.palette.main : zoneColour(this.palette, this.frames, zone);
      const about = `${zone.name} on node ${zone.node}: ${number(zone.free)} of ${number(zone.pages)} pages free; watermarks min ${number(zone.min)}, low ${number(zone.low)}, high ${number(zone.high)}`;
      return el("button", { type: "button", class: "zl-zone", title: about, "aria-label": about, "aria-pressed": String(zone === shown), "data-zone": zone.id,
        onclick: () => { this.zone = this.zone === zone.id ? null : zone.id; this.show(); } },
        el("span", {}, called(zone)),
        el("span", { class: "zl-fill" }, el("i", { style: `width:${used}%;background:${colour}` }), tick(zone.low), tick(zone.high)),
        el("b", {}, number(zone.free)));
    });
    return [el("h5", {}, "Zones · pages free"), el("div", { class: "zl-zones" }, ...rows)];
  }

  charges(step) {
    const most = Math.max(1, ...Object.values(step.charges));
    const rows = Object.entries(step.charges).map(([name, pages]) =>
      el("div", { class: "zl-bar" },
        el("span", {}, name),
        el("span", { class: "zl-fill" }, el("i", { style: `width:${(100 * pages) / most}%;background:${ownerColour(this.palette, this.frames.accounts.indexOf(name))}` })),
        el("b", {}, number(pages))));
    return [el("h5", {}, "Charged pages"), el("div", {}, ...rows)];
  }

  interference(step) {
    const rows = Object.entries(step.interference);
    const head = el("h5", {}, "Interference · pages lost to");
    if (!rows.length) return [head, el("p", { class: "zl-none" }, "nobody has lost a page to anybody")];
    return [head, ...rows.map(([pair, pages]) => el("div", { class: "zl-bar" }, el("span", { class: "zl-wide" }, pair), el("b", {}, number(pages))))];
  }
}

export default {
  render({ model, el: root }) {
    const view = new LabView(model, root);
    return () => view.stop.abort();
  },
};
