"use strict";
// The page holds what was found (data.events) and what a person made of it (work): decisions by
// the number of an event, and events that were added. The work is kept in the browser.
const data = JSON.parse(document.getElementById("data").textContent);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const get = id => document.getElementById(id);
const storageKey = "rcrnn-report-" + data.key;
const SMALLEST = 0.02, NUDGE = 0.05, ADDED = 0.5, COLLAR = 0.5;
let work = {changes: {}, added: []}, history = [], currentId = null, stopAt = null;
let lastPlayer = null;  // the player that was started or moved last
try { work = JSON.parse(localStorage.getItem(storageKey)) ?? work; } catch { /* a private window */ }

let verdicts = new Map();  // by the number of an event, where they are others than at first

// All events as they are now: those found, with their changes, and those added.
function events() {
  const found = data.events.map(event => ({...event, ...(work.changes[event.id] ?? {})}));
  return [...found, ...work.added].map(
    event => verdicts.has(event.id) ? {...event, verdict: verdicts.get(event.id)} : event);
}
const current = () => events().find(event => event.id === currentId);
const sectionOf = event => document.querySelector(`section[data-number="${event.section}"]`);
const audioOf = event => sectionOf(event).querySelector("audio");
const startOf = event => data.sections[event.section].start;

function clock(seconds) {
  const hundredths = Math.round(seconds * 100), whole = Math.floor(hundredths / 100);
  const two = number => String(number).padStart(2, "0");
  const h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
  return `${h ? h + ":" + two(m) : m}:${two(whole % 60)}.${two(hundredths % 100)}`;
}

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function colorOf(label) {
  const index = data.labels.indexOf(label);
  return data.colors[(index < 0 ? data.labels.length : index) % data.colors.length];
}

function allLabels() {
  return [...new Set([...data.labels, ...events().map(event => event.label)])];
}

function isShown(event) {
  const box = document.querySelector(`.by-label[value="${data.labels.indexOf(event.label)}"]`);
  const verdict = all(".by-verdict").find(b => b.value === event.verdict);
  return (!box || box.checked) && (!verdict || verdict.checked)
    && (event.lane === "true" || event.score >= Number(get("score").value));
}

// Hits, misses and false alarms are marked anew among the events of one recording and label of which
// one was relabeled, moved, added or rejected. The other events keep the marks that they came with.
// A rejected event is no event: it has no mark, and what it was paired with is free for another one.
function judge() {
  verdicts = new Map();
  if (!data.verdicts.length) return;
  const list = events(), atFirst = new Map(data.events.map(event => [event.id, event]));
  const group = event => JSON.stringify([data.sections[event.section].file, event.label]);
  const changed = new Map();
  const note = event => changed.set(group(event), {found: [], true: []});
  for (const event of list) {
    const was = atFirst.get(event.id), rejected = event.decision === "reject";
    if (rejected) verdicts.set(event.id, null);
    if (!rejected && was?.label === event.label && was?.onset === event.onset) continue;
    note(event);
    if (was) note(was);
  }
  for (const event of list)
    if (!verdicts.has(event.id)) changed.get(group(event))?.[event.lane].push(event);
  for (const own of changed.values()) {
    const hits = hitsAmong(own.found, own.true);
    for (const event of own.found) verdicts.set(event.id, hits.has(event) ? "hit" : "false alarm");
    for (const event of own.true) verdicts.set(event.id, hits.has(event) ? "hit" : "miss");
  }
}

// Found and true events of one label that belong together, one to one: as many as possible.
function hitsAmong(found, truth) {
  const partners = new Map();
  function place(event, tried) {
    for (const other of truth) {
      if (Math.abs(other.onset - event.onset) > COLLAR || tried.has(other)) continue;
      tried.add(other);
      if (partners.has(other) && !place(partners.get(other), tried)) continue;
      partners.set(other, event);
      return true;
    }
    return false;
  }
  // An event that has a partner keeps one: those that were hits come first.
  const last = event => Number(event.verdict !== "hit");
  [...found].sort((a, b) => last(a) - last(b)).forEach(event => place(event, new Set()));
  return new Set([...partners.keys(), ...partners.values()]);
}

function thresholdOf(label) { return data.thresholds[label] ?? data.threshold; }

// Events of the found lane in the order in which j and k go through them.
function ordered() {
  const list = events().filter(event => event.lane === "found" && isShown(event));
  const order = get("order").value;
  const byTime = (a, b) => a.section - b.section || a.onset - b.onset;
  const doubt = event => (event.decision ? 10 : 0) + Math.abs(event.score - thresholdOf(event.label));
  if (order === "score") return list.sort((a, b) => b.score - a.score || byTime(a, b));
  if (order === "unsure") return list.sort((a, b) => doubt(a) - doubt(b) || byTime(a, b));
  return list.sort(byTime);
}

function laneEvent(event, duration) {
  const from = event.onset - startOf(event);
  const text = `${event.label} ${clock(event.onset)} to ${clock(event.offset)}`
    + (event.lane === "found" ? `, ${event.score.toFixed(2)}` : "")
    + (event.verdict ? `, ${event.verdict}` : "");
  const button = make("button", {type: "button", title: text,
    className: `event ${event.decision ?? ""} ${event.verdict === "miss" ? "miss" : ""}`
      + (event.id === currentId ? " current" : "")});
  button.dataset.id = event.id;
  button.setAttribute("aria-label", text);
  button.style.left = 100 * from / duration + "%";
  button.style.width = 100 * (event.offset - event.onset) / duration + "%";
  button.style.backgroundColor = colorOf(event.label);
  if (event.lane === "found") button.append(make("i"), make("i"));
  return button;
}

function row(event) {
  const number = (text, wide) => make("td", {className: "number" + (wide ? " wide" : "")}, text);
  const select = make("select", {title: "Label"},
    ...allLabels().map(label => make("option", {value: label, selected: label === event.label}, label)),
    make("option", {value: ""}, "other …"));
  select.className = "relabel";
  const choice = (name, text) => {
    const button = make("button", {type: "button", title: text,
      className: name + (event.decision === name ? " on" : "")}, name === "keep" ? "✓" : "✗");
    button.dataset.decision = name;
    button.setAttribute("aria-pressed", event.decision === name);
    button.setAttribute("aria-label", text);
    return button;
  };
  const swatch = make("span", {className: "swatch"});
  swatch.style.background = colorOf(event.label);
  const line = make("tr", {tabIndex: 0,
      className: `${event.decision ?? ""} ${event.id === currentId ? "current" : ""}`},
    number(clock(event.onset)), number(clock(event.offset), true),
    number((event.offset - event.onset).toFixed(2), true),
    make("td", {className: "label"}, swatch, " ", select),
    number(event.added ? "added" : event.score.toFixed(2)));
  if (data.verdicts.length)
    line.append(make("td", {className: "verdict wide " + (event.verdict === "hit" ? "good" : "bad")},
                     event.verdict ?? ""));
  line.append(make("td", {className: "actions"}, choice("keep", "Keep"), " ", choice("reject", "Reject")));
  line.dataset.id = event.id;
  return line;
}

function draw() {
  const list = events(), byOrder = ordered();
  for (const section of all("section")) {
    if (!section.querySelector(".strip")) continue;
    const number = Number(section.dataset.number), duration = Number(section.dataset.duration);
    for (const lane of all(".lane", section)) {
      all(".event", lane).forEach(element => element.remove());
      const own = list.filter(e => e.section === number && e.lane === lane.dataset.lane && isShown(e));
      lane.append(...own.map(event => laneEvent(event, duration)));
    }
    const rows = byOrder.filter(event => event.section === number);
    section.querySelector("tbody").replaceChildren(...rows.map(row));
    const some = list.some(event => event.section === number && event.lane === "found");
    section.querySelector("table").classList.toggle("hidden", !some);
    section.querySelector(".none").classList.toggle("hidden", some);
  }
  const found = list.filter(event => event.lane === "found");
  // A browser may have kept the place of the slider from an earlier visit.
  get("least").textContent = Number(get("score").value).toFixed(2);
  get("shown").textContent = byOrder.length;
  get("total").textContent = found.length;
  get("decided").textContent = found.filter(event => event.decision).length;
}

// Every change goes through here, so that it can be undone and is kept in the browser.
function change(action) {
  history.push([JSON.stringify(work), currentId]);
  action();
  keep();
}

function keep() {
  try { localStorage.setItem(storageKey, JSON.stringify(work)); } catch { /* a private window */ }
  judge();
  draw();
}

// The page may be open twice: what a person does in one window is not lost by work in the other.
window.addEventListener("storage", event => {
  if (event.key !== storageKey || !event.newValue) return;
  work = JSON.parse(event.newValue);
  history = [];  // it would take back what was done in the other window
  judge();
  draw();
});

function undo() {
  if (!history.length) return;
  const [before, id] = history.pop();
  work = JSON.parse(before);
  currentId = id;
  keep();
  if (current()) show(current());
}

function edit(id, values) {
  change(() => {
    const added = work.added.find(event => event.id === id);
    if (added) Object.assign(added, values);
    else work.changes[id] = {...(work.changes[id] ?? {}), ...values};
  });
}

function decide(id, decision) {
  const event = events().find(e => e.id === id);
  edit(id, {decision: event.decision === decision ? null : decision});
}

function relabel(id, label) {
  const name = label || prompt("New label");
  if (name && name.trim()) edit(id, {label: name.trim(), decision: "keep"});
  else draw();
}

function move(id, border, time) {
  const event = events().find(e => e.id === id), section = data.sections[event.section];
  const low = border === "onset" ? section.start : event.onset + SMALLEST;
  const high = border === "onset" ? event.offset - SMALLEST : section.start + section.duration;
  // An event shorter than the smallest one stays within its section.
  const within = border === "onset"
    ? Math.max(low, Math.min(time, high)) : Math.min(Math.max(time, low), high);
  const value = Math.round(within * 1000) / 1000;
  edit(id, {[border]: value, decision: "keep"});
}

function add(section, onset, offset) {
  const {start, duration} = data.sections[section];
  const label = current()?.label ?? data.labels[0] ?? prompt("Label of the new event");
  if (!label) return;
  const to3 = value => Math.round(value * 1000) / 1000;
  const event = {id: "a" + Date.now() + work.added.length, section, lane: "found", label, score: 1,
    onset: to3(Math.max(start, onset)), offset: to3(Math.min(start + duration, offset)),
    decision: "keep", added: true};
  if (event.offset - event.onset < SMALLEST) return;
  change(() => { currentId = event.id; work.added.push(event); });
}

// The table of all events, in columns that the package reads. The last one tells the events of this
// page apart where they overlap, and from those of the page of a later training.
function table() {
  const cell = value => /[",\r\n]/.test(String(value))
    ? '"' + String(value).replaceAll('"', '""') + '"' : String(value);
  const lines = [["file", "onset", "offset", "label", "score", "decision",
                  "was_onset", "was_offset", "was_label", "event_id"]];
  for (const event of events().filter(e => e.lane === "found")) {
    const was = data.events.find(e => e.id === event.id);
    lines.push([data.sections[event.section].file, event.onset, event.offset, event.label, event.score,
                event.added && event.decision === "keep" ? "add" : event.decision ?? "",
                was?.onset ?? "", was?.offset ?? "", was?.label ?? "", `${data.key}-${event.id}`]);
  }
  return lines.map(line => line.map(cell).join(",") + "\r\n").join("");
}

function show(event) {
  currentId = event.id;
  draw();
  const section = sectionOf(event), line = section.querySelector(`tr[data-id="${event.id}"]`);
  section.closest("details")?.setAttribute("open", "");
  if (line) line.scrollIntoView({block: "nearest"});
  const scroll = section.querySelector(".scroll");
  const place = (event.onset - startOf(event)) / section.dataset.duration * scroll.scrollWidth;
  if (place < scroll.scrollLeft || place > scroll.scrollLeft + scroll.clientWidth)
    scroll.scrollLeft = place - scroll.clientWidth / 4;
}

function play(event) {
  show(event);
  const audio = audioOf(event);
  if (!audio) return;
  lastPlayer = audio;
  all("audio").forEach(other => { if (other !== audio) other.pause(); });
  audio.currentTime = Math.max(0, event.onset - startOf(event));
  stopAt = {audio, time: event.offset - startOf(event)};
  audio.play().catch(() => {});
}

function step(by) {
  const list = ordered(), index = list.findIndex(event => event.id === currentId);
  const next = list[index < 0 ? 0 : index + by];
  if (next) play(next);
}

function decideAndGoOn(decision) {
  if (!current()) { step(1); return; }
  // The order may change with the decision, so the next event is chosen before.
  const list = ordered(), next = list[list.findIndex(event => event.id === currentId) + 1];
  // A key says what shall be; only the button of a decision takes it back when pressed again.
  edit(currentId, {decision});
  if (next) play(events().find(event => event.id === next.id));
}

function playOrPause() {
  const audio = lastPlayer ?? document.querySelector("audio");
  if (!audio) return;
  stopAt = null;
  if (audio.paused) audio.play().catch(() => {}); else audio.pause();
}

function addAtPlayer() {
  const audio = lastPlayer ?? document.querySelector("audio");
  if (!audio) return;
  const number = Number(audio.closest("section").dataset.number);
  const time = data.sections[number].start + audio.currentTime;
  add(number, time, time + ADDED);
}

const KEYS = {
  j: () => step(1), k: () => step(-1), " ": playOrPause, u: undo, a: addAtPlayer,
  y: () => decideAndGoOn("keep"), n: () => decideAndGoOn("reject"),
};

function onKey(key, shift) {
  if (KEYS[key]) { KEYS[key](); return true; }
  const event = current();
  if (!event) return false;
  if (/^[1-9]$/.test(key) && allLabels()[key - 1]) { relabel(event.id, allLabels()[key - 1]); return true; }
  const sign = {ArrowLeft: -1, ArrowRight: 1}[key];
  if (!sign) return false;
  const border = shift ? "offset" : "onset";
  move(event.id, border, event[border] + sign * NUDGE);
  return true;
}

document.addEventListener("keydown", key => {
  if (key.target.matches("input, select, audio, .scroll") || key.ctrlKey || key.metaKey || key.altKey) return;
  if (key.key === "Enter" && key.target.matches("tr[data-id]")) {
    play(events().find(event => event.id === key.target.dataset.id)); key.preventDefault();
  } else if (key.target.matches("button") && (key.key === " " || key.key === "Enter")) {
    return;  // the button's own
  } else if (onKey(key.key, key.shiftKey)) key.preventDefault();
});

document.addEventListener("click", click => {
  const target = click.target;
  const decision = target.closest("button[data-decision]");
  if (decision) { decide(decision.closest("tr").dataset.id, decision.dataset.decision); return; }
  if (target.closest("select, option")) return;
  const key = target.closest("button[data-key]");
  if (key) { onKey(key.dataset.key, false); return; }
  const element = target.closest(".event, tr[data-id]");
  if (element) play(events().find(event => event.id === element.dataset.id));
});

document.addEventListener("change", event => {
  if (event.target.matches(".relabel"))
    relabel(event.target.closest("tr").dataset.id, event.target.value);
});

// Dragging a border moves it; dragging over the free part of the found lane adds an event.
document.addEventListener("pointerdown", down => {
  const lane = down.target.closest(".lane.found");
  if (!lane || down.button !== 0) return;
  const handle = down.target.closest(".event i"), onEvent = down.target.closest(".event");
  if (onEvent && !handle) return;
  if (!handle && down.pointerType === "touch") return;  // a finger scrolls
  const section = lane.closest("section"), number = Number(section.dataset.number);
  const {start, duration} = data.sections[number], box = lane.getBoundingClientRect();
  const timeAt = x => start + Math.min(Math.max((x - box.left) / box.width, 0), 1) * duration;
  const id = onEvent?.dataset.id;
  const border = handle && (handle === onEvent.querySelector("i") ? "onset" : "offset");
  const draft = make("div", {className: "draft"});
  lane.append(draft);
  const first = handle ? events().find(e => e.id === id)[border === "onset" ? "offset" : "onset"] : timeAt(down.clientX);
  function span(x) { return [Math.min(first, timeAt(x)), Math.max(first, timeAt(x))]; }
  function follow(pointer) {
    const [from, to] = span(pointer.clientX);
    draft.style.left = 100 * (from - start) / duration + "%";
    draft.style.width = 100 * (to - from) / duration + "%";
  }
  function end(pointer) {
    document.removeEventListener("pointermove", follow);
    draft.remove();
    if (Math.abs(pointer.clientX - down.clientX) < 3) return;
    if (handle) { currentId = id; move(id, border, timeAt(pointer.clientX)); }
    else add(number, ...span(pointer.clientX));
    // The click that ends a drag is no wish to play.
    document.addEventListener("click", click => click.stopPropagation(), {capture: true, once: true});
    setTimeout(() => document.dispatchEvent(new Event("click")));
  }
  document.addEventListener("pointermove", follow);
  document.addEventListener("pointerup", end, {once: true});
  down.preventDefault();
});

all("section").forEach(section => {
  const audio = section.querySelector("audio"), head = section.querySelector(".head");
  if (!audio) return;
  function follow() {
    head.style.display = "block";
    head.style.left = 100 * audio.currentTime / section.dataset.duration + "%";
    if (stopAt && stopAt.audio === audio && audio.currentTime >= stopAt.time) {
      audio.pause(); stopAt = null;
    }
    if (!audio.paused) requestAnimationFrame(follow);
  }
  for (const kind of ["play", "seeking"]) audio.addEventListener(kind, () => { lastPlayer = audio; });
  audio.addEventListener("play", follow);
  audio.addEventListener("seeked", follow);
  section.querySelector(".strip img").addEventListener("click", click => {
    const box = click.target.getBoundingClientRect();
    stopAt = null;
    audio.currentTime = (click.clientX - box.left) / box.width * section.dataset.duration;
  });
});

all(".bar input, .bar select").forEach(input => input.addEventListener("input", draw));
get("undo").addEventListener("click", undo);
get("export").addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([table()], {type: "text/csv"}));
  make("a", {href: url, download: "corrections.csv"}).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
});
judge();
draw();
