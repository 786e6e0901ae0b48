"use strict";
// Copies the text of a box; where the browser does not allow that, the text is selected for Ctrl+C. Without this script the boxes are there too.
function copy(box, says) {
  const tell = (copied) => { says.textContent = copied ? "Copied" : "Selected: press Ctrl+C"; };
  const select = () => {
    box.focus();
    box.select();
    let copied = false;
    try { copied = document.execCommand("copy"); } catch { /* not allowed */ }
    tell(copied);
  };
  if (navigator.clipboard) { navigator.clipboard.writeText(box.value).then(() => tell(true), select); } else { select(); }
}
for (const button of document.querySelectorAll("button[data-copies]")) {
  button.hidden = false;
  const says = button.parentElement.querySelector("output");
  button.addEventListener("click", () => copy(document.getElementById(button.dataset.copies), says));
}
// Before printing, folded parts are opened; links into a folded part open it.
addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details.figures")) { one.open = true; } });
function reveal() {
  const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let one = place; one; one = one.parentElement) { if (one.tagName === "DETAILS") { one.open = true; } }
  if (place) { place.scrollIntoView(); }
}
addEventListener("hashchange", reveal);
reveal();
