// The quiz: radio buttons and numbers, and what is said about each answer. The answers themselves are in the kernel.

let count = 0;

function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function question(model, ask, number, id) {
  const send = (given) => model.send({ key: ask.key, given });
  const said = el("p", { class: "zq-said", role: "status" });
  let mark = () => {};
  let inputs;
  if (ask.kind === "number") {
    const input = el("input", { type: "number", step: 1, "aria-label": `Answer to question ${number}` });
    const go = () => input.value !== "" && send(+input.value);
    input.addEventListener("keydown", (event) => event.key === "Enter" && go());
    inputs = [el("div", { class: "zq-number" }, input, el("button", { type: "button", onclick: go }, "Answer"))];
    mark = (verdict) => (input.value = verdict.given);
  } else {
    inputs = ask.options.map((option, i) => {
      const input = el("input", { type: "radio", name: id, id: `${id}-${i}`, value: option, onchange: () => send(option) });
      return el("label", { for: `${id}-${i}` }, input, el("span", {}, option));
    });
    mark = (verdict) => {
      for (const label of inputs) {
        const input = label.firstChild;
        input.checked = input.value === String(verdict.given);
        label.className = input.checked ? (verdict.right ? "zq-right" : "zq-wrong") : "";
      }
    };
  }
  const show = () => {
    const verdict = model.get("verdicts")[ask.key];
    if (!verdict) return;
    mark(verdict);
    const words = `${verdict.right ? "✓ Right." : "✗ Not so."} ${verdict.said}`;
    if (said.textContent !== words) said.textContent = words;
    said.className = `zq-said ${verdict.right ? "zq-right" : "zq-wrong"}`;
  };
  show();
  return [el("fieldset", {}, el("legend", {}, `${number}. ${ask.question}`), ...inputs, said), show];
}

function render({ model, el: root }) {
  const stop = new AbortController();
  root.classList.add("zonelab-quiz");
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", model.get("title"));
  // JupyterLab would take the arrow keys for itself.
  root.addEventListener("keydown", (event) => event.key !== "Tab" && !(event.key === "Enter" && event.shiftKey) && event.stopPropagation(), { signal: stop.signal });
  const title = el("p", { class: "zq-title" }, model.get("title"));
  const pairs = model.get("asks").map((ask, i) => question(model, ask, i + 1, `zq${count++}`));
  const score = el("p", { class: "zq-score" });
  const show = () => {
    for (const [, one] of pairs) one();
    const verdicts = Object.values(model.get("verdicts"));
    const right = verdicts.filter((verdict) => verdict.right).length;
    score.textContent = verdicts.length ? `${right} of ${pairs.length} right` : "";
  };
  root.append(title, ...pairs.map(([field]) => field), score);
  show();
  model.on("change:verdicts", show);
  return () => {
    stop.abort();
    model.off("change:verdicts", show);
  };
}

export default { render };
