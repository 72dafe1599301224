"use strict";
// The pages follow the queue: what is marked data-live is fetched again, while it can be seen.
{
  const PAUSE = 5000;
  const MOST = 30000;
  const SHARE = 10;
  const button = document.getElementById("spooler-pause");
  const said = document.getElementById("spooler-said");
  let follows = true;
  let isBusy = false;
  let next = PAUSE;

  function replace(old, fresh) {
    const chosen = new Set([...old.querySelectorAll("input:checked")].map((box) => box.id));
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    const opened = [...old.querySelectorAll("details[open]")].map((details) => details.id);
    const scrolled = old.querySelector(".results")?.scrollLeft ?? 0;
    old.replaceChildren(...document.importNode(fresh, true).childNodes);
    for (const box of old.querySelectorAll("input[type=checkbox]")) box.checked = chosen.has(box.id);
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    const results = old.querySelector(".results");
    if (results) results.scrollLeft = scrolled;
    // What changes at every look would be read out at every look: only this summary is.
    if (fresh.dataset.said && fresh.dataset.said !== old.dataset.said) {
      said.textContent = fresh.dataset.said;
      old.dataset.said = fresh.dataset.said;
    }
  }

  async function follow() {
    if (!follows || isBusy || document.hidden) return;
    isBusy = true;
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { headers: { "X-Requested-With": "fetch" } });
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live]")) {
        const fresh = page.getElementById(old.id);
        if (follows && fresh && fresh.textContent !== old.textContent) replace(old, fresh);
      }
    } catch {
      // The site is away for a moment: the next look may find it back.
    } finally {
      isBusy = false;
      // A site that has much to do is asked less often.
      next = Math.min(MOST, Math.max(PAUSE, SHARE * (performance.now() - began)));
    }
  }

  async function keepFollowing() {
    await follow();
    setTimeout(keepFollowing, next);
  }

  if (document.querySelector("[data-live]")) {
    setTimeout(keepFollowing, PAUSE);
    document.addEventListener("visibilitychange", follow);
  }
  if (button) {
    const label = button.textContent;
    button.hidden = false;
    button.addEventListener("click", () => {
      follows = !follows;
      button.setAttribute("aria-pressed", String(!follows));
      button.textContent = follows ? label : button.dataset.paused;
      if (follows) follow();
    });
  }
  // A long action is asked for in brief rounds, so that its page shows how far it got.
  const asked = document.querySelector("form[data-brief]");
  if (asked?.elements.brief) asked.elements.brief.value = "1";
  document.querySelector("form[data-continue]")?.requestSubmit();
  document.addEventListener("change", (event) => {
    if (event.target.id !== "spooler-all") return;
    for (const box of document.querySelectorAll(".action-select")) box.checked = event.target.checked;
  });
}
