// Makes pages live. Everything works without it.
"use strict";
(() => {
  // At most one refresh in this time, in milliseconds; longer while the server takes long.
  const PACE = 250;
  // Rows beyond this are forgotten by a page that is open for long.
  const ROWS = 200;

  // Copies what stands in an element, which can be selected without script as well.
  const arm = (root) => {
    for (const button of root.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const words = button.parentElement.querySelector("[data-copied]");
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      if (words) words.textContent = "Copied.";
    } catch {
      if (words) words.textContent = "The browser doesn't allow it: select the text and copy it.";
    }
  });
  document.addEventListener("htmx:afterSwap", () => arm(document));

  // Puts what has changed of one element into another, and leaves the rest alone, so that nothing flickers, and focus and selection stay.
  const blend = (now, then) => {
    if (now.isEqualNode(then)) return;
    if (now.nodeType !== then.nodeType || now.nodeName !== then.nodeName) return now.replaceWith(then);
    if (now.nodeType !== Node.ELEMENT_NODE) {
      if (now.nodeValue !== then.nodeValue) now.nodeValue = then.nodeValue;
      return;
    }
    for (const { name } of [...now.attributes]) if (!then.hasAttribute(name)) now.removeAttribute(name);
    for (const { name, value } of [...then.attributes]) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
    const [olds, news] = [[...now.childNodes], [...then.childNodes]];
    news.forEach((child, index) => (olds[index] ? blend(olds[index], child) : now.append(child)));
    for (const extra of olds.slice(news.length)) extra.remove();
  };

  // What is asked for again and again changes in place: whoever is about to press a button of it doesn't lose it.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, serverResponse, shouldSwap } = event.detail;
    if (!shouldSwap || !target.matches("[data-blend]")) return;
    const page = new DOMParser().parseFromString(serverResponse, "text/html");
    event.detail.shouldSwap = false;
    const then = page.body.firstElementChild;
    // Who isn't signed in any more gets another page.
    if (then?.id !== target.id) return location.reload();
    blend(target, document.importNode(then, true));
    htmx.process(target);
    arm(document);
  });

  // New rows come on top, those that are there change in place, and those that the filter doesn't show any more go. Tells how many are new, and
  // whether the last row isn't the one any more that the next page begins behind.
  const blendRows = (now, then, isAll) => {
    const there = new Map([...now.children].map((row) => [row.dataset.key, row]));
    const coming = [...then.children];
    const keys = new Set(coming.map((row) => row.dataset.key));
    const last = coming.at(-1)?.dataset.key ?? "";
    // More has come than a page holds: what is between isn't known.
    if (!isAll && coming.length && coming.every((row) => !there.has(row.dataset.key))) {
      now.replaceChildren(...coming);
      return [coming.length, true];
    }
    let fresh = 0;
    let place = now.firstElementChild;
    for (const row of coming) {
      const old = there.get(row.dataset.key);
      if (old) {
        blend(old, row);
        place = old.nextElementSibling;
      } else {
        row.classList.add("new");
        setTimeout(() => row.classList.remove("new"), 2000);
        now.insertBefore(row, place);
        fresh += 1;
      }
    }
    // Ids grow with time: what is older than the last row is of the pages after it, and stays where it is.
    for (const [key, row] of there) if (!keys.has(key) && (isAll || key > last)) row.remove();
    const isCut = now.children.length > ROWS;
    while (now.children.length > ROWS) now.lastElementChild.remove();
    return [fresh, isCut];
  };

  const live = (bar) => {
    const part = document.querySelector("[data-live-part]");
    if (!part || !window.EventSource) return;
    const { liveStream, liveOn, liveOf, liveOne, liveMany } = bar.dataset;
    const state = bar.querySelector("[data-live-state]");
    const button = bar.querySelector("[data-live-pause]");
    const words = bar.querySelector("[data-live-words]");
    let source = null;
    let paused = false;
    let timer = null;
    let busy = false;
    let again = false;
    let pace = PACE;
    let unsaid = 0;
    let saying = null;
    let isFirst = true;
    bar.hidden = false;

    const tell = (is, text) => {
      bar.dataset.liveIs = is;
      state.textContent = text;
    };
    // Said in one piece when it has been quiet for a moment, or every other second.
    const say = (count) => {
      unsaid += count;
      if (!unsaid || saying) return;
      saying = setTimeout(() => {
        words.textContent = `${unsaid} new ${unsaid === 1 ? liveOne : liveMany}`;
        unsaid = 0;
        saying = null;
      }, 2000);
    };
    const refresh = async () => {
      timer = null;
      if (busy) {
        again = true;
        return;
      }
      busy = true;
      const begun = performance.now();
      try {
        const url = new URL(location.href);
        url.searchParams.set("part", "live");
        url.searchParams.delete("done");
        const answer = await fetch(url, { headers: { accept: "text/html" }, credentials: "same-origin" });
        if (answer.redirected) return location.reload();
        if (answer.ok && !paused) put(await answer.text());
      } catch {
        // The stream tells when the server is there again.
      } finally {
        pace = Math.max(PACE, 4 * (performance.now() - begun));
        busy = false;
        if (again) {
          again = false;
          soon();
        }
      }
    };
    const put = (html) => {
      const page = new DOMParser().parseFromString(`<div>${html}</div>`, "text/html");
      const then = page.body.firstElementChild;
      const here = document.querySelector("[data-live-part]");
      const [rows, coming] = [here.querySelector("[data-rows]"), then.querySelector("[data-rows]")];
      const isList = rows && coming && !here.querySelector("dl, section");
      if (isList) {
        const [fresh, isCut] = blendRows(rows, document.importNode(coming, true), !then.querySelector("[rel=next]"));
        // Some rows are shown twice then, and none is left out.
        if (isCut) here.querySelector("nav.more")?.replaceWith(document.importNode(then.querySelector("nav.more"), true));
        say(fresh);
      } else {
        const count = coming ? coming.children.length : 0;
        for (const { name, value } of here.attributes) then.setAttribute(name, value);
        blend(here, document.importNode(then, true));
        // It keeps the addresses that it has found.
        window.htmx?.process(here);
        say(liveOf ? 1 : count);
      }
      arm(document);
    };
    const soon = () => {
      if (!timer && !paused) timer = setTimeout(refresh, pace);
    };
    const concerns = (event) => !liveOf || event.data.includes(liveOf);
    const open = () => {
      if (source || paused || document.hidden) return;
      source = new EventSource(liveStream);
      source.onopen = () => {
        tell("on", "Live");
        // What came between the page and its stream, or while it was cut.
        if (isFirst) setTimeout(soon, 1500);
        else soon();
        isFirst = false;
      };
      source.onerror = () => {
        tell("off", isFirst ? "Not live now" : "Connecting again");
        // A browser gives up where the answer isn't a stream.
        if (source.readyState === EventSource.CLOSED) {
          shut();
          setTimeout(open, 10000);
        }
      };
      source.addEventListener("reset", soon);
      for (const name of liveOn.split(" ")) source.addEventListener(name, (event) => concerns(event) && soon());
    };
    const shut = () => {
      source?.close();
      source = null;
    };
    button.addEventListener("click", () => {
      paused = !paused;
      button.textContent = paused ? "Resume" : "Pause";
      if (paused) {
        clearTimeout(timer);
        timer = null;
        shut();
        tell("off", "Paused");
      } else {
        tell("", "Connecting");
        open();
      }
    });
    // A browser has few connections: a page that nobody sees needs none.
    document.addEventListener("visibilitychange", () => (document.hidden ? shut() : open()));
    addEventListener("pagehide", shut);
    addEventListener("pageshow", open);
    open();
  };

  const begin = () => {
    arm(document);
    const bar = document.querySelector("[data-live-stream]");
    if (bar) live(bar);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
