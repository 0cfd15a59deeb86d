"use strict";
// What one story is and how it is shown: a request of a page with its preflight and its redirects, from the entries of
// a report (corscope.formats.document). Decides nothing: what is said of a finding comes with the entry. Captured text
// becomes text nodes and nothing else.

const corscope = {};

(() => {
  // -- elements -------------------------------------------------------------------------------------------------------

  /** Make an element; attributes that are null, undefined or false are left out, as are such children. */
  const el = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else element.setAttribute(key, value === true ? "" : value);
    }
    fill(element, children);
    return element;
  };

  /** Replace what is in an element. */
  const fill = (element, ...children) =>
    element.replaceChildren(
      ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
    );

  /** Make a text that only screen readers say. */
  const spoken = (text) => el("span", { class: "spoken" }, text);

  const number = (value) => value.toLocaleString("en");
  const counted = (value, one, many) => `${number(value)} ${value === 1 ? one : many}`;

  // -- words ----------------------------------------------------------------------------------------------------------

  /** What a verdict is called here; never told by colour alone. The worst comes first. */
  const VERDICTS = {
    blocked: { symbol: "✗", word: "blocked" },
    conditional: { symbol: "?", word: "depends" },
    allowed: { symbol: "✓", word: "allowed" },
    exempt: { symbol: "–", word: "not subject to CORS" },
  };
  const SEVERITIES = {
    error: { symbol: "✗", word: "error" },
    warning: { symbol: "!", word: "warning" },
    info: { symbol: "i", word: "note" },
  };
  const CREDENTIALS = {
    include: "sent with credentials",
    omit: "sent without credentials",
    unknown: "not known: nothing on the wire tells whether it was sent with credentials",
  };

  const badge = (verdict) => {
    const { symbol, word } = VERDICTS[verdict];
    return el("span", { class: `badge ${verdict}` }, el("span", { "aria-hidden": "true" }, symbol), ` ${word}`);
  };

  // -- what a story is ------------------------------------------------------------------------------------------------

  const header = (lines, name) => lines.find(([key]) => key.toLowerCase() === name)?.[1];
  const hostOf = (url) => /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(url)?.[1] ?? "";

  /** Return the method that the page asked for: of a preflight the one that it asks about. */
  const methodOf = (entry) =>
    (entry.kind === "preflight" && header(entry.wire.request, "access-control-request-method")) || entry.method;

  /** Return what a list shows of a story, from its entries; they are put in the capture's order. */
  const summarise = (entries) => {
    entries.sort((one, other) => one.number - other.number);
    const verdict = Object.keys(VERDICTS).find((key) => entries.some((entry) => entry.verdict === key));
    const deciding = entries.findLast((entry) => entry.verdict === verdict);
    const first = entries.find((entry) => entry.kind !== "preflight") ?? entries[0];
    const findings = new Map(entries.flatMap((entry) => entry.findings.map((finding) => [finding.id, finding])));
    const wrong = entries.filter((entry) => entry.cause !== null);
    return {
      entries,
      verdict,
      deciding,
      findings,
      cause: deciding.findings.find((finding) => finding.id === deciding.cause) ?? null,
      capture: first.capture,
      number: entries[0].number,
      method: methodOf(first),
      url: first.url,
      hosts: new Set(entries.map((entry) => hostOf(entry.url))),
      origin: first.origin ?? "none",
      status: entries.at(-1).status,
      known: wrong.length > 0 && wrong.every((entry) => entry.known),
      sent: first.kind !== "preflight",
      rewritten: entries.some((entry) => entry.rewrite),
    };
  };

  // -- the sequence ---------------------------------------------------------------------------------------------------

  const TELLING_REQUEST = /^(origin|cookie|authorization|access-control-request-.*)$/i;
  const TELLING_RESPONSE = /^(access-control-.*|vary|location|set-cookie|cross-origin-resource-policy)$/i;

  /** Return what a fix changes of an entry of its story: `operation`, `header`, `before`, `after`. */
  const editsOf = (entry, story) => {
    const fix = story.deciding.fix;
    // What was rewritten on its way shows here as the browser got it.
    if (!fix || entry.rewrite?.applied) return [];
    if (entry.kind === "preflight") return fix.preflight;
    return entry === story.deciding ? fix.actual : [];
  };

  const headerLine = ([name, value], mark = "") =>
    el(
      "li",
      { class: mark ? "header wrong" : "header" },
      el("span", { class: "name" }, name),
      ": ",
      el("span", { class: "value" }, value === "" ? "(empty)" : value),
      mark && el("span", { class: "mark" }, ` ← ${mark}`),
    );

  const headerLines = (lines, edits) => {
    const changed = new Map(edits.filter((edit) => edit.header).map((edit) => [edit.header.toLowerCase(), edit]));
    const shown = lines.map((line) =>
      headerLine(line, changed.get(line[0].toLowerCase())?.before.length > 0 ? "to change" : ""),
    );
    const missing = [...changed.values()].filter(
      (edit) => !edit.before.length && /^access-control-allow-/i.test(edit.header),
    );
    return [
      ...shown,
      ...missing.map((edit) =>
        el(
          "li",
          { class: "header wrong" },
          el("span", { class: "name" }, edit.header),
          el("span", { class: "mark" }, " is missing"),
        ),
      ),
    ];
  };

  const headers = (lines, telling, edits = []) => {
    const shown = headerLines(
      lines.filter(([name]) => telling.test(name)),
      edits,
    );
    const rest = lines.filter(([name]) => !telling.test(name));
    return [
      shown.length > 0 && el("ul", { class: "headers" }, shown),
      rest.length > 0 &&
        el(
          "details",
          { class: "rest" },
          el("summary", {}, counted(rest.length, "more header line", "more header lines")),
          el(
            "ul",
            { class: "headers" },
            rest.map((line) => headerLine(line)),
          ),
        ),
    ];
  };

  const asksFor = (entry) => {
    const names = header(entry.wire.request, "access-control-request-headers");
    return `Preflight: may the page send ${methodOf(entry)}${names ? ` with ${names.replace(/,\s*/g, ", ")}` : ""}?`;
  };

  const asked = (entry) => {
    if (entry.kind === "preflight") return asksFor(entry);
    return entry.redirected_from ? "The redirect is followed" : "The page’s request";
  };

  /** Return what becomes of an entry, in words. */
  const outcome = (entry, story) => {
    const method = methodOf(entry);
    const reason = entry.findings.find((finding) => finding.id === entry.cause)?.title;
    const because = reason ? `: ${reason}` : "";
    const last = entry === story.entries.at(-1);
    switch (entry.verdict) {
      case "blocked":
        if (entry.kind === "preflight") return [`Blocked here${because}.`, `The browser never sends the ${method}.`];
        if (entry.kind === "redirect") return [`Blocked here${because}.`, "The browser does not follow the redirect."];
        return [`Blocked here${because}.`, "The server did answer, but the browser keeps the answer from the page."];
      case "conditional":
        return [`Depends${because}.`, "Whether it was sent with credentials decides, and the traffic does not tell."];
      case "exempt":
        return ["Not subject to CORS.", entry.note ? `${entry.note}.` : ""];
      default:
        if (entry.kind === "preflight")
          return [`Permitted: the browser may send the ${method}.`, last ? "That request was not seen." : ""];
        if (entry.kind === "redirect")
          return ["Passed: the browser follows the redirect.", last ? "What follows was not seen." : ""];
        return ["Allowed: the page gets the answer.", ""];
    }
  };

  const later = (entry, story) => {
    const seconds = entry.timestamp - story.entries[0].timestamp;
    if (entry === story.entries[0] || !(seconds >= 0)) return "";
    return seconds < 10 ? ` +${Math.round(seconds * 1000)} ms` : ` +${Math.round(seconds)} s`;
  };

  /** Return the three lines of an entry: what was asked, what was answered, what the browser makes of it. */
  const steps = (entry, story) => {
    const edits = editsOf(entry, story);
    const status = edits.find((edit) => edit.operation === "status");
    const failed = entry.verdict === "blocked";
    const [said, then] = outcome(entry, story);
    const { symbol } = VERDICTS[entry.verdict];
    return [
      el(
        "li",
        { class: "message request" },
        el(
          "p",
          { class: "what" },
          spoken("Browser to server. "),
          asked(entry),
          el("span", { class: "later" }, later(entry, story)),
        ),
        el("p", { class: "line" }, el("b", {}, entry.method), " ", entry.url),
        el("div", { class: "arrow", "aria-hidden": "true" }),
        headers(entry.wire.request, TELLING_REQUEST),
      ),
      el(
        "li",
        { class: `message response${failed ? " failed" : ""}` },
        el(
          "p",
          { class: "line" },
          spoken("Server to browser. "),
          el("b", {}, `Status ${entry.status}`),
          status &&
            el("span", { class: "wrong" }, el("span", { class: "mark" }, ` ← should be ${status.after.join("")}`)),
        ),
        el("div", { class: "arrow", "aria-hidden": "true" }),
        headers(entry.wire.response, TELLING_RESPONSE, edits),
      ),
      el(
        "li",
        { class: `outcome ${entry.verdict}` },
        el("span", { class: "symbol", "aria-hidden": "true" }, symbol),
        el("p", {}, el("b", {}, said), then && ` ${then}`),
      ),
    ];
  };

  const sequence = (story) =>
    el(
      "div",
      { class: "sequence" },
      el(
        "div",
        { class: "ends", "aria-hidden": "true" },
        el(
          "span",
          { class: "end" },
          el("b", {}, "Browser"),
          el("small", {}, story.origin === "none" ? "" : story.origin),
        ),
        el(
          "span",
          { class: "end" },
          el("b", {}, story.hosts.size > 1 ? "Servers" : "Server"),
          el("small", {}, [...story.hosts].join(", ")),
        ),
      ),
      el(
        "ol",
        { "aria-label": "Messages between browser and server" },
        story.entries.flatMap((entry) => steps(entry, story)),
      ),
    );

  // -- faults, changes, evidence --------------------------------------------------------------------------------------

  /** Return a text in which `code` and the flows that are listed are marked up. */
  const prose = (text, capture, linkTo) =>
    text.split(/(`[^`]+`|\bflow [\w-]+)/).map((part) => {
      if (/^`.*`$/.test(part)) return el("code", {}, part.slice(1, -1));
      const link = part.startsWith("flow ") ? linkTo(capture, part.slice("flow ".length)) : null;
      return link ? el("a", { href: link.href }, `request ${link.number}`) : part;
    });

  const findingCard = (finding, entry, linkTo) => {
    const { symbol, word } = SEVERITIES[finding.severity];
    // Of two with one id, for two headers, the first decides.
    const decides = finding === entry.findings.find((one) => one.id === entry.cause);
    return el(
      "li",
      { class: `finding ${finding.severity}` },
      el(
        "h4",
        {},
        el("span", { class: "symbol", "aria-hidden": "true" }, symbol),
        spoken(`${word}: `),
        finding.title,
        decides &&
          el("span", { class: "tag" }, entry.verdict === "blocked" ? "why it is blocked" : "what it depends on"),
      ),
      el("p", {}, prose(finding.message, entry.capture, linkTo)),
      finding.fix && el("p", {}, el("b", {}, "Fix: "), prose(finding.fix, entry.capture, linkTo)),
      el("p", { class: "reference" }, finding.docs, finding.fault && ` · to the browser: ${finding.fault}`),
    );
  };

  const KINDS = { preflight: "Of the preflight", redirect: "Of the redirect", actual: "Of the request" };

  const findingList = (story, linkTo) => {
    const found = story.entries.filter((entry) => entry.findings.length > 0);
    return found.map((entry) => [
      story.entries.length > 1 && el("h4", { class: "of" }, KINDS[entry.kind]),
      el(
        "ol",
        { class: "findings" },
        entry.findings.map((finding) => findingCard(finding, entry, linkTo)),
      ),
    ]);
  };

  /** Return a button that copies a text; where the browser does not let it, it selects what is to be copied. */
  const copyButton = (text, shown) => {
    const told = el("span", { class: "told", role: "status" });
    const copied = () => (told.textContent = "Copied");
    const selected = () => {
      getSelection().selectAllChildren(shown());
      told.textContent = "Selected: copy it with your keyboard";
    };
    const copy = () => (navigator.clipboard ? navigator.clipboard.writeText(text).then(copied, selected) : selected());
    return el("span", { class: "copy" }, told, el("button", { type: "button", onclick: copy }, "Copy"));
  };

  const changeLines = (edits) =>
    edits.flatMap((edit) => {
      const name = edit.header ?? edit.operation[0].toUpperCase() + edit.operation.slice(1);
      const line = (tag, sign, word, value) =>
        el(tag, {}, spoken(`${word} `), el("span", { "aria-hidden": "true" }, `${sign} `), `${name}: ${value}`);
      return [
        ...edit.before.map((value) => line("del", "-", "Remove", value || "(empty)")),
        ...edit.after.map((value) => line("ins", "+", "Send", value)),
      ];
    });

  const toSend = (edits) =>
    edits.filter((edit) => edit.header).flatMap((edit) => edit.after.map((value) => `${edit.header}: ${value}`));

  /** Return edits as lines with a button that copies what is to be sent. */
  const changeBlock = (title, edits) => {
    const shown = el("div", { class: "diff code" }, changeLines(edits));
    const lines = toSend(edits);
    return el(
      "div",
      { class: "block" },
      el("div", { class: "bar" }, el("h4", {}, title), lines.length > 0 && copyButton(lines.join("\n"), () => shown)),
      shown,
    );
  };

  const changes = (fix) =>
    ["preflight", "actual"].flatMap((part) => {
      const further = fix.with_credentials?.[part] ?? [];
      const seen = part === "actual" && !fix.actual_seen ? ", which was never asked for" : "";
      return [
        fix[part].length > 0 && changeBlock(`Answer to the ${part === "actual" ? "request" : part}${seen}`, fix[part]),
        further.length > 0 &&
          changeBlock(
            `Answer to the ${part === "actual" ? "request" : part}, if it is sent with credentials, besides`,
            further,
          ),
      ];
    });

  /** Return what rewriting did to the answers of a story, or would do, as blocks. */
  const rewriting = (story) =>
    story.entries
      .filter((entry) => entry.rewrite)
      .map(({ kind, rewrite }) => {
        const { applied, edits, notes } = rewrite;
        const was = `Without it: ${VERDICTS[rewrite.verdict_before].word}.`;
        const said = rewrite.why_not
          ? `Not rewritten: ${rewrite.why_not}.`
          : applied
            ? `Rewritten on its way to this browser only. ${was}`
            : "Not rewritten; it would be allowed after this change.";
        return [
          el("p", {}, el("b", {}, `${KINDS[kind]}: `), said, notes.map((note) => ` ${note}.`)),
          edits.length > 0 && changeBlock(applied ? "What was changed" : "What would be changed", edits),
        ];
      });

  const configurationBlock = ([title, note, ...lines]) => {
    const text = lines.join("\n").trim();
    const shown = el("pre", { class: "code", tabindex: "0", "aria-label": title }, text);
    return el(
      "div",
      { class: "block" },
      el("div", { class: "bar" }, el("h4", {}, title), text && copyButton(text, () => shown)),
      note && el("p", { class: "muted" }, note),
      text && shown,
    );
  };

  const observedWords = ({ delivered, said, not_cors: notCors, agrees }) => {
    const became = notCors
      ? `it was stopped by something that is not CORS: ${notCors}`
      : { true: "the page got the answer", false: "the page did not get the answer" }[delivered];
    // Where it contradicts the verdict, that is a finding.
    const held = agrees ? " This agrees with the verdict." : "";
    return `${became ?? "it does not say whether the page got the answer"}${said ? ` (“${said}”)` : ""}.${held}`;
  };

  const list = (items) =>
    el(
      "ul",
      {},
      items.map((item) => el("li", {}, item)),
    );

  const evidence = (story, linkTo) => {
    const { deciding, entries, capture } = story;
    const say = (text) => prose(text, capture, linkTo);
    const asked = entries.find((entry) => entry.preflight_reason);
    const withheld = entries.flatMap((entry) => entry.cookies_withheld);
    const records = entries.filter((entry) => entry.observed);
    const rows = [
      ["Page", deciding.origin ?? "no Origin header"],
      ["Request mode", deciding.mode],
      [
        "Credentials",
        [
          CREDENTIALS[deciding.credentials],
          deciding.credentials_evidence.length > 0 && list(deciding.credentials_evidence.map(say)),
        ],
      ],
      asked && ["Why a preflight", say(asked.preflight_reason)],
      withheld.length > 0 && [
        "Cookies that did not travel",
        list(withheld.map((one) => say(`${one.cookies}: ${one.reason}`))),
      ],
      deciding.devtools_error && [
        "Chromium’s name for it",
        [deciding.devtools_error, deciding.failed_parameter && ` (${deciding.failed_parameter})`],
      ],
      records.length > 0 && [
        "The browser’s own record",
        list(records.map((entry) => `${entry.kind}: ${observedWords(entry.observed)}`)),
      ],
      ["Rules applied", deciding.browser === "spec" ? "the Fetch standard’s" : deciding.browser],
      !deciding.settled && ["Still open", "what would tell was not seen"],
      [
        "In the capture",
        [capture, list(entries.map((entry) => `${entry.number}: ${entry.kind}, flow ${entry.flow_id}`))],
      ],
    ];
    return el(
      "dl",
      {},
      rows.filter(Boolean).flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value)]),
    );
  };

  // -- a whole story --------------------------------------------------------------------------------------------------

  /** Return what became of a story, in a sentence that ends before the reason. */
  const CONCLUSIONS = {
    blocked: ({ deciding, method }) =>
      ({
        preflight: `The preflight failed, so that the browser never sent the ${method}`,
        redirect: "The browser did not follow the redirect",
        actual: "The browser kept the answer from the page",
      })[deciding.kind],
    conditional: () => "Blocked if it was sent with credentials, allowed if not, and the traffic does not tell",
    allowed: (story) => (story.sent ? "The page got the answer" : "The preflight passed"),
    exempt: ({ findings }) => `CORS does not apply to it${findings.size > 0 ? ", but something was found" : ""}`,
  };

  const conclude = (story) =>
    CONCLUSIONS[story.verdict](story) + (story.verdict === "blocked" && story.cause ? `: ${story.cause.title}.` : ".");

  const section = (title, ...content) => el("section", {}, el("h3", {}, title), ...content);

  /**
   * Return a story in full, as an element. `linkTo(capture, flow)` returns the `href` and `number` of the story that a
   * flow belongs to, null where it is not listed.
   */
  const render = (story, linkTo) => {
    const { deciding } = story;
    const console = story.entries.map((entry) => entry.console).filter(Boolean);
    const found = findingList(story, linkTo);
    const changed = deciding.fix ? changes(deciding.fix).filter(Boolean) : [];
    return el(
      "article",
      { class: "story" },
      el(
        "header",
        {},
        el("p", {}, badge(story.verdict), story.known && el("span", { class: "tag" }, "in the baseline")),
        el("h2", { tabindex: "-1" }, `${story.method} `, el("span", { class: "url" }, story.url)),
        el("p", { class: "conclusion" }, conclude(story)),
      ),
      section("What happened", sequence(story)),
      story.rewritten && section("Rewriting", rewriting(story)),
      console.length > 0 &&
        section(
          deciding.browser === "chromium" ? "What the browser’s console says" : "What Chromium’s console says",
          console.map((line) => el("p", { class: "console code" }, line)),
        ),
      found.length > 0 && section("What is wrong, and how to fix it", found),
      changed.length > 0 && section("The smallest change of headers", changed),
      deciding.configuration?.length > 0 && section("Configuration", configurationBlock(deciding.configuration)),
      section("What this rests on", evidence(story, linkTo)),
    );
  };

  Object.assign(corscope, {
    VERDICTS,
    badge,
    changeLines,
    conclude,
    counted,
    el,
    fill,
    number,
    prose,
    render,
    spoken,
    summarise,
  });
})();
