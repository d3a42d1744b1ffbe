// Sensei's lead form, put into a page where its script stands: <script src=".../embed.js" data-client="..." data-key="pk_..." async></script>
(() => {
  const script = document.currentScript, { client, key, target } = script.dataset, base = new URL(".", script.src);
  // A while, or until the network is back.
  const pause = (ms) => new Promise((go) => { addEventListener("online", go, { once: true }); setTimeout(go, ms); });
  const h = (tag, props, ...kids) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
    made.append(...kids);
    return made;
  };
  // What is answered; asked for so many times, later and later, while the server or the network is in trouble. Nothing if it still is.
  const ask = async (path, most, cap, say, init) => {
    for (let tries = 1, ms = 500; ; ) {
      if (say?.()) { await pause(5e3); continue; }
      let wait = ms;
      try {
        const answer = await fetch(new URL(path, base), { ...init, signal: AbortSignal.timeout(30e3) });
        answer.said = await answer.text();
        if (answer.status < 500 && answer.status !== 429) return answer;
        wait = Math.max(ms, 1000 * answer.headers.get("retry-after"));
      } catch {}
      if (tries++ >= most) return;
      await pause(Math.min(wait, cap));
      ms = Math.min(2 * ms, cap);
    }
  };
  // What the form asks for, and a token that is good for one lead: not before a person can have filled it in.
  const define = async (...how) => {
    const answer = await ask("v1/forms/" + client, ...how);
    if (answer?.ok) return { ...JSON.parse(answer.said), at: Date.now(), ripe: new Promise((go) => setTimeout(go, 2500)) };
    console.error("No lead form:", answer?.said);
  };

  const show = async () => {
    const host = h("div", {}), root = host.attachShadow({ mode: "open" });
    const place = target && document.querySelector(target);
    if (place) place.append(host); else if (document.head.contains(script)) document.body.append(host); else script.after(host);
    let form = await define(Infinity, 60e3);
    if (!form) return;
    const { texts: t, theme, lang, dir } = form, sheet = new CSSStyleSheet();
    sheet.replaceSync((await ask("embed.css", Infinity, 60e3)).said);
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
    // Whether it has to wait for a network.
    const say = () => {
      const off = !navigator.onLine;
      status.textContent = off ? t.offline : t.sending;
      return off;
    };
    // True once it is sent, false if it is to be corrected; else it fails.
    const send = async (body) => {
      while (say()) await pause(5e3);
      // Another lead than the one before takes another form, and so does one after eleven hours.
      if ((last && last !== body) || Date.now() - form.at > 396e5) {
        const fresh = await define(7, 20e3, say);
        if (!fresh) return;
        form = fresh;
      }
      if (last !== body) [last, id] = [body, crypto.getRandomValues(new Uint32Array(4)).join("-")];
      await form.ripe;
      const headers = { "content-type": "application/json", authorization: "Bearer " + key, "idempotency-key": id, "sensei-form-token": form.token };
      if (trap.value) headers["sensei-form-trap"] = "1";
      const answer = await ask(`v1/clients/${client}/leads`, 7, 20e3, say, { method: "POST", headers, body });
      if (answer?.status === 422) {
        const at = (JSON.parse(answer.said).errors || []).map((e) => fields.find((f) => e.pointer === (f.own ? "/" : "/custom/") + f.name));
        at.forEach((f) => f?.mark(t.invalid));
        if (at[0]) return refuse(t.wrong, at[0]), false;
      }
      return answer?.ok || undefined;
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
      const done = await send(JSON.stringify(lead)).catch(() => {});
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
