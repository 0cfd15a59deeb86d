"use strict";
// The playground: a document (corscope.lab.playground) as a form, what this browser makes of it, and what corscope says
// of the same requests. Texts from documents and answers become text nodes and values of controls, nothing else.

(() => {
  const { badge, changeLines, conclude, el, fill, prose, render, summarise } = corscope;

  const FRAGMENT = 32768; // characters of a permanent link that are looked at
  const WIDE = matchMedia("(min-width: 40rem)");
  const byId = (id) => document.getElementById(id);

  let choices; // what the server offers
  let form; // of the document that is shown
  let busy = false;

  // -- words ----------------------------------------------------------------------------------------------------------

  const ROLES = {
    sibling: "same site, another host",
    cross: "another site",
    app: "same origin as the page",
    port: "same host, another port",
    third: "a third site",
  };
  const CONTEXTS = { page: "the page", worker: "a worker", sandbox: "a sandboxed frame (origin null)" };
  const GOT = {
    fetch: "The script got a response",
    xhr: "The script got a response (load event)",
    eventsource: "The stream is open",
    img: "The image was loaded",
    script: "The script was loaded and ran",
    module: "The module was loaded and ran",
    style: "The style sheet was loaded",
    font: "The font was loaded",
    video: "The video was loaded",
  };
  const LOADED = "that it was loaded, and no more";

  // -- parts of the form ----------------------------------------------------------------------------------------------

  const hinted = () => el("span", { class: "hint" });
  const field = (label, control, wide = false) => {
    const hint = hinted();
    return {
      control,
      hint,
      element: el("label", { class: `field${wide ? " wide" : ""}` }, el("span", {}, label), control, hint),
    };
  };

  const choice = (label, options, value) => {
    const made = field(label, el("select", {}));
    const offer = (offered, chosen) => {
      const kept = offered.some(([one]) => one === chosen) ? chosen : offered[0]?.[0];
      fill(
        made.control,
        offered.map(([one, text]) => el("option", { value: one }, text)),
      );
      made.control.value = kept;
    };
    offer(options, value);
    return { ...made, offer, get: () => made.control.value };
  };

  const text = (label, value, attributes = {}) => {
    const made = field(label, el("input", { type: "text", ...attributes }));
    made.control.value = value;
    return { ...made, get: () => made.control.value };
  };

  const area = (label, value, rows) => {
    const made = field(label, el("textarea", { rows }), true);
    made.control.value = value;
    return { ...made, get: () => made.control.value };
  };

  /** Disable a part with a reason, or enable it. */
  const allow = (part, why) => {
    part.control.disabled = why !== "";
    part.hint.textContent = why;
  };

  const joined = (lines) => lines.map(([name, value]) => `${name}: ${value}`).join("\n");
  const parted = (label, written) =>
    written
      .split("\n")
      .filter((line) => line.trim())
      .map((line) => {
        const at = line.indexOf(":");
        if (at < 1) throw new Error(`${label}: “${line.slice(0, 40)}” has no colon; a header is “Name: value”.`);
        return [line.slice(0, at).trim(), line.slice(at + 1).replace(/^ /, "")];
      });

  const CHIPS = {
    preflight: [
      "Access-Control-Allow-Origin: *",
      "Access-Control-Allow-Origin: $ORIGIN",
      "Access-Control-Allow-Credentials: true",
      "Access-Control-Allow-Methods: $METHOD",
      "Access-Control-Allow-Headers: $HEADERS",
      "Access-Control-Max-Age: 600",
    ],
    answer: [
      "Access-Control-Allow-Origin: *",
      "Access-Control-Allow-Origin: $ORIGIN",
      "Access-Control-Allow-Origin: $PAGE",
      "Access-Control-Allow-Credentials: true",
      "Access-Control-Expose-Headers: X-Total-Count",
      "Vary: Origin",
      "Set-Cookie: name=value; HttpOnly; Secure; SameSite=None",
      "Set-Cookie: name=value; SameSite=Lax",
    ],
  };
  const chips = (lines, into) =>
    el(
      "div",
      { class: "chips", role: "group", "aria-label": "Add a header line" },
      lines.map((line) =>
        el(
          "button",
          {
            type: "button",
            title: line,
            onclick: () => {
              into.value = into.value.trim() ? `${into.value.trimEnd()}\n${line}` : line;
              into.dispatchEvent(new Event("input", { bubbles: true }));
            },
          },
          `+ ${line
            .replace("Access-Control-", "")
            .replace(/(Set-Cookie): name=value(; HttpOnly)?/, "$1")
            .slice(0, 40)}`,
        ),
      ),
    );

  /** One answer of a server: its status, its header lines, and but for a preflight its body. */
  const answerEditor = (legend, answer, kind, remove) => {
    const status = text("Status", String(answer.status ?? (kind === "preflight" ? 204 : 200)), {
      inputmode: "numeric",
      class: "status",
    });
    const lines = answer.headers ?? [];
    const headers = area("Headers, a line each", joined(lines), Math.max(2, lines.length + 1));
    const body =
      kind === "answer"
        ? choice(
            "Body",
            choices.bodies.map((one) => [one, one]),
            answer.body ?? "json",
          )
        : null;
    return {
      body,
      written: () => headers.get(),
      element: el(
        "fieldset",
        {},
        el("legend", {}, legend, remove && el("button", { type: "button", onclick: remove }, "remove")),
        el("div", { class: "fields" }, status.element, body?.element, headers.element),
        chips(CHIPS[kind], headers.control),
      ),
      read: () => ({
        status: /^\d+$/.test(status.get().trim()) ? Number(status.get()) : status.get(),
        headers: parted(legend, headers.get()),
        ...(body && { body: body.get() }),
      }),
    };
  };

  const ordinal = (index) => ["first", "second", "third"][index];

  /** What a host answers: to preflights, and to the first request, the second … */
  const placeEditor = (place, changed, redirected) => {
    const at = choice(
      redirected ? "Redirected to" : "Host",
      choices.roles.map((role) => [role, `${choices.origins[role].replace(/^.*:\/\//, "")} – ${ROLES[role]}`]),
      place.at,
    );
    at.element.classList.add("wide");
    const name = redirected ? text("Last part of its path", place.name ?? "", { placeholder: "login" }) : null;
    const user = redirected ? text("User in the URL", place.user ?? "", { placeholder: "none" }) : null;
    const preflight = answerEditor("Answer to a preflight (OPTIONS)", place.preflight ?? {}, "preflight");
    const list = el("div", {});
    let answers = [];
    const several = () => {
      const legend = (index) =>
        answers.length > 1
          ? `Answer to the ${ordinal(index)} request${index + 1 === answers.length ? ", and further ones" : ""}`
          : "Answer to the request";
      answers = answers.map((one, index) => {
        const remove = () => {
          answers = answers.map((other) => ({ answer: other.read() })).filter((_, other) => other !== index);
          several();
        };
        return answerEditor(legend(index), one.answer, "answer", answers.length > 1 ? remove : null);
      });
      fill(
        list,
        answers.map((one) => one.element),
      );
      add.hidden = answers.length >= choices.times;
      changed();
    };
    const add = el(
      "button",
      {
        type: "button",
        onclick: () => {
          const now = answers.map((one) => ({ answer: one.read() }));
          answers = [...now, now.at(-1)];
          several();
        },
      },
      "Answer further requests differently",
    );
    answers = place.answers.map((answer) => ({ answer }));
    several();
    return {
      at,
      answers: () => answers,
      element: [
        el("div", { class: "fields" }, at.element, name?.element, user?.element),
        preflight.element,
        list,
        el("p", { class: "more" }, add),
      ],
      read: () => ({
        at: at.get(),
        preflight: preflight.read(),
        answers: answers.map((one) => one.read()),
        ...(name?.get().trim() && { name: name.get().trim() }),
        ...(user?.get().trim() && { user: user.get().trim() }),
      }),
    };
  };

  // -- the form -------------------------------------------------------------------------------------------------------

  const MODES = {
    cors: "cors",
    "no-cors": "no-cors (opaque)",
    "same-origin": "same-origin",
  };
  const ATTRIBUTES = {
    "no-cors include": "no crossorigin attribute (no-cors)",
    "cors same-origin": 'crossorigin="anonymous"',
    "cors include": 'crossorigin="use-credentials"',
  };

  /** Show a document in the form. Throws where it has another shape than a document has. */
  const makeForm = (shown) => {
    const { request } = shown;
    const rules = choices.initiators;
    const initiator = choice(
      "Made by",
      Object.entries(rules).map(([key, { title }]) => [key, title]),
      request.initiator,
    );
    const from = choice("From", [], "");
    const mode = choice("Mode", [], "");
    const credentials = choice("Credentials", [], "");
    const redirect = choice("Redirect mode", [], "");
    const method = text("Method", request.method ?? "GET", { list: "methods" });
    const times = choice(
      "How often",
      [1, 2, 3].map((one) => [String(one), one === 1 ? "once" : `${one} times in a row`]),
      String(request.times ?? 1),
    );
    const user = text("Signed in there with Basic", request.user ?? "", { placeholder: "user:password" });
    const headers = area("Headers set by the script, a line each", joined(request.headers ?? []), 2);
    const body = area("Body", request.body ?? "", 2);
    const kind = text("Type of a Blob as body", request.type ?? "", { placeholder: "a plain string" });
    const code = el("pre", { class: "code", tabindex: "0", "aria-label": "The request as code" });
    const redirects = el("input", { type: "checkbox" });
    redirects.checked = Boolean(shown.redirect);

    const change = () => made.ready && adjust();
    const made = { ready: false };
    const server = placeEditor(shown.server, change, false);
    let target = shown.redirect ? placeEditor(shown.redirect, change, true) : null;
    const targetPlace = el("div", {}, target?.element);
    let expected = rules[initiator.get()].body;

    const adjust = () => {
      const name = initiator.get();
      const rule = rules[name];
      const element = !rule.free && name !== "eventsource" && name !== "font";
      // What an element can use as it is goes with the element.
      if (rule.body !== expected) {
        for (const place of [server, target].filter(Boolean))
          for (const { body: one } of place.answers()) if (one.get() === expected) one.control.value = rule.body;
        expected = rule.body;
      }
      const options = (keys, words = {}) => keys.map((key) => [key, words[key] ?? key]);
      from.offer(options(rule.contexts, CONTEXTS), from.get() || request.from);
      allow(from, from.control.options.length > 1 ? "" : "there is no other place for it");
      mode.element.querySelector("span").textContent = element ? "Attribute" : "Mode";
      if (element) {
        const way = mode.get().includes(" ")
          ? mode.get()
          : `${mode.get() || request.mode} ${credentials.get() || request.credentials}`;
        const offered = options(
          rule.ways.map((one) => one.join(" ")),
          ATTRIBUTES,
        );
        const [first] = rule.ways[0];
        const asked = `${request.mode ?? first} ${request.credentials ?? rule.ways.find(([one]) => one === (request.mode ?? first))?.[1]}`;
        mode.offer(offered, offered.some(([one]) => one === way) ? way : asked);
        credentials.offer([["", "as the attribute says"]], "");
      } else {
        const modes = [...new Set(rule.ways.map(([one]) => one))];
        mode.offer(options(modes, MODES), mode.get().split(" ")[0] || request.mode);
        const together = rule.ways.filter(([one]) => one === mode.get()).map(([, one]) => one);
        const words =
          name === "fetch" ? {} : { "same-origin": "withCredentials: false", include: "withCredentials: true" };
        credentials.offer(options(together, words), credentials.get() || request.credentials);
      }
      allow(
        mode,
        mode.control.options.length > 1 ? "" : `always: ${name === "font" ? "fonts are" : "it is"} subject to CORS`,
      );
      allow(
        credentials,
        credentials.control.options.length > 1 ? "" : element ? "the attribute decides" : "no other can be chosen",
      );
      redirect.offer(options(rule.redirect ? choices.redirects : ["follow"]), redirect.get() || request.redirect);
      allow(redirect, rule.redirect ? "" : "only fetch() can choose");
      const browser = rule.free ? "" : "the browser makes this request: a GET";
      if (!rule.free) method.control.value = "GET";
      allow(method, browser);
      allow(headers, browser && "scripts can’t set any here");
      const upper = method.get().trim().toUpperCase();
      const without = rule.free && ["GET", "HEAD"].includes(upper) ? `a ${upper} has no body` : browser;
      allow(body, without);
      allow(kind, without || (body.get() ? "" : "there is no body"));
      const challenges = /www-authenticate/i.test(JSON.stringify(server.answers().map((one) => one.written())));
      user.hint.textContent = user.get().trim()
        ? `a frame of the server’s own signs in first${challenges ? "" : ": the first answer has to be a 401 that asks for it, with WWW-Authenticate"}`
        : challenges
          ? "without it your browser may ask you for a password"
          : "";
      if (mode.get() === "no-cors" && rule.free)
        method.hint.textContent = "GET, HEAD or POST only, and no headers that need a preflight";
      code.textContent = codeOf(readRequest(), choices.origins[server.at.get()]);
      targetPlace.hidden = !redirects.checked;
    };

    /** Return the request as the document has it, without what is at its default. */
    const readRequest = () => {
      const [one, other] = mode.get().includes(" ") ? mode.get().split(" ") : [mode.get(), credentials.get()];
      const full = {
        initiator: initiator.get(),
        from: from.get() === "page" ? "" : from.get(),
        mode: one,
        credentials: other,
        method: method.get().trim() === "GET" ? "" : method.get().trim(),
        headers: headers.control.disabled ? [] : parted("The request’s headers", headers.get()),
        body: body.control.disabled ? "" : body.get(),
        type: kind.control.disabled ? "" : kind.get().trim(),
        redirect: redirect.get() === "follow" ? "" : redirect.get(),
        user: user.get().trim(),
        times: Number(times.get()) === 1 ? "" : Number(times.get()),
      };
      return Object.fromEntries(Object.entries(full).filter(([, value]) => value !== "" && value.length !== 0));
    };

    const read = () => ({
      request: readRequest(),
      server: server.read(),
      ...(redirects.checked && { redirect: target.read() }),
    });

    redirects.addEventListener("change", () => {
      if (redirects.checked && !target) {
        target = placeEditor({ at: "cross", answers: [{ status: 200, headers: [], body: expected }] }, change, true);
        fill(targetPlace, target.element);
      }
      if (redirects.checked)
        for (const control of server.answers().map((one) => one.element.querySelector(".status")))
          if (!choices.redirectStatuses.includes(Number(control.value))) control.value = "302";
      adjust();
    });

    fill(
      byId("editor"),
      el(
        "section",
        { class: "panel", "aria-label": "The request" },
        el("h3", {}, "The page asks"),
        el(
          "div",
          { class: "fields" },
          [initiator, from, mode, credentials, method, redirect, times, user].map((one) => one.element),
          [headers, body].map((one) => one.element),
          kind.element,
        ),
        el(
          "datalist",
          { id: "methods" },
          ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].map((one) => el("option", { value: one })),
        ),
        el("div", { class: "preview" }, code),
      ),
      el(
        "section",
        { class: "panel", "aria-label": "The answers" },
        el("h3", {}, "The server answers"),
        server.element,
        el("p", { class: "more" }, el("label", { class: "check" }, redirects, " The answers redirect to another URL")),
        targetPlace,
      ),
    );
    const tolerant = () => {
      try {
        adjust();
      } catch (error) {
        code.textContent = error.message;
      }
    };
    byId("editor").oninput = tolerant;
    byId("editor").onchange = tolerant;
    made.ready = true;
    adjust();
    return { read };
  };

  /** Return the request as a page would have it. */
  const codeOf = (request, origin) => {
    const url = JSON.stringify(`${origin}/…`);
    const { initiator, mode, credentials } = request;
    const include = credentials === "include";
    const attribute = mode === "no-cors" ? "" : ` crossorigin="${include ? "use-credentials" : "anonymous"}"`;
    const body =
      request.body &&
      (request.type
        ? `new Blob([${JSON.stringify(request.body)}], {type: ${JSON.stringify(request.type)}})`
        : JSON.stringify(request.body));
    switch (initiator) {
      case "fetch": {
        const options = [
          request.method && `method: ${JSON.stringify(request.method)}`,
          mode !== "cors" && `mode: ${JSON.stringify(mode)}`,
          credentials !== "same-origin" && `credentials: ${JSON.stringify(credentials)}`,
          request.redirect && `redirect: ${JSON.stringify(request.redirect)}`,
          request.headers && `headers: ${JSON.stringify(Object.fromEntries(request.headers))}`,
          body && `body: ${body}`,
        ].filter(Boolean);
        return options.length ? `await fetch(${url}, {\n  ${options.join(",\n  ")}\n})` : `await fetch(${url})`;
      }
      case "xhr":
        return [
          "const xhr = new XMLHttpRequest();",
          `xhr.open(${JSON.stringify(request.method ?? "GET")}, ${url});`,
          include && "xhr.withCredentials = true;",
          ...(request.headers ?? []).map(
            (line) => `xhr.setRequestHeader(${line.map((one) => JSON.stringify(one)).join(", ")});`,
          ),
          `xhr.send(${body ?? ""});`,
        ]
          .filter(Boolean)
          .join("\n");
      case "eventsource":
        return `new EventSource(${url}${include ? ", {withCredentials: true}" : ""})`;
      case "font":
        return `await new FontFace("lab", 'url(${url})').load()`;
      case "style":
        return `<link rel="stylesheet"${attribute} href=${url}>`;
      case "module":
        return `<script type="module"${attribute} src=${url}></` + "script>";
      case "script":
        return `<script${attribute} src=${url}></` + "script>";
      default:
        return `<${initiator}${attribute} src=${url}>`;
    }
  };

  // -- links ----------------------------------------------------------------------------------------------------------

  const encode = (value) => {
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
    return btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  };

  /** Return the document of a permanent link. Throws with a sentence for the visitor where it holds none. */
  const decode = (written) => {
    if (written.length > FRAGMENT) throw new Error("This link is too long to be a scenario.");
    let found;
    try {
      const binary = atob(written.replace(/-/g, "+").replace(/_/g, "/"));
      found = JSON.parse(
        new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(binary, (one) => one.charCodeAt(0))),
      );
    } catch {
      throw new Error("This link holds no scenario: it is damaged.");
    }
    check(found);
    return found;
  };

  /** Throw unless a document has the shape that the form can show; the server holds it to all rules when it is run. */
  const check = (found) => {
    const fail = (what) => {
      throw new Error(`This link holds no scenario: ${what}.`);
    };
    const plain = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
    const line = (one) =>
      Array.isArray(one) &&
      one.length === 2 &&
      one.every((part) => typeof part === "string" && !/[\x00-\x08\x0a-\x1f\x7f]/.test(part));
    const lines = (value) => value === undefined || (Array.isArray(value) && value.every(line));
    const scalars = (value, ...but) =>
      Object.entries(value).every(
        ([key, one]) => but.includes(key) || typeof one === "string" || typeof one === "number",
      );
    const answer = (one) => plain(one) && lines(one.headers) && scalars(one, "headers");
    const place = (one) =>
      plain(one) &&
      (one.preflight === undefined || answer(one.preflight)) &&
      Array.isArray(one.answers) &&
      one.answers.length >= 1 &&
      one.answers.length <= choices.times &&
      one.answers.every(answer) &&
      scalars(one, "preflight", "answers") &&
      choices.roles.includes(one.at);
    if (!plain(found)) fail("it is no object");
    if (!plain(found.request) || !Object.hasOwn(choices.initiators, found.request.initiator)) fail("it has no request");
    if (!lines(found.request.headers) || !scalars(found.request, "headers"))
      fail("its request is none that can be sent");
    if (!place(found.server)) fail("its server’s answers are none that can be sent");
    if (found.redirect !== undefined && found.redirect !== null && !place(found.redirect))
      fail("its redirect is none that can be followed");
  };

  /** Show what the address names; nothing runs by itself. */
  const open = () => {
    const [key, value] = /^#(preset|doc)=(.*)$/s.exec(location.hash)?.slice(1) ?? ["preset", choices.presets[0].id];
    byId("alert").textContent = "";
    let preset = null;
    try {
      if (key === "doc") {
        const opened = decode(value);
        form = makeForm(opened);
        byId("title").textContent = "A scenario from a link";
        byId("text").textContent = "It is in the form below. Nothing has been run yet.";
      } else {
        preset = choices.presets.find((one) => one.id === value);
        if (!preset) throw new Error("There is no such preset here; some are for https only.");
        form = makeForm(preset.document);
        byId("title").textContent = preset.title;
        byId("text").textContent = preset.text;
      }
    } catch (error) {
      preset = choices.presets[0];
      form = makeForm(preset.document);
      byId("title").textContent = preset.title;
      byId("text").textContent = preset.text;
      byId("alert").textContent = error.message;
    }
    byId("results").hidden = true;
    for (const link of byId("presets").querySelectorAll("a")) {
      if (link.hash === `#preset=${preset?.id}`) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    document.title = `${byId("title").textContent} – CORS playground`;
  };

  // -- a run ----------------------------------------------------------------------------------------------------------

  const agents = {};
  const agentOf = (context) => (agents[context] ??= makers[context]());

  const frames = {};
  const ownFrame = (origin) => (frames[origin] ??= frameAgent({ src: `${origin}/agent.html` }));

  const post = async (scenario) => {
    const response = await fetch("/playground/scenarios", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(scenario),
    });
    const answer = await response.json().catch(() => ({ error: `The playground answers ${response.status}.` }));
    if (answer.error) throw new Error(answer.error);
    return answer;
  };

  /** Make a document's requests; returns how each ended, and the run's name. */
  const perform_ = async (scenario, ending) => {
    const job = await post(scenario);
    const name = Math.random().toString(36).slice(2, 14) + ending;
    const url = `${job.origin}/p/${choices.web}/${name}/${job.id}/0`;
    const agent = await agentOf(job.context);
    if (job.signsIn) await (await ownFrame(job.origin))(url, job.signsIn);
    const outcomes = [];
    for (const step of job.steps) outcomes.push(await agent(url, step));
    return { name, outcomes, scenario };
  };

  /** Ask the page's own API, with the cookie, at two paths: how far a cookie travels one path does not tell. */
  const greet = async () => {
    for (const path of ["/p/hello", "/p/again"])
      await fetch(choices.origins.sibling + path, { credentials: "include" }).catch(() => {});
  };

  const verdictsOf = async (name) => {
    const response = await fetch(`/playground/run?run=${name}`);
    return response.json();
  };

  const run = async (endings) => {
    if (busy) return;
    busy = true;
    const buttons = [byId("run"), byId("both")];
    for (const button of buttons) button.disabled = true;
    byId("alert").textContent = "";
    byId("state").textContent = "Running …";
    try {
      const scenario = form.read();
      const shown = [];
      byId("runs").className = endings.length === 1 ? "one" : "two";
      fill(byId("runs"));
      fill(byId("downloads"));
      for (const ending of endings) {
        const made = await perform_(scenario, ending);
        const block = el("section", { class: "before-after" });
        byId("runs").append(block);
        byId("results").hidden = false;
        shown.push({ made, block, ending });
        showRun(block, made, ending, null, endings.length);
      }
      byId("became").scrollIntoView({ block: "start" });
      byId("became").focus({ preventScroll: true });
      await Promise.all(
        shown.map(async ({ made, block, ending }) => {
          showRun(block, made, ending, await verdictsOf(made.name), endings.length);
        }),
      );
      // A recording that goes on for as long as corscope waited tells what did not follow.
      await greet();
      const names = shown.map(({ made }) => `run=${made.name}`).join("&");
      fill(
        byId("downloads"),
        "The recorded flows of this run: ",
        el("a", { href: `/playground/run.mitm?${names}`, download: "" }, "for mitmproxy and corscope check (.mitm)"),
        el("a", { href: `/playground/run.har?${names}`, download: "" }, "as HTTP Archive (.har)"),
      );
      byId("results").dataset.runs = names;
      byId("state").textContent = [...byId("runs").querySelectorAll(".agreement")]
        .map((one) => one.textContent)
        .join(" ");
    } catch (error) {
      byId("alert").textContent = error.message;
      byId("state").textContent = "";
    } finally {
      busy = false;
      for (const button of buttons) button.disabled = false;
    }
  };

  // -- what became of it ----------------------------------------------------------------------------------------------

  const storiesOf = (entries) => {
    const numbers = new Map(entries.map((entry) => [entry.flow_id, entry.number + 1]));
    const named = (text) =>
      text?.replace(/flow ([0-9a-f-]{36})/g, (_, flow) =>
        numbers.has(flow) ? `request ${numbers.get(flow)}` : "an earlier request",
      );
    const told = entries.map((entry) => ({
      ...entry,
      findings: entry.findings.map((one) => ({ ...one, message: named(one.message), fix: named(one.fix) })),
    }));
    const grouped = Map.groupBy(told, (entry) => entry.story_id || entry.flow_id);
    return [...grouped.values()].map(summarise).sort((one, other) => one.number - other.number);
  };

  /** Return how a browser's outcome and a story's verdict go together: [tone, symbol, words]. */
  const agreement = (outcome, story, scenario) => {
    if (!story)
      return [
        "info",
        "–",
        "Nothing went over the wire: your browser refused by itself, and corscope has nothing to judge.",
      ];
    const { request } = scenario;
    if (outcome.ok === null) return ["info", "?", "Your browser did not tell in time how it ended."];
    if (story.verdict === "exempt")
      return ["exempt", "–", "CORS does not apply here, so that there is nothing to agree on."];
    if (story.verdict === "conditional")
      return [
        "conditional",
        "?",
        "corscope leaves it open: nothing on the wire tells whether the request was credentialed.",
      ];
    if ((story.verdict === "allowed") === outcome.ok)
      return ["allowed", "✓", `Your browser and corscope agree: ${story.verdict}.`];
    if (story.verdict === "allowed" && request.redirect === "error")
      return [
        "info",
        "–",
        'CORS lets the redirect through; the script said redirect: "error", which the wire does not show.',
      ];
    const rule = choices.initiators[request.initiator];
    const body = (scenario.redirect ?? scenario.server).answers.at(-1).body ?? "json";
    const usable = rule.free || (body === rule.body && (story.status === 200 || request.initiator === "img"));
    if (story.verdict === "allowed" && !usable)
      return ["info", "–", "CORS lets it through, but the browser can make nothing of this status or body."];
    return ["blocked", "≠", `They differ: corscope says ${story.verdict}. Please report it, with the recorded flows.`];
  };

  const rows = (pairs) =>
    el(
      "dl",
      {},
      pairs.flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value === "" ? "(empty)" : value)]),
    );

  const browserCard = ({ outcomes, scenario }) =>
    el(
      "section",
      { class: "panel", "data-part": "browser" },
      el("h3", {}, "Your browser"),
      outcomes.map((outcome, index) => {
        const opaque = outcome.ok && /^opaque/.test(outcome.detail);
        const tone = outcome.ok === null ? "conditional" : outcome.ok ? (opaque ? "exempt" : "allowed") : "blocked";
        const symbol = { true: "✓", false: "✗", null: "?" }[outcome.ok];
        const said = {
          true: opaque
            ? "The script got an opaque response: there is nothing in it to read"
            : GOT[scenario.request.initiator],
          false: "It failed, and this is all that a script learns",
          null: "Nothing came within 5 seconds",
        }[outcome.ok];
        return [
          outcomes.length > 1 && el("h4", {}, `The ${ordinal(index)} request`),
          el(
            "p",
            { class: `became ${tone}`, "data-ok": String(outcome.ok) },
            el("span", { "aria-hidden": "true" }, `${symbol} `),
            said,
          ),
          rows(outcome.read ?? (outcome.ok ? [["a script learns", LOADED]] : [])),
        ];
      }),
    );

  /** Return what the wire tells of cookies: which travelled, and what became of those that were set. */
  const cookiesOf = (entries) => {
    const values = (entry, side, name) =>
      entry.wire[side].filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
    const sentWith = (entry) =>
      values(entry, "request", "cookie").flatMap((value) => value.split("; ").map((one) => one.split("=")[0]));
    const sent = new Set(entries.flatMap(sentWith));
    const set = entries.flatMap((entry, index) =>
      values(entry, "response", "set-cookie").map((value) => {
        const later = entries.slice(index + 1).filter((one) => one.kind !== "preflight");
        const stored = later.some((one) => sentWith(one).includes(value.split("=")[0]));
        const became = stored
          ? "it came back with a later request: the browser stored it"
          : later.length > 0
            ? "it did not come back with a later request"
            : "whether the browser stored it only a further request would tell";
        return `${value}\n– ${became}`;
      }),
    );
    return [
      ["cookies sent", sent.size > 0 ? [...sent].join(", ") : "none, on any of these requests"],
      set.length > 0 && ["cookies set", [...new Set(set)].join("\n")],
    ].filter(Boolean);
  };

  /** Return what else was found, what is said first of each kind. */
  const further = (story) => {
    const found = new Map(story.entries.flatMap((entry) => entry.findings.map((one) => [one.id, one])).reverse());
    return [...found.values()].reverse().filter((one) => one.id !== story.cause?.id);
  };

  const marked = (text) => prose(text, "", () => null);

  const storyCard = (story, index, count) => [
    count > 1 && el("h4", {}, `${index + 1}. ${story.method} ${story.url}`),
    el(
      "p",
      { class: `became ${story.verdict}`, "data-verdict": story.verdict },
      badge(story.verdict),
      " ",
      conclude(story),
    ),
    story.entries
      .map((entry) => entry.console)
      .filter(Boolean)
      .map((line) => el("p", { class: "console code" }, line)),
    story.verdict !== "allowed" && story.deciding.note && el("p", {}, `${story.deciding.note}.`),
    story.cause && el("p", {}, marked(story.cause.message)),
    story.cause?.fix && el("p", {}, el("b", {}, "Fix: "), marked(story.cause.fix)),
    further(story).map((one) => el("p", { class: "muted" }, el("b", {}, `${one.title}. `), marked(one.message))),
  ];

  const KINDS = { preflight: "Answer to the preflight", redirect: "The redirect", actual: "Answer to the request" };

  const rewritten = (entries) => {
    const touched = entries.filter((entry) => entry.rewrite);
    const blocks = touched.map((entry) =>
      entry.rewrite.applied && entry.rewrite.edits.length > 0
        ? el(
            "div",
            { class: "block" },
            el("h4", {}, KINDS[entry.kind]),
            el("div", { class: "diff code" }, changeLines(entry.rewrite.edits)),
          )
        : el("p", {}, `${KINDS[entry.kind]}: ${entry.rewrite.why_not ?? "passes as it is"}.`),
    );
    return blocks;
  };

  const showRun = (block, made, ending, told, count) => {
    const heading = ending ? "With corscope’s rewriting" : "As the server answers";
    const stories = told ? storiesOf(told.entries) : [];
    const edits = told ? rewritten(told.entries) : [];
    const { outcomes, scenario } = made;
    const of = (index) =>
      stories[stories.length === outcomes.length ? index : stories.length - outcomes.length + index];
    const agreements = told ? outcomes.map((outcome, index) => agreement(outcome, of(index), scenario)) : [];
    fill(
      block,
      (count > 1 || ending) && el("h3", {}, heading),
      agreements.map(([tone, symbol, said], index) =>
        el(
          "p",
          { class: `agreement ${tone}`, "data-agreement": symbol },
          el("span", { "aria-hidden": "true" }, `${symbol} `),
          agreements.length > 1 && `The ${ordinal(index)} request: `,
          said,
        ),
      ),
      browserCard(made),
      el(
        "section",
        { class: "panel", "data-part": "corscope" },
        el("h3", {}, "corscope, from the wire"),
        !told &&
          el(
            "p",
            { class: "muted" },
            "Waiting for what may still follow: a preflight’s verdict is settled by what comes after it …",
          ),
        stories.map((story, index) => storyCard(story, index, stories.length)),
        told && rows(cookiesOf(told.entries)),
        edits.length > 0 && [
          el(
            "h4",
            {},
            ending
              ? "What rewriting changed: this is what the server should send"
              : "Rewritten, because the option cors_rewrite is on",
          ),
          edits,
        ],
        ending && told && edits.length === 0 && el("p", {}, "There was nothing to rewrite."),
      ),
      stories.length > 0 &&
        el(
          "details",
          { class: "whole panel", open: count === 1 },
          el("summary", {}, "The whole story: every message, why, and the configuration"),
          stories.map((story) => render(story, () => null)),
        ),
    );
  };

  // -- the page -------------------------------------------------------------------------------------------------------

  const showPresets = () =>
    fill(
      byId("presets"),
      [...Map.groupBy(choices.presets, ({ group }) => group)].map(([group, presets]) =>
        el(
          "details",
          { open: WIDE.matches },
          el("summary", {}, group),
          el(
            "ul",
            {},
            presets.map(({ id, title }) => el("li", {}, el("a", { href: `#preset=${id}` }, title))),
          ),
        ),
      ),
    );

  const copy = async (written, done, otherwise) => {
    try {
      await navigator.clipboard.writeText(written);
      byId("copied").textContent = done;
    } catch {
      byId("copied").textContent = otherwise;
    }
  };

  const guarded = (act) => () => {
    byId("alert").textContent = "";
    try {
      act();
    } catch (error) {
      byId("alert").textContent = error.message;
    }
  };

  const start = async () => {
    choices = await (await fetch("/playground/choices.json")).json();
    // So that corscope sees the cookie travel: from then on its absence tells, too.
    await greet();
    showPresets();
    open();
    window.addEventListener("hashchange", open);
    byId("editor").addEventListener("submit", (event) => event.preventDefault());
    byId("editor").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run([""]);
    });
    byId("run").addEventListener("click", () => run([""]));
    byId("both").addEventListener("click", () =>
      run(["", byId("cookies").checked ? "-rewritten-cookies" : "-rewritten"]),
    );
    byId("link").addEventListener(
      "click",
      guarded(() => {
        history.replaceState(null, "", `#doc=${encode(form.read())}`);
        copy(
          location.href,
          "Copied: the link fills the form, and runs nothing by itself.",
          "The link is in the address bar: copy it from there.",
        );
      }),
    );
    byId("scenario").addEventListener(
      "click",
      guarded(() => {
        const written = JSON.stringify(form.read(), null, 2);
        copy(written, "Copied as JSON.", "Your browser lets no page copy here; a permanent link holds the same.");
      }),
    );
    // Not to be taken for what browser or server did.
    document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => {
      byId("alert").textContent = `This page’s own policy (${effectiveDirective}) stopped a request: ${blockedURI}`;
    });
    for (const id of ["run", "both"]) byId(id).disabled = false;
    document.body.dataset.ready = "true";
  };

  start().catch((error) => {
    byId("title").textContent = "The playground could not be loaded";
    byId("alert").textContent = error.message;
  });
})();
