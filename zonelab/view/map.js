// The memory map: from the frames of a story to pixels. Nothing here knows of buttons, sliders or the kernel.
// Joined with lab.js by lab.py.

const BLOCK = 1024; // pages in a block of 4 MiB
const ROOT = 1; // account of everything outside of containers

// -- frames

// A story and all changed blocks of all its steps, 16 bytes each, as written by History.payload() and packed by lab.py.
class Frames {
  constructor(view) {
    const head = view.getUint32(0, true);
    const story = JSON.parse(new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + 4, head)));
    const bytes = new Uint8Array(view.buffer, view.byteOffset + 4 + head, view.byteLength - 4 - head).slice().buffer;
    this.u32 = new Uint32Array(bytes);
    this.u16 = new Uint16Array(bytes);
    this.story = story;
    this.first = [];
    let at = 0;
    for (const step of story.steps) {
      this.first.push(at);
      at += step.changes;
    }
    this.blocks = story.nodes.reduce((sum, node) => sum + node.blocks, 0);
    this.at = -1;
  }

  boot() {
    this.used = new Uint16Array(this.blocks);
    this.owner = new Uint16Array(this.blocks);
    this.zone = new Uint16Array(this.blocks);
    this.mapping = new Uint16Array(this.blocks);
    this.stamp = new Uint32Array(this.blocks);
    for (const node of this.story.nodes) this.zone.fill(node.main, node.first, node.first + node.blocks);
    this.zones = new Map();
  }

  // Bring used, owner, zone, mapping, stamp and zones to step n (from 0).
  seek(n) {
    if (n === this.at) return this;
    if (n < this.at || this.at < 0) this.at = -1;
    for (let i = this.at + 1; i <= n; i++) {
      const step = this.story.steps[i];
      if (step.boot) this.boot();
      this.accounts = step.accounts || this.accounts;
      this.mappings = step.mappings || this.mappings;
      this.changed = [];
      for (let k = this.first[i]; k < this.first[i] + step.changes; k++) {
        const block = this.u32[k * 4];
        this.used[block] = this.u16[k * 8 + 2];
        this.owner[block] = this.u16[k * 8 + 3];
        this.zone[block] = this.u16[k * 8 + 4];
        this.mapping[block] = this.u16[k * 8 + 5];
        this.stamp[block] = this.u32[k * 4 + 3];
        this.changed.push(block);
      }
      for (const [id, zone] of Object.entries(step.zones)) {
        if (zone) this.zones.set(+id, zone);
        else this.zones.delete(+id);
      }
    }
    this.at = n;
    this.byZone = []; // zone id → its blocks, rising; software zones only
    for (const zone of this.zones.values()) if (zone.role !== "main") this.byZone[zone.id] = [];
    if (this.byZone.length) for (let block = 0; block < this.blocks; block++) this.byZone[this.zone[block]]?.push(block);
    return this;
  }

  nodeOf(block) {
    return this.story.nodes.find((node) => block >= node.first && block < node.first + node.blocks);
  }
}

// -- colours

function ownerColour(palette, account) {
  if (account === 0) return palette.free;
  if (account === ROOT) return palette.main;
  return palette.accounts[(account - 2) % palette.accounts.length];
}

// A zone's outline: its container's colour; one colour for all zones that several containers share.
function zoneColour(palette, frames, zone) {
  if (zone.role === "main") return palette.soft;
  const account = frames.accounts.indexOf(zone.owner);
  return account > ROOT ? ownerColour(palette, account) : palette.shared;
}

// A zone's name as it is shown: main zones all have the same, and are told apart by their node.
const called = (zone) => (zone.role === "main" ? `${zone.name}, node ${zone.node}` : zone.name);

const isShared = (zone) => zone !== undefined && (zone.role === "shared" || zone.role === "mount");

const mixed = new Map();

function mix(a, b, part) {
  const step = Math.round(part * 32) / 32; // a few dozen shades do, and are worked out once
  const key = a + b + step;
  if (!mixed.has(key)) mixed.set(key, blend(a, b, step));
  return mixed.get(key);
}

function blend(a, b, part) {
  const [x, y] = [a, b].map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
  return `rgb(${x.map((v, i) => Math.round(v + (y[i] - v) * part)).join(",")})`;
}

// -- where everything is

// Nodes side by side, or below each other where that gives larger cells; each a field of square cells in the order of their
// pfns. Cells are whole pixels, so that edges are sharp.
const LABEL = 14; // a line above each row, for names, where cells are large enough
const HEAD = 34; // a node's title and the first line of names

const STRIP = 16; // small cells run down the page in strips of so many, so that a zone stays one patch
const BETWEEN = 3;

function rowsFor(columns, cell, blocks) {
  return columns >= 1 ? Math.ceil(blocks / columns) * (cell + (cell >= 15 ? LABEL : 0)) : Infinity;
}

function layout(nodes, width, height) {
  const most = Math.max(...nodes.map((node) => node.blocks));
  let best = null;
  for (let across = 1; across <= nodes.length; across++) {
    const down = Math.ceil(nodes.length / across);
    const w = Math.floor((width - 24 * (across - 1) - 10) / across);
    const h = Math.floor((height - 4) / down) - HEAD;
    for (let cell = most <= 8 ? 110 : 64; cell >= 1; cell--) {
      const wide = Math.floor(w / cell);
      const even = 2 ** Math.floor(Math.log2(wide)); // powers of two are easier to count
      const strips = Math.floor((w + BETWEEN) / (STRIP * cell + BETWEEN));
      const options = cell < 12 && most > 512 ? [strips * STRIP] : [even, wide];
      const columns = options.find((n) => rowsFor(n, cell, most) <= h);
      const score = cell * (columns === even && options.length > 1 ? 1.3 : 1) * (across * down === nodes.length ? 1.2 : 1);
      if (columns && (!best || score > best.score)) best = { across, columns, cell, w, h, score, strip: options.length === 1 };
    }
  }
  if (!best) return null;
  const { across, columns, cell, w, h } = best;
  const label = cell >= 15 ? LABEL : 0;
  const fields = nodes.map((node, i) => ({ node, x: 6 + (i % across) * (w + 24), y: HEAD + Math.floor(i / across) * (h + HEAD), w }));
  const strip = best.strip ? STRIP : columns; // cells beside each other that follow each other
  const rows = Math.ceil(most / columns);
  return { fields, cell, gap: cell >= 15 ? 3 : cell >= 6 ? 1 : 0, columns, strip, rows, pitchY: cell + label, label };
}

// Column and row of the kth block of a node, with the strips side by side.
function place(plan, k) {
  const { strip, rows } = plan;
  const [at, inside] = [Math.floor(k / (strip * rows)), k % (strip * rows)];
  return [at, inside % strip, Math.floor(inside / strip)];
}

function fieldOf(plan, block) {
  return plan.fields.find(({ node }) => block >= node.first && block < node.first + node.blocks);
}

function cellAt(plan, block) {
  const field = fieldOf(plan, block);
  if (!field) return null;
  const [strip, column, row] = place(plan, block - field.node.first);
  return [field.x + strip * (plan.strip * plan.cell + BETWEEN) + column * plan.cell, field.y + row * plan.pitchY];
}

function blockUnder(plan, x, y) {
  for (const field of plan.fields) {
    const width = plan.strip * plan.cell + BETWEEN;
    const strip = Math.floor((x - field.x) / width);
    const column = Math.floor((x - field.x - strip * width) / plan.cell);
    const row = Math.floor((y - field.y) / plan.pitchY);
    if (strip < 0 || column < 0 || column >= plan.strip || row < 0 || row >= plan.rows) continue;
    if (y - field.y - row * plan.pitchY > plan.cell) continue;
    const k = (strip * plan.rows + row) * plan.strip + column;
    if (k < field.node.blocks) return field.node.first + k;
  }
  return -1;
}

// Runs of neighbours in one row among rising block numbers: [first block, length].
function* rowRuns(plan, blocks) {
  let first = -1;
  let length = 0;
  for (const block of blocks) {
    const field = fieldOf(plan, block);
    if (length && block === first + length && (block - field.node.first) % plan.strip) length++;
    else {
      if (length) yield [first, length];
      [first, length] = [block, 1];
    }
  }
  if (length) yield [first, length];
}

// Where a set of blocks ends: each side of a block that has no neighbour in the set.
function contour(ctx, plan, blocks) {
  const { cell, strip } = plan;
  const all = new Set(blocks);
  ctx.beginPath();
  for (const block of blocks) {
    const [x, y] = cellAt(plan, block);
    const { node } = fieldOf(plan, block);
    const column = (block - node.first) % strip;
    for (const [other, near, x1, y1, x2, y2] of [
      [block - 1, column > 0, x, y, x, y + cell],
      [block + 1, column < strip - 1, x + cell, y, x + cell, y + cell],
      [block - strip, block - strip >= node.first, x, y, x + cell, y],
      [block + strip, block + strip < node.first + node.blocks, x, y + cell, x + cell, y + cell],
    ]) {
      if (near && all.has(other)) continue;
      ctx.moveTo(x1, y1);
      ctx.lineTo(x2, y2);
    }
  }
  ctx.stroke();
}

// -- drawing

// Lines over a rectangle, each from (x + dx, y + dy) on.
function lines(ctx, x, y, w, h, colour, each) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, y, w, h);
  ctx.clip();
  ctx.strokeStyle = colour;
  ctx.globalAlpha = 0.55;
  ctx.lineWidth = 2;
  ctx.beginPath();
  each();
  ctx.stroke();
  ctx.restore();
}

// Shared memory is hatched.
function hatch(ctx, x, y, w, h, colour) {
  lines(ctx, x, y, w, h, colour, () => {
    for (let k = -h; k < w; k += 7) {
      ctx.moveTo(x + k, y + h);
      ctx.lineTo(x + k + h, y);
    }
  });
}

// The colours come round after a few containers; the second round has upright lines, the third level ones, the fourth both.
function round(ctx, x, y, w, h, account, palette) {
  const turn = account > ROOT ? Math.floor((account - 2) / palette.accounts.length) % 4 : 0;
  if (!turn) return;
  lines(ctx, x, y, w, h, palette.page, () => {
    for (let k = 3; turn !== 2 && k < w; k += 6) {
      ctx.moveTo(x + k, y);
      ctx.lineTo(x + k, y + h);
    }
    for (let k = 3; turn !== 1 && k < h; k += 6) {
      ctx.moveTo(x, y + h - k);
      ctx.lineTo(x + w, y + h - k);
    }
  });
}

function box(ctx, x, y, w, h, r) {
  ctx.beginPath();
  if (ctx.roundRect) ctx.roundRect(x, y, w, h, r);
  else ctx.rect(x, y, w, h);
}

const FONT = 'system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif';

// Words on the map, with a halo so that they can be read on anything.
function write(ctx, text, x, y, colour, palette) {
  ctx.font = `600 11px ${FONT}`;
  ctx.lineWidth = 3;
  ctx.lineJoin = "round";
  ctx.strokeStyle = palette.page;
  ctx.strokeText(text, x, y);
  ctx.fillStyle = colour;
  ctx.fillText(text, x, y);
}

// All blocks of a node as free ones: a few rectangles instead of thousands.
function emptyField(ctx, plan, field, palette) {
  const { cell, gap, strip, rows } = plan;
  ctx.fillStyle = palette.free;
  for (let k = 0; k < field.node.blocks; k += strip * rows) {
    const x = field.x + (k / (strip * rows)) * (strip * cell + BETWEEN);
    const count = Math.min(strip * rows, field.node.blocks - k);
    const full = Math.floor(count / strip);
    ctx.fillRect(x, field.y, strip * cell - gap, full * cell - gap);
    if (count % strip) ctx.fillRect(x, field.y + full * cell, (count % strip) * cell - gap, cell - gap);
  }
}

// The whole machine. `mark` is the block under the pointer or the keyboard's cursor, -1 for none.
function drawMachine(ctx, plan, frames, palette, step, mark) {
  const { cell, gap } = plan;
  const size = cell - gap;
  const story = frames.story;
  const taken = [];
  for (const field of plan.fields) {
    const { node } = field;
    const mib = node.blocks * 4;
    ctx.textBaseline = "alphabetic";
    ctx.font = `600 12px ${FONT}`;
    ctx.fillStyle = palette.ink;
    const title = `Node ${node.id}`;
    ctx.fillText(title, field.x, field.y - 20);
    const far = node.distances.map((d, n) => ` · ${d} to node ${n}`).filter((_, n) => n !== node.id).join("");
    ctx.fillStyle = palette.soft;
    const start = ctx.measureText(title).width + 7;
    ctx.font = `12px ${FONT}`;
    const memory = mib >= 1024 ? `${mib / 1024} GiB` : `${mib} MiB`;
    const about = start + ctx.measureText(memory + far).width <= field.w ? memory + far : memory;
    ctx.fillText(about, field.x + start, field.y - 20);
    if (cell < 8) emptyField(ctx, plan, field, palette);
    for (let k = 0; k < node.blocks; k++) {
      const block = node.first + k;
      if (cell < 8 && !frames.used[block]) continue;
      const [strip, column, row] = place(plan, k);
      const x = field.x + strip * (plan.strip * cell + BETWEEN) + column * cell;
      const y = field.y + row * plan.pitchY;
      const used = frames.used[block];
      const colour = used ? ownerColour(palette, frames.owner[block]) : palette.free;
      if (cell < 8) {
        ctx.fillStyle = mix(palette.free, colour, 0.35 + (0.65 * used) / BLOCK);
        ctx.fillRect(x, y, size, size);
        continue;
      }
      ctx.fillStyle = palette.free;
      box(ctx, x, y, size, size, 3);
      ctx.fill();
      if (!used) continue;
      const h = Math.max(2, Math.round((size * used) / BLOCK));
      ctx.fillStyle = colour;
      box(ctx, x, y + size - h, size, h, h > 5 ? 3 : 1);
      ctx.fill();
      round(ctx, x, y + size - h, size, h, frames.owner[block], palette);
      if (isShared(frames.zones.get(frames.zone[block]))) hatch(ctx, x, y + size - h, size, h, palette.page);
    }
    taken.push(...outlines(ctx, plan, field, frames, palette));
  }
  marks(ctx, plan, frames, palette, story.steps[step], mark, taken);
}

// Frames around zones, and their names where they fit. Returns where names are: [left, baseline, right].
function outlines(ctx, plan, field, frames, palette) {
  const { cell, gap, label: rows } = plan;
  const size = cell - gap;
  const names = [];
  for (const zone of frames.zones.values()) {
    if (zone.node !== field.node.id || zone.role === "main") continue;
    const blocks = frames.byZone[zone.id];
    ctx.strokeStyle = zoneColour(palette, frames, zone);
    ctx.lineWidth = rows ? 2 : 1.5;
    ctx.setLineDash(isShared(zone) && rows ? [5, 3] : []);
    let named = false;
    for (const [first, length] of rowRuns(plan, blocks)) {
      const [x, y] = cellAt(plan, first);
      if (rows) {
        box(ctx, x - 2, y - 2, length * cell - gap + 4, size + 4, 5);
        ctx.stroke();
      }
      const beside = rows || cell >= 12 ? [x, y - 5] : [x + plan.strip * cell + 5, y + 9];
      if (!named) names.push([zone.name, ...beside, ctx.strokeStyle]);
      named = true;
    }
    if (!rows) contour(ctx, plan, blocks);
    ctx.setLineDash([]);
  }
  const taken = [];
  const right = field.x + field.w;
  for (const [name, x, y, colour] of names) {
    ctx.font = `600 11px ${FONT}`;
    const w = ctx.measureText(name).width;
    const at = Math.max(field.x, Math.min(x, right - w));
    if (w > field.w || taken.some(([a, b, c]) => Math.abs(b - y) < 12 && at < c && a < at + w)) continue;
    write(ctx, name, at, y, colour, palette);
    taken.push([at, y, at + w + 6]);
  }
  return taken;
}

// What this step changed; the block of its last page, with a word beside it; the block under the pointer.
function marks(ctx, plan, frames, palette, step, mark, taken) {
  const { cell, gap, label: rows } = plan;
  const size = cell - gap;
  const focus = step.focus >= 0 ? Math.floor(step.focus / BLOCK) : -1;
  const { changed } = frames;
  if (changed.length && changed.length < frames.blocks) {
    ctx.strokeStyle = palette.hot;
    ctx.lineWidth = 1.5;
    if (!rows) contour(ctx, plan, changed);
    else {
      for (const [first, length] of rowRuns(plan, changed)) {
        const [x, y] = cellAt(plan, first);
        box(ctx, x + 1, y + 1, length * cell - gap - 2, size - 2, 3);
        ctx.stroke();
      }
    }
  }
  const out = rows ? 3 : 2;
  const ring = (block, colour, width) => {
    const at = block >= 0 ? cellAt(plan, block) : null;
    if (!at) return null;
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    box(ctx, at[0] - out, at[1] - out, size + 2 * out, size + 2 * out, 5);
    ctx.stroke();
    return at;
  };
  const at = ring(focus, palette.hot, 3);
  if (at) {
    const words = `pfn ${step.focus.toLocaleString("en-US")}`;
    ctx.font = `600 11px ${FONT}`;
    const w = ctx.measureText(words).width;
    const places = [
      [at[0], at[1] + size + out + 11],
      [at[0] + size + out + 5, at[1] + size / 2 + 4],
      [at[0] + plan.strip * cell + 5, at[1] + size / 2 + 4],
      [at[0], at[1] - out - 3],
    ];
    const free = places.find(([x, y]) => !taken.some(([a, b, c]) => Math.abs(b - y) < 12 && x < c && a < x + w));
    if (free) write(ctx, words, free[0], free[1], palette.hot, palette);
  }
  ring(mark, palette.ink, 2);
}

// -- one block

// Pages lie along a Z-curve, so that every buddy block is a square or two squares: page i at (even bits, odd bits) of i.
function zCurve(i) {
  let x = 0;
  let y = 0;
  for (let bit = 0; bit < 5; bit++) {
    x |= ((i >> (2 * bit)) & 1) << bit;
    y |= ((i >> (2 * bit + 1)) & 1) << bit;
  }
  return [x, y];
}

function zIndex(x, y) {
  let i = 0;
  for (let bit = 0; bit < 5; bit++) i |= (((x >> bit) & 1) << (2 * bit)) | (((y >> bit) & 1) << (2 * bit + 1));
  return i;
}

// The pages of a block, as answered by inspect.block_view().
class Pages {
  constructor(free, buffers) {
    const [owner, mapping, index, stamp, flags] = buffers.map((b) => b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength));
    this.owner = new Uint16Array(owner);
    this.mapping = new Uint16Array(mapping);
    this.index = new Uint32Array(index);
    this.stamp = new Uint32Array(stamp);
    this.flags = new Uint8Array(flags);
    this.free = free;
  }

  // The free buddy block that page i (0 to 1,023) lies in: [offset, order], or null.
  freeBlock(i) {
    return this.free.find(([offset, order]) => i >= offset && i < offset + (1 << order)) || null;
  }
}

function drawBlock(ctx, side, pages, palette, shared, mark) {
  const cell = side / 32;
  const x0 = 5;
  const y0 = 24;
  ctx.fillStyle = palette.page;
  ctx.fillRect(x0, y0, side, side);
  for (let i = 0; i < BLOCK; i++) {
    if (!pages.owner[i]) continue;
    const [x, y] = zCurve(i);
    ctx.fillStyle = ownerColour(palette, pages.owner[i]);
    ctx.fillRect(x0 + x * cell, y0 + y * cell, cell - 1, cell - 1);
    if (shared && cell >= 8) hatch(ctx, x0 + x * cell, y0 + y * cell, cell - 1, cell - 1, palette.page);
  }
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  for (const [offset, order] of pages.free) {
    const [x, y] = zCurve(offset);
    const w = cell * (1 << Math.ceil(order / 2));
    const h = cell * (1 << Math.floor(order / 2));
    ctx.fillStyle = palette.free;
    ctx.strokeStyle = palette.soft;
    ctx.lineWidth = 1;
    box(ctx, x0 + x * cell + 0.5, y0 + y * cell + 0.5, w - 2, h - 2, 2);
    ctx.fill();
    ctx.stroke();
    if (h >= 20) {
      ctx.font = `${h >= 60 ? 13 : 11}px ${FONT}`;
      ctx.fillStyle = palette.soft;
      ctx.fillText(h >= 60 ? `order ${order}` : order, x0 + x * cell + w / 2, y0 + y * cell + h / 2);
    }
  }
  ctx.textAlign = "start";
  if (mark >= 0) {
    const free = pages.freeBlock(mark);
    const [x, y] = zCurve(free ? free[0] : mark);
    const order = free ? free[1] : 0;
    ctx.strokeStyle = palette.ink;
    ctx.lineWidth = 2;
    box(ctx, x0 + x * cell - 1, y0 + y * cell - 1, cell * (1 << Math.ceil(order / 2)) + 1, cell * (1 << Math.floor(order / 2)) + 1, 2);
    ctx.stroke();
  }
}

function pageUnder(side, x, y) {
  const cell = side / 32;
  const column = Math.floor((x - 5) / cell);
  const row = Math.floor((y - 24) / cell);
  return column >= 0 && column < 32 && row >= 0 && row < 32 ? zIndex(column, row) : -1;
}
