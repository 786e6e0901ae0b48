"use strict";
// Asks the server: a mix or stems of its library, then which stems fit; the listening page shows the answer.
(() => {
  const byId = (id) => document.getElementById(id);
  let mix = null, generation = 0, asked = 0;
  const chosen = new Map(); // number of a stem → its name, in this generation

  async function request(path, options) {
    const response = await fetch(path, options).catch(() => { throw new Error("The server does not answer: is it still running?"); });
    const answer = await response.json().catch(() => ({ error: "The answer was not understood." }));
    if (!response.ok) { throw new Error(answer.error); }
    return answer;
  }
  const post = (path, content) => request(path, { method: "POST", body: content });

  // One at a time: what comes of an earlier one is left out.
  async function during(text, action) {
    const number = ++asked;
    byId("busy").textContent = text;
    byId("refused").hidden = true;
    try {
      await action(() => number === asked);
    } catch (error) {
      if (number === asked) {
        byId("refused").textContent = error.message;
        byId("refused").hidden = false;
      }
    } finally {
      if (number === asked) { byId("busy").textContent = ""; }
    }
  }

  async function take(given, current) {
    const answer = await given;
    if (!current()) { return; }
    mix = answer.mix;
    byId("given").textContent = `Mix: ${answer.name}`;
    await ask(current);
  }

  async function ask(current) {
    byId("busy").textContent = `Looking for ${byId("instrument").value} …`;
    const page = await post("query", JSON.stringify({ mix, instrument: byId("instrument").value }));
    if (current()) { window.listening.show(page); }
  }

  function upload(file) {
    if (file) { during(`Reading ${file.name} …`, (current) => take(post(`mix?name=${encodeURIComponent(file.name)}`, file), current)); }
  }

  async function list() {
    const found = await request(`stems?find=${encodeURIComponent(byId("find").value)}`);
    if (found.generation !== generation) { chosen.clear(); }
    generation = found.generation;
    byId("list").replaceChildren(...found.stems.map(({ number, name }) => {
      const row = document.createElement("label"), box = document.createElement("input"), text = document.createElement("span");
      box.type = "checkbox";
      box.checked = chosen.has(number);
      box.addEventListener("change", () => { if (box.checked) { chosen.set(number, name); } else { chosen.delete(number); } });
      text.textContent = name;
      row.append(box, text);
      return row;
    }));
    const more = found.found > found.stems.length ? ` The first ${found.stems.length} of ${found.found} are shown.` : "";
    byId("listed").textContent = `${found.of} stems in the library.${more}`;
  }

  byId("file").addEventListener("change", (event) => upload(event.target.files[0]));
  byId("instrument").addEventListener("change", () => { if (mix) { during("", ask); } });
  byId("sum").addEventListener("click", () => {
    during("Adding stems …", (current) => take(post("sum", JSON.stringify({ generation, stems: [...chosen.keys()] })), current));
  });
  byId("stems").addEventListener("toggle", () => { if (byId("stems").open) { during("", list); } });
  byId("find").addEventListener("input", () => during("", list));
  document.addEventListener("dragover", (event) => { event.preventDefault(); byId("drop").classList.add("over-it"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) { byId("drop").classList.remove("over-it"); } });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    byId("drop").classList.remove("over-it");
    upload(event.dataTransfer.files[0]);
  });
})();
