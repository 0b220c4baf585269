"use strict";
// Colours that a colour-vision deficiency tells apart (Okabe and Ito), one an object.
const COLOURS = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2", "#b8c4d0"];
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const video = $("video"), canvas = $("boxes");
let shown = null, question = null, clockS = 0, playing = false, before = 0;

function make(tag, options = {}, ...children) {
  const node = Object.assign(document.createElement(tag), options);
  node.append(...children);
  return node;
}
const chip = (text, kind = "") => make("span", { className: `chip ${kind}`, textContent: text });
const seconds = (s) => s.toFixed(2).padStart(5, "0");
const words = (text) => text.replaceAll("_", "-");
const inside = (t, [start, end]) => start <= t && t < end;
const colourOf = (id) => COLOURS[Math.max(0, shown.objects.findIndex((o) => o.id === id)) % COLOURS.length];
const nameOf = (id) => (shown.objects.find((o) => o.id === id) || { name: "?" }).name;

// The box of a tube at a time: on a sample that box, between two visible ones in line, at most two
// native steps apart; nothing where the tube is absent or nobody looked.
function boxAt(tube, t) {
  const times = tube.times, n = times.length;
  const step = n > 1 ? (times[n - 1] - times[0]) / (n - 1) : 1;
  let low = 0, high = n;
  while (low < high) { const mid = (low + high) >> 1; if (times[mid] <= t) low = mid + 1; else high = mid; }
  const a = low - 1, b = low;
  if (a >= 0 && b < n && tube.boxes[a] && tube.boxes[b] && times[b] - times[a] <= 2.5 * step) {
    const share = (t - times[a]) / (times[b] - times[a]);
    return tube.boxes[a].map((v, i) => v + share * (tube.boxes[b][i] - v));
  }
  const near = a < 0 ? b : b >= n ? a : t - times[a] <= times[b] - t ? a : b;
  return Math.abs(times[near] - t) <= step / 2 + 1e-6 ? tube.boxes[near] : null;
}
const sounds = (object, t) => shown.parts.some((p) => p.object === object && p.sounding.some((s) => inside(t, s)));

// What is drawn now, in pixels of the canvas: tests read it, too.
function boxesAt(t) {
  const width = canvas.clientWidth, height = canvas.clientHeight;
  return shown.tubes
    .filter((tube) => tube.verdict !== "rejected" || $("rejected").checked)
    .map((tube) => ({ tube, box: boxAt(tube, t) }))
    .filter(({ box }) => box)
    .map(({ tube, box }) => ({ tube, xyxy: box.map((v, i) => v * (i % 2 ? height : width)) }));
}
function draw(t) {
  clockS = t;
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const to = canvas.getContext("2d");
  to.setTransform(ratio, 0, 0, ratio, 0, 0);
  to.clearRect(0, 0, width, height);
  to.font = "600 13px system-ui, sans-serif";
  for (const { tube, xyxy: [x1, y1, x2, y2] } of boxesAt(t)) {
    const colour = colourOf(tube.object), loud = sounds(tube.object, t);
    const asked = question && question.tubes.includes(tube.id);
    to.lineWidth = asked ? 4 : 2.5;
    to.setLineDash(tube.verdict === "rejected" ? [2, 5] : loud ? [] : [7, 5]);
    to.strokeStyle = colour;
    if (loud) { to.globalAlpha = 0.16; to.fillStyle = colour; to.fillRect(x1, y1, x2 - x1, y2 - y1); to.globalAlpha = 1; }
    to.strokeRect(x1, y1, x2 - x1, y2 - y1);
    to.setLineDash([]);
    const text = `${nameOf(tube.object)}${loud ? " ♪" : ""}${tube.verdict === "rejected" ? " (rejected)" : ""}`;
    const wide = to.measureText(text).width + 10, top = y1 >= 19 ? y1 - 19 : y1;
    const left = Math.max(0, Math.min(x1 - to.lineWidth / 2, width - wide));
    to.fillStyle = colour; to.fillRect(left, top, wide, 19);
    to.fillStyle = "#0b0f14"; to.fillText(text, left + 5, top + 14);
  }
  $("head").style.left = `${(100 * t) / shown.duration}%`;
  $("clock").textContent = `${seconds(t)} / ${seconds(shown.duration)} s`;
  canvas.dataset.time = String(t);
}

// A frame is drawn over with its own time: what the picture shows, not what the clock says.
function follow() {
  if (video.requestVideoFrameCallback) {
    const each = (_, frame) => { if (shown.src) draw(frame.mediaTime); video.requestVideoFrameCallback(each); };
    video.requestVideoFrameCallback(each);
  } else {
    const each = () => { if (shown && shown.src && video.readyState > 1) draw(video.currentTime); requestAnimationFrame(each); };
    requestAnimationFrame(each);
  }
}
function tick(now) { // the clock of a video that is not at hand
  if (playing && shown && !shown.src) {
    const next = clockS + ((now - before) / 1000) * Number($("speed").value);
    draw(next >= shown.duration ? 0 : next);
  }
  before = now;
  requestAnimationFrame(tick);
}
function seek(t) {
  const time = Math.max(0, Math.min(t, shown.duration - 1e-3));
  if (shown.src) video.currentTime = time; else draw(time);
}
function toggle() {
  if (shown.src) { if (video.paused) video.play(); else video.pause(); } else playing = !playing;
  mark();
}
function mark() { $("play").textContent = (shown.src ? !video.paused : playing) ? "❚❚" : "▶"; }

function wave() {
  const paper = $("wave"), ratio = window.devicePixelRatio || 1;
  paper.width = Math.round(paper.clientWidth * ratio); paper.height = Math.round(paper.clientHeight * ratio);
  const to = paper.getContext("2d"), { width, height } = paper;
  to.clearRect(0, 0, width, height);
  to.fillStyle = "#5b7690"; to.font = `${12 * ratio}px system-ui, sans-serif`;
  if (!shown.wave) { to.fillText(shown.src ? "no sound" : "no waveform: the video is not at hand", 10 * ratio, height / 2); return; }
  const n = shown.wave.length, loud = shown.parts.flatMap((p) => p.sounding);
  for (let x = 0; x < width; x++) {
    const at = (x / width) * shown.duration, tall = (shown.wave[Math.floor((x / width) * n)] / 100) * (height - 6);
    to.fillStyle = loud.some((s) => inside(at, s)) ? "#7fc4ff" : "#4c6277";
    to.fillRect(x, (height - tall) / 2, 1, Math.max(1, tall));
  }
}
function segment(row, [start, end], colour, thin = 0) {
  const node = make("div", { className: thin ? "seg thin" : "seg" });
  Object.assign(node.style, { left: `${(100 * start) / shown.duration}%`, width: `${(100 * (end - start)) / shown.duration}%`, background: colour });
  if (thin) node.style.bottom = "2px";
  row.append(node);
}
function rows() {
  const box = $("rows");
  box.replaceChildren();
  const add = (label) => { const row = make("div", { className: "row" }, make("span", { textContent: label })); box.append(row); return row; };
  for (const event of shown.events) {
    const row = add(event.label || event.description);
    row.dataset.event = event.id;
    for (const each of event.segments) segment(row, each, "#3d5a80");
  }
  for (const object of shown.objects) {
    const parts = shown.parts.filter((p) => p.object === object.id), colour = colourOf(object.id);
    if (!parts.length && !shown.tubes.some((t) => t.object === object.id)) continue;
    const row = add(`${object.name}${parts.some((p) => p.audibility === "audible_only") ? " (heard, not seen)" : ""}`);
    for (const each of parts.flatMap((p) => p.sounding)) { segment(row, each, colour); row.lastChild.style.opacity = 0.55; }
    for (const tube of shown.tubes.filter((t) => t.object === object.id && t.verdict !== "rejected"))
      for (const each of visible(tube)) segment(row, each, colour, 1);
  }
  if (question) {
    const row = add(question.span ? "asked about" : "right answer");
    for (const each of question.span ? [question.span] : question.intervals) segment(row, each, "#ffffff66");
  }
}
function axis() { // a label each so many seconds, about ten in all
  const step = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600].find((s) => shown.duration / s <= 12) || 1200;
  const marks = [];
  for (let t = 0; t < shown.duration; t += step) {
    const mark = make("span", { textContent: `${t}${t ? "" : " s"}` });
    mark.style.left = `${(100 * t) / shown.duration}%`;
    marks.push(mark);
  }
  $("axis").replaceChildren(...marks);
}
function visible(tube) {
  const found = [];
  const step = tube.times.length > 1 ? tube.times[1] - tube.times[0] : 0.2;
  tube.times.forEach((t, i) => {
    if (!tube.boxes[i]) return;
    const last = found[found.length - 1];
    if (last && t - last[1] < step) last[1] = t + step; else found.push([t, t + step]);
  });
  const last = tube.window[1];
  return found.map(([start, end]) => [start, Math.min(end, last, shown.duration)]);
}
function inspection(said) {
  if (!said) return chip("not inspected", "warn");
  const who = said.by === "human" ? `${said.annotator}, ${said.at}` : "rules alone";
  const kind = said.verdict === "ok" ? (said.by === "human" ? "good" : "warn") : "bad";
  return chip(`${said.verdict} · ${who}${said.carried ? " · carried over" : ""}`, kind);
}
function events() {
  const cards = shown.events.map((e) => make("div", { className: "card" },
    make("b", { textContent: `${e.label || "event"} ` }), inspection(e.inspection),
    ...(e.inspection ? e.inspection.reasons.map((r) => chip(words(r), "bad")) : []),
    ...(e.description === e.label ? [] : [make("div", { textContent: e.description })]),
    make("div", { className: "small", textContent: `${e.segments.map((s) => s.map((v) => v.toFixed(1)).join("–")).join(", ")} s · times ${e.source} · ${tubesOf(e)}` })));
  $("events").replaceChildren(...(cards.length ? cards : [make("div", { className: "none", textContent: "No event in this video." })]));
}
function tubesOf(event) {
  const ids = new Set(shown.parts.filter((p) => p.event === event.id).map((p) => p.object));
  const tubes = shown.tubes.filter((t) => ids.has(t.object));
  const by = Object.entries(Object.groupBy ? Object.groupBy(tubes, (t) => t.verdict || "not inspected") : {});
  return tubes.length ? `tubes: ${by.map(([verdict, list]) => `${list.length} ${verdict}`).join(", ") || tubes.length}` : "no tube";
}
function questions() {
  const cards = shown.questions.filter(fits).map((q) => {
    const card = make("div", { className: "card", tabIndex: 0 },
      chip(words(q.task) + (q.branch ? ` · ${q.branch}` : ""), "task"), chip(q.split),
      chip(q.by === "human" ? "human" : "rules alone", q.by === "human" ? "good" : "warn"),
      make("p", { textContent: q.question }), make("pre", { textContent: q.answer }),
      make("div", { className: "small", textContent: `${q.pack}/${q.template} · ${q.id.split("/")[1]}` }));
    card.classList.toggle("on", question === q);
    card.onclick = () => { question = question === q ? null : q; rows(); questions();
      if (question) seek((q.span || q.intervals[0] || [0])[0]); draw(clockS); };
    return card;
  });
  const none = shown.questions.length ? "No question of this video fits the filter." : "No question about this video.";
  $("questions").replaceChildren(...(cards.length ? cards : [make("div", { className: "none", textContent: none })]));
}
function legend() {
  const used = shown.objects.filter((o) => shown.tubes.some((t) => t.object === o.id));
  $("legend").replaceChildren(...used.map((o) => {
    const dot = make("span", { className: "dot" });
    dot.style.background = colourOf(o.id);
    return make("span", {}, dot, o.name);
  }));
}
function absent(why) {
  const box = $("absent");
  box.hidden = !why;
  box.replaceChildren(...(why ? [make("b", { textContent: why }), make("code", { textContent: shown.uri }),
    make("span", { className: "small", textContent: "Its tubes are drawn on an empty frame." })] : []));
}
function show(one) {
  shown = one; question = null; playing = false; clockS = 0;
  location.replace(`#${encodeURIComponent(one.id)}`);
  $("title").replaceChildren(make("b", { textContent: one.id }),
    make("span", { className: "small", textContent: `${one.width}×${one.height} · ${one.fps.toFixed(2)} fps · ${one.duration.toFixed(1)} s · licence ${one.licence || "not known"}` }));
  fit();
  if (one.src) { video.src = one.src; video.playbackRate = Number($("speed").value); } else { video.removeAttribute("src"); video.load(); }
  video.hidden = !one.src;
  absent(one.src ? "" : `The video is not at hand: ${one.why}`);
  rows(); axis(); events(); questions(); legend(); wave(); draw(0); mark();
  for (const item of $("list").children) item.classList.toggle("on", item.dataset.id === one.id);
}
function fit() { // as large as the window has room for, in the video's own shape
  const wide = $("stage").clientWidth - 36, tall = Math.max(220, window.innerHeight * 0.52);
  const width = Math.min(wide, (tall * shown.width) / shown.height);
  $("screen").style.width = `${Math.floor(width)}px`;
  $("screen").style.height = `${Math.floor((width * shown.height) / shown.width)}px`;
}
const chosen = (id) => $(id).value;
const fits = (q) => (!chosen("task") || q.task === chosen("task")) && (!chosen("split") || q.split === chosen("split"));
function matches(one) {
  const text = chosen("search").toLowerCase();
  const said = [one.id, ...one.events.flatMap((e) => [e.label || "", e.description]), ...one.objects.map((o) => o.name), ...one.questions.map((q) => q.question)];
  return (!text || said.some((s) => s.toLowerCase().includes(text))) &&
    (!chosen("category") || one.events.some((e) => (e.label || "(none)") === chosen("category"))) &&
    (!(chosen("task") || chosen("split")) || one.questions.some(fits));
}
function list() {
  const found = data.videos.filter(matches);
  $("list").replaceChildren(...found.map((one) => {
    const n = one.questions.filter(fits).length;
    const about = [...new Set(one.events.map((e) => e.label || "no category"))].join(", ") || "no event";
    const item = make("li", { className: one.src ? "" : "gone" }, make("b", { textContent: one.id }),
      make("small", { textContent: `${n} question${n === 1 ? "" : "s"} · ${about}${one.src || !data.media_root ? "" : " · not at hand"}` }));
    item.dataset.id = one.id;
    item.onclick = () => show(one);
    item.classList.toggle("on", one === shown);
    return item;
  }));
  const all = data.videos.length < data.of ? ` (the first ${data.videos.length} of ${data.of} are on this page)` : "";
  $("count").textContent = `${found.length} of ${data.videos.length} videos${all}`;
  if (!found.length) $("list").append(make("div", { className: "none", textContent: "Nothing fits the filter." }));
  else if (!found.includes(shown)) show(found[0]);
  else questions();
}
function options(id, all, values) {
  $(id).replaceChildren(make("option", { value: "", textContent: all }), ...[...new Set(values)].sort().map((v) => make("option", { value: v, textContent: words(v) })));
  $(id).onchange = list;
}
function start() {
  const asked = data.videos.flatMap((v) => v.questions), gone = data.videos.filter((v) => !v.src).length;
  $("name").textContent = data.name;
  $("facts").textContent = `${asked.length} questions · ${data.videos.length} videos${gone ? `, ${gone} not at hand` : ""} · licence ${data.licence} · pin ${data.pin.slice(0, 12)}`;
  options("task", "all tasks", asked.map((q) => q.task));
  options("category", "all categories", data.videos.flatMap((v) => v.events.map((e) => e.label || "(none)")));
  options("split", "all splits", asked.map((q) => q.split));
  $("search").oninput = list;
  $("play").onclick = toggle;
  $("speed").onchange = () => { video.playbackRate = Number($("speed").value); };
  $("rejected").onchange = () => draw(clockS);
  $("line").onclick = (at) => { const box = $("line").getBoundingClientRect(); seek(((at.clientX - box.left) / box.width) * shown.duration); };
  video.onplay = video.onpause = video.onended = mark;
  video.onerror = () => { if (shown.src) absent("This browser can't play the file, or it is not there any more"); };
  window.onresize = () => { fit(); wave(); draw(clockS); };
  document.onkeydown = (key) => {
    if (/INPUT|SELECT|TEXTAREA/.test(key.target.tagName)) return;
    const items = [...$("list").querySelectorAll("li")], at = items.findIndex((i) => i.classList.contains("on"));
    const does = {
      " ": toggle,
      ArrowLeft: () => seek(clockS - 1 / shown.fps), ArrowRight: () => seek(clockS + 1.01 / shown.fps),
      ArrowUp: () => items[Math.max(0, at - 1)]?.click(), ArrowDown: () => items[Math.min(items.length - 1, at + 1)]?.click(),
    }[key.key];
    if (does) { key.preventDefault(); does(); }
  };
  const named = decodeURIComponent(location.hash.slice(1));
  const first = data.videos.find((v) => v.id === named) || data.videos[0];
  if (!first) { $("count").textContent = "This release has no video."; return; }
  shown = first;
  list(); show(first); follow(); requestAnimationFrame(tick);
}
start();
