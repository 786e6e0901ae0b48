"use strict";
// Shows the data of a page and controls the player. Text from files is only ever text of a node. page.py describes the data.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const byId = (id) => document.getElementById(id);
  const hasSound = Boolean(window.AudioContext || window.webkitAudioContext);
  const player = hasSound ? new Player(() => update()) : null;
  const MARKS = { "same-track": "same track", correct: "the right one" };
  const PLAY = "M7 4v16l13-8z", PAUSE = "M6 4h4v16H6zM14 4h4v16h-4z";
  let data = null, shown = null, said = "", playheads = [];

  // An element with properties, attributes (data-…, aria-…, class) and children; strings become text.
  function element(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === true) { node.setAttribute(key, ""); } else if (value !== false && value !== null) { node.setAttribute(key, value); }
    }
    node.append(...children);
    return node;
  }

  const time = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  const minus = (text) => text.replace("-", "−");
  const count = (number) => number.toLocaleString("en");

  // Twice the same outline, of which the second is shown up to the playhead.
  function waveform(peaks) {
    const box = element("div", { class: "peaks", "aria-hidden": "true" });
    if (!peaks.length) { return box; }
    const top = peaks.map((peak, at) => `${at},${50 - peak / 2}`), bottom = peaks.map((peak, at) => `${at},${50.5 + peak / 2}`).reverse();
    for (const part of ["all", "played"]) {
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("viewBox", `0 0 ${Math.max(1, peaks.length - 1)} 100`);
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("class", part);
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", `M${top.join("L")}L${bottom.join("L")}Z`);
      svg.append(path);
      box.append(svg);
    }
    return box;
  }

  function scale(score, [lowest, median, highest]) {
    const at = (value) => `${(100 * (value - lowest)) / Math.max(1e-9, highest - lowest)}%`;
    const bar = element("span", { class: "scale", "aria-hidden": "true", title: `library: ${lowest.toFixed(2)} to ${highest.toFixed(2)}, half of it below ${median.toFixed(2)}` }, element("i"), element("b"));
    bar.children[0].style.left = at(median);
    bar.children[1].style.left = at(score);
    return bar;
  }

  function ahead(rank, of) {
    if (of < 2) { return ""; }
    return rank === 1 ? " · ahead of all" : ` · ahead of ${((100 * (of - rank)) / (of - 1)).toFixed(of > 200 ? 1 : 0)} %`;
  }

  function plainAudio(sound) { // for browsers without Web Audio
    const type = "data:audio/mpeg;base64,";
    return element("audio", { controls: true, preload: "none", src: sound.audio.url ?? type + sound.audio.base64, "aria-label": sound.name });
  }

  function candidateRow(sound, number) {
    const unheard = number > 0 && !sound.audio;
    const radio = element("input", { type: "radio", name: "candidate", value: String(number), disabled: unheard });
    radio.addEventListener("change", () => player?.choose(number));
    const name = element("span", { class: "name" }, element("span", { class: "file" }, number ? sound.name : "The mix alone"));
    for (const mark of number ? sound.marks : []) { name.append(" ", element("span", { class: `mark ${mark}` }, MARKS[mark] ?? mark)); }
    const remarks = [...sound.notes, ...(sound.problem ? [sound.problem] : [])];
    if (remarks.length) { name.append(element("span", { class: "remark" }, remarks.join(" · "))); }
    const row = element("label", { class: unheard ? "row unheard" : "row" }, radio, element("span", { class: "rank" }, number ? String(sound.rank) : ""), name);
    row.append(hasSound || !sound.audio ? waveform(sound.peaks) : plainAudio(sound));
    if (number) {
      const score = element("span", { class: "score" }, element("b", {}, minus(sound.score.toFixed(3))));
      if (shown.scale) { score.append(scale(sound.score, shown.scale)); }
      score.append(element("small", {}, `${count(sound.rank)} of ${count(shown.of)}${ahead(sound.rank, shown.of)}`));
      row.append(score);
    }
    return row;
  }

  function choiceOfQueries() {
    const box = byId("choice"), groups = new Map();
    box.replaceChildren();
    box.hidden = data.comparisons.length < 2;
    byId("more-keys").hidden = box.hidden;
    data.comparisons.forEach((comparison, number) => groups.set(comparison.group, [...(groups.get(comparison.group) ?? []), number]));
    for (const [group, numbers] of groups) {
      const list = element("ul");
      for (const number of numbers) {
        const { name, summary } = data.comparisons[number];
        const button = element("button", { type: "button", class: "query", "data-number": String(number) }, element("span", {}, name), element("small", {}, summary));
        button.addEventListener("click", () => showComparison(number));
        list.append(element("li", {}, button));
      }
      box.append(element("h2", {}, group), list);
    }
  }

  function showComparison(number) {
    shown = data.comparisons[number];
    for (const button of document.querySelectorAll(".query")) {
      if (Number(button.dataset.number) === number) { button.setAttribute("aria-current", "true"); } else { button.removeAttribute("aria-current"); }
    }
    const rows = [shown.mix, ...shown.candidates].map(candidateRow);
    const legend = byId("legend");
    legend.textContent = data.comparisons.length > 1 ? `${shown.instrument} for ${shown.name}` : `${shown.instrument}: best of ${count(shown.of)}`;
    byId("candidates").replaceChildren(legend, ...rows);
    byId("wave-mix").replaceChildren(waveform(shown.mix.peaks));
    byId("seek").max = shown.seconds;
    byId("duration").textContent = time(shown.seconds);
    said = "";
    if (player) {
      player.load([shown.mix, ...shown.candidates], shown.seconds);
      if (shown.candidates.length && !shown.candidates[0].audio) { step(1); }
    }
    update();
  }

  // The next candidate that can be heard, in this direction.
  function step(direction) {
    const sounds = [shown.mix, ...shown.candidates];
    for (let at = player.chosen + direction; at >= 0 && at < sounds.length; at += direction) {
      if (at === 0 || sounds[at].audio) { choose(at); return; }
    }
  }

  function choose(number) {
    const radio = document.querySelector(`#candidates input[value="${number}"]`);
    if (!radio || radio.disabled) { return; }
    player.choose(number);
    if (document.activeElement?.name === "candidate") { radio.focus(); }
    radio.closest(".row").scrollIntoView({ block: "nearest" });
  }

  let drawn = null; // the choice whose waveform stands in the player
  function update() {
    if (!player || !shown) { return; }
    const chosen = player.chosen, sound = chosen ? shown.candidates[chosen - 1] : null;
    const radio = document.querySelector(`#candidates input[value="${chosen}"]`);
    if (radio) { radio.checked = true; }
    document.querySelectorAll("#candidates .row").forEach((row, number) => {
      row.classList.toggle("current", number === chosen);
      const error = player.sounds[number]?.error;
      if (error && !shown.candidates[number - 1]?.problem && !row.querySelector(".error")) { row.querySelector(".name").append(element("span", { class: "remark error" }, error)); }
    });
    if (drawn !== sound || !byId("wave-stem").firstChild) {
      drawn = sound;
      byId("wave-stem").replaceChildren(waveform(sound ? sound.peaks : []));
    }
    playheads = [...document.querySelectorAll("#player .played, .row.current .played")];
    for (const other of document.querySelectorAll(".row:not(.current) .played")) { other.style.clipPath = "inset(0 100% 0 0)"; }
    byId("play-icon").setAttribute("d", player.playing ? PAUSE : PLAY);
    byId("play-text").textContent = player.playing ? "Pause" : "Play";
    byId("loop").setAttribute("aria-pressed", String(player.loop));
    for (const track of document.querySelectorAll(".track")) {
      const { muted, solo, level } = player.tracks[track.dataset.track];
      track.querySelector(".mute").setAttribute("aria-pressed", String(muted));
      track.querySelector(".solo").setAttribute("aria-pressed", String(solo));
      track.querySelector(".level").value = String(level);
      track.querySelector(".level").setAttribute("aria-valuetext", minus(`${level} dB`));
      track.querySelector(".level").title = minus(`${level} dB`);
      track.classList.toggle("silent", !player.audible(track.dataset.track));
    }
    say(sound);
    draw();
  }

  function say(sound) {
    const heard = [player.audible("mix") ? "mix" : "", sound && player.audible("stem") ? `${sound.rank}: ${sound.name}` : ""].filter(Boolean);
    const loading = player.sounds.some(({ audio, buffer, error }) => audio && !buffer && !error);
    const text = `${player.playing ? "Playing" : loading ? "Loading" : "Ready"}: ${heard.join(" + ") || "nothing (muted)"}`;
    if (text !== said) { byId("status").textContent = said = text; }
  }

  function draw() {
    const position = player.position();
    byId("time").textContent = time(position);
    const seek = byId("seek");
    seek.value = String(position);
    seek.setAttribute("aria-valuetext", `${time(position)} of ${time(player.seconds)}`);
    for (const part of playheads) { part.style.clipPath = `inset(0 ${100 - (100 * position) / Math.max(player.seconds, 1e-9)}% 0 0)`; }
  }

  function frame() {
    if (player.ended()) { player.rewind(); }
    if (player.playing) { draw(); }
    requestAnimationFrame(frame);
  }

  const toggle = (name, key) => player.setTrack(name, { [key]: !player.tracks[name][key] });
  const togglePlay = () => { if (player.playing) { player.pause(); } else { player.play(); } };
  const query = (direction) => {
    const at = data.comparisons.indexOf(shown) + direction;
    if (at >= 0 && at < data.comparisons.length) { showComparison(at); }
  };
  const KEYS = {
    " ": togglePlay, ArrowUp: () => step(-1), ArrowDown: () => step(1), ArrowLeft: () => player.seek(player.position() - 2),
    ArrowRight: () => player.seek(player.position() + 2), m: () => toggle("stem", "muted"), s: () => toggle("stem", "solo"),
    M: () => toggle("mix", "muted"), S: () => toggle("mix", "solo"), l: () => player.setLoop(!player.loop), n: () => query(1), p: () => query(-1),
  };

  function onKey(event) {
    const at = event.target, key = event.key;
    if (!shown || event.ctrlKey || event.metaKey || event.altKey || at.closest?.("textarea, select, input:not([type=radio]):not([type=range])")) { return; }
    if (at.closest?.(".level") && key.startsWith("Arrow")) { return; } // its own keys
    if (at.closest?.("button, summary, a") && (key === " " || key === "Enter")) { return; }
    const action = KEYS[key] ?? (/^[0-9]$/.test(key) ? () => choose(Number(key)) : null);
    if (action) {
      event.preventDefault();
      action();
    }
  }

  function connect() {
    byId("play").addEventListener("click", togglePlay);
    byId("loop").addEventListener("click", () => player.setLoop(!player.loop));
    byId("seek").addEventListener("input", (event) => player.seek(Number(event.target.value)));
    for (const track of document.querySelectorAll(".track")) {
      const name = track.dataset.track;
      track.querySelector(".mute").addEventListener("click", () => toggle(name, "muted"));
      track.querySelector(".solo").addEventListener("click", () => toggle(name, "solo"));
      track.querySelector(".level").addEventListener("input", (event) => player.setTrack(name, { level: Number(event.target.value) }));
    }
    document.addEventListener("keydown", onKey);
    requestAnimationFrame(frame);
  }

  // What comes later of a candidate, from 1, of the first comparison: any of peaks, notes, problem, audio.
  function complete(page, number, more) {
    Object.assign(page.comparisons[0].candidates[number - 1], more);
    if (shown !== page.comparisons[0]) { return; }
    const old = byId("candidates").querySelectorAll(".row")[number], row = candidateRow(shown.candidates[number - 1], number);
    const focused = old.contains(document.activeElement);
    old.replaceWith(row);
    if (focused) { row.querySelector("input").focus(); }
    if (player?.chosen === number) { drawn = null; }
    update();
  }

  function show(page) {
    data = page;
    byId("found").hidden = false;
    byId("title").textContent = document.title = page.title;
    byId("lead").textContent = page.lead;
    byId("notes").replaceChildren(...page.notes.map((note) => element("p", { class: "note" }, note)));
    byId("facts").replaceChildren(...page.facts.flatMap(([term, text]) => [element("dt", {}, term), element("dd", {}, text)]));
    choiceOfQueries();
    showComparison(0);
  }

  if (player) {
    connect();
  } else {
    byId("player").hidden = true;
    byId("problem").hidden = false;
    byId("problem").textContent = "This browser has no Web Audio: sounds can be played one by one, but not together.";
  }
  window.listening = { show, complete, player };
  const stored = byId("data");
  if (stored) { show(JSON.parse(stored.textContent)); }
})();
