// Sensei's lead form, put into a page where its script stands: <script src=".../embed.js" data-client="..." data-key="pk_..." async></script>
(() => {
  const script = document.currentScript, { client, key, target } = script.dataset, base = new URL(".", script.src);
  const HOUR = 3600e3, random = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  // A while, or until the network is back.
  const pause = (ms) => new Promise((go) => { addEventListener("online", go, { once: true }); setTimeout(go, ms); });
  const h = (tag, props, ...kids) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
    made.append(...kids);
    return made;
  };
  // What is at this path: asked for until it is there, or never will be.
  const read = async (path) => {
    for (let ms = 1000; ; ms = Math.min(2 * ms, 60e3)) {
      try {
        const answer = await fetch(new URL(path, base)), text = await answer.text();
        if (answer.ok) return text;
        if (answer.status < 500) return void console.error("No lead form:", text);
      } catch {}
      await pause(ms);
    }
  };
  // What the form asks for, and a token that is good for one lead.
  const define = async () => ({ ...JSON.parse((await read("v1/forms/" + client)) || "{}"), at: Date.now() });

  const show = async () => {
    const host = h("div", {}), root = host.attachShadow({ mode: "open" });
    const place = target && document.querySelector(target);
    if (place) place.append(host); else if (document.head.contains(script)) document.body.append(host); else script.after(host);
    let form = await define();
    const { texts: t, theme, lang, dir } = form, sheet = new CSSStyleSheet();
    if (!t) return;
    sheet.replaceSync(await read("embed.css"));
    root.adoptedStyleSheets = [sheet];
    host.lang = lang;
    host.dir = dir;
    host.className = theme.scheme;
    for (const [name, value] of [["accent", theme.accent], ["on-accent", theme.onAccent], ["radius", theme.radius + "px"]]) host.style.setProperty("--own-" + name, value);

    const fields = form.fields.map((f) => {
      const id = "f-" + f.name, own = { name: 200, email: 254, phone: 40, message: 1e4 }[f.name];
      const props = { id, part: "input", required: f.required, maxlength: own || 2000, autocomplete: { name: "name", email: "email", phone: "tel" }[f.name] };
      const tick = f.type === "checkbox";
      const input = f.type === "textarea" ? h("textarea", { ...props, rows: 5 })
        : f.type === "select" ? h("select", props, h("option", { value: "" }), ...f.options.map((o) => h("option", {}, o)))
        : h("input", { ...props, type: f.type });
      const label = h("label", { for: id, part: "label" }, f.label, ...(f.required || !t.optional ? [] : [" ", h("small", {}, `(${t.optional})`)]));
      const wrong = h("p", { id: id + "-w", class: "w", part: "error" });
      const mark = (words) => {
        wrong.textContent = words ? "⚠ " + words : "";
        for (const [name, value] of [["aria-invalid", "true"], ["aria-describedby", wrong.id]]) words ? input.setAttribute(name, value) : input.removeAttribute(name);
      };
      return { ...f, own, input, mark, value: () => (tick ? input.checked : input.value.trim()), shown: h("div", { class: tick ? "f k" : "f", part: "field" }, ...(tick ? [input, label] : [label, input]), wrong) };
    });
    const trap = h("input", { id: "link", tabindex: -1, autocomplete: "off" });
    const button = h("button", { part: "button" }, t.submit);
    const status = h("p", { role: "status", part: "status" });
    const shown = h("form", { novalidate: true, part: "form", "aria-label": t.title }, h("h2", { part: "title" }, t.title), ...(t.intro ? [h("p", { part: "intro" }, t.intro)] : []),
      ...fields.map((f) => f.shown), h("div", { class: "away", "aria-hidden": "true" }, h("label", { for: "link" }, "Link"), trap), status, button);
    root.append(shown);

    // Why it isn't sent; what was typed stays.
    const refuse = (words, first) => { status.className = "w"; status.textContent = "⚠ " + words; first?.input.focus(); };
    let busy = false, last, id;
    // True once it is sent, false if it is to be corrected; else it fails.
    const send = async (body) => {
      if (last !== body) {
        // Another lead than the one before takes another form, and nobody fills that in faster than this.
        if (last || Date.now() - form.at > 11 * HOUR) { form = await define(); await pause(2500); }
        [last, id] = [body, random()];
      }
      const headers = { "content-type": "application/json", authorization: "Bearer " + key, "idempotency-key": id, "sensei-form-token": form.token };
      if (trap.value) headers["sensei-form-trap"] = "1";
      for (let tries = 0, ms = 500; tries < 7; ms *= 2) {
        const off = navigator.onLine === false;
        status.textContent = off ? t.offline : t.sending;
        if (off) { await pause(5000); continue; }
        let wait = ms;
        try {
          const answer = await fetch(new URL(`v1/clients/${client}/leads`, base), { method: "POST", headers, body, signal: AbortSignal.timeout(30e3) });
          if (answer.ok) return true;
          if (answer.status === 422) {
            const at = ((await answer.json()).errors || []).map((e) => fields.find((f) => e.pointer === (f.own ? "/" : "/custom/") + f.name));
            at.forEach((f) => f?.mark(t.invalid));
            if (at[0]) return refuse(t.wrong, at[0]), false;
          }
          if (answer.status < 500 && answer.status !== 429) return;
          wait = Math.max(ms, 1000 * answer.headers.get("retry-after"));
        } catch {}
        tries++;
        await pause(Math.min(wait, 20e3));
      }
    };
    shown.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (busy) return;
      const lead = {}, custom = {};
      let first;
      for (const f of fields) {
        const value = f.value(), v = f.input.validity;
        const words = f.required && !value ? t.required : v.valid ? "" : t.invalid;
        f.mark(words);
        if (words) first ||= f;
        if (value) (f.own ? lead : custom)[f.name] = value;
      }
      if (first) return refuse(t.wrong, first);
      if (Object.keys(custom).length) lead.custom = custom;
      busy = true;
      status.className = "";
      button.setAttribute("aria-disabled", "true");
      const done = await send(JSON.stringify(lead));
      busy = false;
      button.removeAttribute("aria-disabled");
      if (done) {
        const sent = h("p", { role: "status", tabindex: -1, part: "sent" }, "✓ " + t.sent);
        shown.replaceWith(sent);
        sent.focus();
        host.dispatchEvent(new CustomEvent("sensei-sent", { bubbles: true }));
      } else if (done == null) {
        refuse(t.failed);
        button.textContent = t.retry;
      }
    });
  };
  document.body ? show() : addEventListener("DOMContentLoaded", show, { once: true });
})();
