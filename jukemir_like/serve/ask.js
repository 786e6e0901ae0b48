"use strict";
// Asks the server: a mix or stems of its library, then which stems fit; the listening page shows the answer.
(() => {
  const byId = (id) => document.getElementById(id);
  let mix = null, generation = 0, asked = 0, listed = 0, taking = false, looking = null;
  const chosen = new Map(); // number of a stem → its name, in this generation
  const LARGEST = Number(byId("drop").dataset.largest);

  async function request(path, options) {
    const response = await fetch(path, options).catch(() => { throw new Error("The server does not answer: is it still running?"); });
    const answer = await response.json().catch(() => ({ error: "The answer was not understood." }));
    if (!response.ok) { throw new Error(answer.error); }
    return answer;
  }
  const post = (path, content) => request(path, { method: "POST", body: content });

  // One at a time: what comes of an earlier one is left out.
  async function during(text, action) {
    const number = ++asked, current = () => number === asked;
    looking = null;
    byId("busy").textContent = text;
    byId("refused").hidden = true;
    const watch = setInterval(() => tellOfIndexing(current), 1000);
    try {
      await action(current);
    } catch (error) {
      if (current()) { refuse(error); }
    } finally {
      clearInterval(watch);
      if (current()) { byId("busy").textContent = ""; }
    }
  }

  function refuse(error) {
    byId("refused").textContent = error.message;
    byId("refused").hidden = false;
  }

  async function tellOfIndexing(current) {
    const { indexing } = await request("state").catch(() => ({}));
    if (indexing && current() && byId("busy").textContent) {
      byId("busy").textContent = "The library has changed: what is new in it is indexed first, and the terminal shows how far …";
    }
  }

  // A mix, which `send` gives to the server, and then which stems fit it.
  function give(text, send) {
    during(text, async (current) => {
      taking = true;
      const answer = await send().finally(() => { if (current()) { taking = false; } });
      if (!current()) { return; }
      mix = answer.mix;
      byId("given").textContent = `Mix: ${answer.name}`;
      await ask(current);
    });
  }

  async function ask(current) {
    const instrument = byId("instrument").value.trim();
    if (!mix) { throw new Error("First give a mix."); }
    if (!instrument) { throw new Error("Now say what the mix lacks, in your own words."); }
    const question = JSON.stringify({ mix, instrument, segments: byId("unit").value === "parts" });
    byId("busy").textContent = `Looking for ${instrument} …`;
    looking = question;
    try {
      const page = await post("query", question);
      if (!current()) { return; }
      const details = page.comparisons[0].candidates.map((candidate) => request(candidate.details)); // before the sounds, which take longer
      window.listening.show(page);
      details.forEach((more, at) => complete(page, at + 1, more));
    } finally {
      if (looking === question) { looking = null; }
    }
  }

  async function complete(page, number, details) {
    window.listening.complete(page, number, await details.catch((error) => ({ notes: [error.message] })));
  }

  function askAgain() {
    if (taking) { return; } // it will be asked for what is chosen by then
    const question = JSON.stringify({ mix, instrument: byId("instrument").value.trim(), segments: byId("unit").value === "parts" });
    if (looking !== question) { during("", ask); }
  }

  function upload(file) {
    give(`Reading ${file.name} …`, async () => {
      if (file.size > LARGEST) { throw new Error(`${file.name} is too large: at most ${LARGEST / 1048576} MiB are taken.`); }
      await file.slice(0, 1).arrayBuffer().catch(() => { throw new Error(`${file.name} cannot be read: give an audio file.`); });
      return post(`mix?name=${encodeURIComponent(file.name)}`, file);
    });
  }

  // The one file that was dropped.
  function dropped(transfer) {
    const { files } = transfer;
    if (!files.length) { throw new Error("This is no file: drop an audio file of a mix."); }
    if (files.length > 1) { throw new Error(`These are ${files.length} files: drop one, the mix.`); }
    if (transfer.items[0].webkitGetAsEntry?.()?.isDirectory) { throw new Error(`${files[0].name} is a folder: drop one audio file, the mix.`); }
    return files[0];
  }

  async function list() {
    const number = ++listed;
    byId("refused").hidden = true;
    const found = await request(`stems?find=${encodeURIComponent(byId("find").value)}`).catch(refuse);
    if (!found || number !== listed) { return; }
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

  byId("file").addEventListener("click", () => { byId("file").value = ""; }); // the same file, written anew, is a change too
  byId("file").addEventListener("change", (event) => { if (event.target.files.length) { upload(event.target.files[0]); } });
  byId("instrument").addEventListener("change", () => { if (mix) { askAgain(); } });
  byId("unit").addEventListener("change", () => { if (mix) { askAgain(); } });
  byId("look").addEventListener("click", askAgain);
  byId("sum").addEventListener("click", () => {
    give("Adding stems …", () => post("sum", JSON.stringify({ generation, stems: [...chosen.keys()] })));
  });
  byId("stems").addEventListener("toggle", () => { if (byId("stems").open) { list(); } });
  byId("find").addEventListener("input", list);

  const isText = (event) => event.target.closest?.("input") && !event.dataTransfer.types.includes("Files"); // dropped into a field
  document.addEventListener("dragover", (event) => {
    if (isText(event)) { return; }
    event.preventDefault();
    byId("drop").classList.add("over-it");
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) { byId("drop").classList.remove("over-it"); } });
  document.addEventListener("drop", (event) => {
    byId("drop").classList.remove("over-it");
    if (isText(event)) { return; }
    event.preventDefault();
    try {
      upload(dropped(event.dataTransfer));
    } catch (error) {
      refuse(error);
    }
  });
})();
