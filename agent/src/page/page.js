// Makes the page quicker; it works without. Forms and the way to the next photo change only what is inside <main>.
"use strict";

const main = () => document.getElementById("main");

async function swap(address, options) {
  const before = main();
  before.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(address, options);
    const type = answer.headers.get("content-type") || "";
    if (!type.startsWith("text/html")) throw new Error("not a page");
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = next.getElementById("main");
    if (!fresh) throw new Error("not one of ours");
    document.title = next.title;
    before.replaceWith(fresh);
    history.replaceState(null, "", answer.status === 200 ? answer.url : location.href);
    window.scrollTo(0, 0);
    fresh.focus({ preventScroll: true });
    warm();
  } catch {
    // Whatever it was, the plain way shows it.
    location.href = "/";
  }
}

// The next photo is fetched while this one is being sorted.
function warm() {
  const form = document.querySelector("form[data-next]");
  if (form) new Image().src = form.dataset.next;
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  const body = new URLSearchParams(new FormData(form, event.submitter));
  event.preventDefault();
  // A second tap while the first is on its way does nothing.
  if (main().getAttribute("aria-busy") === "true") return;
  swap(form.action, { method: "POST", body });
});

// Back from the camera: what was taken meanwhile is there, unless somebody is in the middle of ticking.
document.addEventListener("visibilitychange", () => {
  const ticking = document.querySelector("main :checked");
  if (document.visibilityState === "visible" && !ticking && location.pathname === "/") swap(location.href);
});

warm();
