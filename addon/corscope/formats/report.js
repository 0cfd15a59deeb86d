"use strict";
// The page: an overview, filters, the table of stories, and the one that is open. Takes entries as they come, all at
// once from a report's file or a few at a time; a later entry of the same flow replaces the earlier one. What is
// filtered and open is in the address's fragment, so that it can be bookmarked.

(() => {
  const { VERDICTS, badge, counted, el, fill, number, render, spoken, summarise } = corscope;

  const ROWS = 100; // on a page of the table
  const REASONS = 8; // in a list of the overview before the rest is folded
  const PRINTED = 10; // stories that are printed in full beside the table; of more, one for each finding
  const TYPING = 150; // milliseconds without a key before the search begins
  const PACE = 250; // milliseconds at least between two renderings of what comes
  const CLICK = 1500; // milliseconds within which a button of the mouse that is pressed comes up again
  const SHARE = 5; // of the time, what such a rendering may take: one part in so many

  // -- the data -------------------------------------------------------------------------------------------------------

  /** Return the entries of a chunk of the file, whose shared parts are numbers. */
  const decode = ({ shared, entries }) => {
    const parts = (numbers) => numbers.map((index) => shared[index]);
    return entries.map((entry) => ({
      ...entry,
      findings: parts(entry.findings),
      wire: { request: parts(entry.wire.request), response: parts(entry.wire.response) },
      ...("fix" in entry && { fix: shared[entry.fix], configuration: shared[entry.configuration] }),
    }));
  };

  const flowKey = (capture, flowId) => JSON.stringify([capture, flowId]);

  /** Holds entries and tells the stories that they make. */
  class Stories {
    #entriesOf = new Map(); // story → flow → entry
    #storyOf = new Map(); // flow → story
    #made = new Map(); // story → what `summarise` returned, until an entry changes it

    add(entry) {
      const flow = flowKey(entry.capture, entry.flow_id);
      const story = JSON.stringify([entry.capture, entry.story_id || entry.flow_id]);
      const before = this.#storyOf.get(flow);
      if (before !== undefined && before !== story) this.#takeOut(flow, before);
      this.#storyOf.set(flow, story);
      if (!this.#entriesOf.has(story)) this.#entriesOf.set(story, new Map());
      this.#entriesOf.get(story).set(flow, entry);
      this.#made.delete(story);
    }

    /** Let go of a flow's entry; tells whether there was one. */
    remove(capture, flowId) {
      const flow = flowKey(capture, flowId);
      const story = this.#storyOf.get(flow);
      if (story === undefined) return false;
      this.#storyOf.delete(flow);
      this.#takeOut(flow, story);
      return true;
    }

    #takeOut(flow, story) {
      const left = this.#entriesOf.get(story);
      left.delete(flow);
      this.#made.delete(story);
      if (left.size === 0) this.#entriesOf.delete(story);
    }

    clear() {
      for (const kept of [this.#entriesOf, this.#storyOf, this.#made]) kept.clear();
    }

    /** Return all in the captures' order, whichever came first. */
    all() {
      const made = [...this.#entriesOf.keys()].map((story) => this.#get(story));
      const order = new Map();
      for (const { capture } of made) if (!order.has(capture)) order.set(capture, order.size);
      return made.sort(
        (one, other) => order.get(one.capture) - order.get(other.capture) || one.number - other.number,
      );
    }

    /** Return the story of a flow, null where there is none. */
    of(capture, flowId) {
      const story = this.#storyOf.get(flowKey(capture, flowId));
      return story === undefined ? null : this.#get(story);
    }

    #get(story) {
      if (!this.#made.has(story)) this.#made.set(story, summarise([...this.#entriesOf.get(story).values()]));
      return this.#made.get(story);
    }
  }

  /** Return the name by which a story is bookmarked. */
  const nameOf = (story) => `${story.capture}:${story.number}`;

  /** Return all that the search looks at, in lower case; made once for each story. */
  const searched = new WeakMap();
  const searchText = (story) => {
    if (!searched.has(story)) {
      const texts = story.entries.flatMap((entry) => [
        entry.method,
        entry.url,
        String(entry.status),
        entry.origin,
        entry.devtools_error,
        entry.flow_id,
        entry.capture,
        ...entry.findings.flatMap((finding) => [finding.id, finding.title]),
        ...[...entry.wire.request, ...entry.wire.response].map((line) => line.join(": ")),
      ]);
      searched.set(story, [VERDICTS[story.verdict].word, ...texts].join("\n").toLowerCase());
    }
    return searched.get(story);
  };

  // -- filters and order ----------------------------------------------------------------------------------------------

  /** What can be chosen from a list: its values of a story. */
  const FACETS = {
    finding: { label: "Finding", any: "any finding", values: (story) => [...story.findings.keys()] },
    origin: { label: "Page", any: "any page", values: (story) => [story.origin] },
    host: { label: "API (server)", any: "any server", values: (story) => [...story.hosts] },
    capture: { label: "Capture", any: "all captures", values: (story) => [story.capture] },
  };

  const PASSES = {
    verdict: (story, wanted) => wanted.split(",").includes(story.verdict),
    fresh: (story) => story.cause !== null && !story.known,
    q: (story, wanted) =>
      wanted
        .toLowerCase()
        .split(/\s+/)
        .every((word) => searchText(story).includes(word)),
    ...Object.fromEntries(
      Object.entries(FACETS).map(([name, { values }]) => [name, (story, wanted) => values(story).includes(wanted)]),
    ),
  };

  /** Tell whether a story passes all filters of a state but the one named. */
  const passes = (story, state, except = "") =>
    Object.entries(PASSES).every(([name, test]) => name === except || !state[name] || test(story, state[name]));

  const warns = (story) => [...story.findings.values()].some((finding) => finding.severity === "warning");
  const RANKS = Object.keys(VERDICTS);
  const rank = (story) =>
    RANKS.indexOf(story.verdict) * 4 + (story.known ? 2 : 0) + (story.cause || warns(story) ? 0 : 1);
  const worst = (story) => story.cause ?? [...story.findings.values()].find((one) => one.severity !== "info") ?? null;

  const COLUMNS = {
    verdict: { label: "Verdict", key: rank },
    request: { label: "Request", key: (story) => story.url },
    page: { label: "Page", key: (story) => story.origin },
    status: { label: "Status", key: (story) => story.status },
    why: { label: "Why", key: (story) => worst(story)?.title ?? "\uffff" },
    number: { label: "No.", key: null }, // the captures' own order
  };

  /** Sort stories by a column; what is equal stays in the captures' order. */
  const sorted = (stories, sort) => {
    const down = sort.startsWith("-");
    const { key } = COLUMNS[sort.replace("-", "")] ?? COLUMNS.verdict;
    if (key === null) return down ? stories.toReversed() : stories;
    const keyed = stories.map((story) => [key(story), story]);
    const compared = ([one], [other]) => (one < other ? -1 : one > other ? 1 : 0);
    keyed.sort(down ? (one, other) => compared(other, one) : compared);
    return keyed.map(([, story]) => story);
  };

  /** Return how often each value occurs, the most frequent first. */
  const tally = (lists) => {
    const counts = new Map();
    for (const values of lists) for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    return [...counts].sort(([one, many], [other, more]) => more - many || (one < other ? -1 : 1));
  };

  // -- the fragment ---------------------------------------------------------------------------------------------------

  const NAMES = [...Object.keys(PASSES), "sort", "page", "story"];

  const readFragment = () => {
    const said = new URLSearchParams(location.hash.slice(1));
    return Object.fromEntries(NAMES.map((name) => [name, said.get(name) ?? ""]));
  };

  const fragment = (state) => {
    const said = new URLSearchParams(NAMES.filter((name) => state[name]).map((name) => [name, state[name]]));
    return `#${said}`;
  };

  // -- the overview ---------------------------------------------------------------------------------------------------

  const capital = (text) => text[0].toUpperCase() + text.slice(1);

  /** Return what came out, as a sentence for whoever reads no further. */
  const headline = (stories) => {
    const count = (verdict) => stories.filter((story) => story.verdict === verdict).length;
    const [blocked, open, all] = [count("blocked"), count("conditional"), stories.length - count("exempt")];
    if (all === 0) return "No request that is subject to CORS was found.";
    const requests = counted(all, "request", "requests");
    const said =
      blocked > 0
        ? `${number(blocked)} of ${requests} ${blocked === 1 ? "was" : "were"} blocked: the page could not read the answer${blocked === 1 ? "" : "s"}.`
        : open > 0
          ? `None of ${requests} was certainly blocked.`
          : `Nothing was blocked: the page got the answer${all === 1 ? "" : "s"} to ${requests}.`;
    if (open === 0) return said;
    return `${said} ${counted(open, "depends", "depend")} on whether credentials were sent, which the traffic does not tell.`;
  };

  /** Return what a finding is called where it stands for several: its title, or its id where titles differ. */
  const namer = (stories) => {
    const titles = new Map();
    for (const story of stories)
      for (const { id, title } of story.findings.values())
        titles.set(id, !titles.has(id) || titles.get(id) === title ? title : id.replaceAll("-", " "));
    return (id) => titles.get(id) ?? id;
  };

  const captureTable = (captures) =>
    el(
      "table",
      { class: "captures" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          ["Capture", "Exchanges", ...RANKS.map((key) => capital(VERDICTS[key].word))].map((label) =>
            el("th", { scope: "col" }, label),
          ),
        ),
      ),
      el(
        "tbody",
        {},
        captures.map((one) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, one.name),
            [one.exchanges, ...RANKS.map((key) => one.verdicts[key])].map((count) => el("td", {}, number(count))),
          ),
        ),
      ),
    );

  // -- the page -------------------------------------------------------------------------------------------------------

  /**
   * Fill an element with a report. Returns `add(entries)`, which takes further entries, `remove(capture, flowIds)` and
   * `clear()`, which let go of some and of all, `passBy(count)`, which says how many exchanges are not listed because
   * CORS does not apply to them, and `finish(summary)`, which says what was read.
   *
   * `sort` is the order in which the table begins; `name` what the page is called in the browser's list of tabs;
   * `beside(story)` returns elements to show above an open story.
   */
  const show = (root, { sort: usual = "verdict", name: called = "CORS report", beside = () => null } = {}) => {
    const stories = new Stories();
    let state = readFragment();
    let summary = null;
    let unlisted = 0; // exchanges besides to which CORS does not apply, where no summary tells
    let all = []; // every story
    let shown = []; // those that pass the filters, in their order
    let asked = false; // whether a rendering is on its way
    let latest = -Infinity; // when the latest one ended, and how long it took, in milliseconds
    let took = 0;
    let pressed = -Infinity; // since when a button of the mouse is down: a click ends on the element where it began

    const overview = el("section", { class: "overview", "aria-label": "Overview" });
    const search = el("input", {
      type: "search",
      id: "q",
      placeholder: "URL, status, header, finding …",
      autocomplete: "off",
      spellcheck: "false",
    });
    const selects = Object.fromEntries(Object.keys(FACETS).map((name) => [name, el("select", { id: name })]));
    const fresh = el("input", { type: "checkbox", id: "fresh" });
    const freshLabel = el("label", { class: "check" }, fresh, " only what is new");
    const clear = el("button", { type: "button", class: "quiet" }, "Clear filters");
    const count = el("p", { role: "status", class: "count" });
    const body = el("tbody", { role: "rowgroup" });
    const heads = Object.entries(COLUMNS).map(([name, { label }]) =>
      el(
        "th",
        { scope: "col", role: "columnheader", class: `col-${name}` },
        el("button", { type: "button", "data-sort": name }, label),
      ),
    );
    const table = el(
      "table",
      { class: "stories", role: "table", "aria-label": "Requests", "aria-describedby": "keys" },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads)),
      body,
    );
    const pager = el("nav", { class: "pager", "aria-label": "Pages of the table" });
    const field = (name, control) =>
      el("label", { class: `field field-${name}` }, el("span", {}, FACETS[name]?.label ?? "Search"), control);
    const filters = el(
      "form",
      { role: "search", "aria-label": "Filter the requests", onsubmit: (event) => event.preventDefault() },
      field("q", search),
      Object.entries(selects).map(([name, control]) => field(name, control)),
      freshLabel,
      clear,
    );
    const listing = el(
      "section",
      { class: "listing", "aria-label": "Requests" },
      filters,
      el(
        "div",
        { class: "above" },
        count,
        el(
          "p",
          { id: "keys", class: "keys" },
          el("kbd", {}, "↑"),
          " ",
          el("kbd", {}, "↓"),
          " move in the table, ",
          el("kbd", {}, "Enter"),
          " opens, ",
          el("kbd", {}, "Esc"),
          " closes",
        ),
      ),
      table,
      pager,
    );
    const detail = el("section", { class: "detail", "aria-label": "The request in full", tabindex: "0", hidden: true });
    const examples = el("section", { class: "examples", "aria-label": "Requests in full" });
    const split = el("div", { class: "split" }, listing, detail);
    root.replaceChildren(overview, split, examples);

    // State: every change goes through here.
    const change = (changes, { push = false } = {}) => {
      state = { ...state, ...changes };
      history[push ? "pushState" : "replaceState"](null, "", fragment(state));
      update();
    };
    const filterBy = (changes) => change({ ...changes, page: "" });
    const toggle = (verdict) => {
      const chosen = new Set(state.verdict ? state.verdict.split(",") : []);
      if (!chosen.delete(verdict)) chosen.add(verdict);
      filterBy({ verdict: RANKS.filter((key) => chosen.has(key)).join(",") });
    };

    const hrefOf = (story) => fragment({ ...state, story: nameOf(story) });
    const linkTo = (capture, flowId) => {
      const story = stories.of(capture, flowId);
      return story && { href: hrefOf(story), number: story.number };
    };

    // -- the overview

    const tile = (verdict) => {
      const listed = all.filter((story) => story.verdict === verdict).length;
      const exempt = verdict === "exempt";
      const total = exempt ? (summary?.verdicts.exempt ?? listed + unlisted) : listed;
      const { symbol, word } = VERDICTS[verdict];
      const content = [
        el("span", { class: "symbol", "aria-hidden": "true" }, symbol),
        el("b", {}, number(total)),
        el(
          "span",
          {},
          ` ${word}`,
          exempt && total > listed && el("small", {}, listed ? ` (${number(listed)} listed)` : " (not listed)"),
        ),
      ];
      if (listed === 0) return el("div", { class: `tile ${verdict}` }, content);
      const pressed = state.verdict.split(",").includes(verdict);
      return el(
        "button",
        {
          type: "button",
          class: `tile ${verdict}`,
          "aria-pressed": String(pressed),
          "data-verdict": verdict,
          onclick: () => toggle(verdict),
        },
        content,
      );
    };

    const reasonList = (title, counts, name) => {
      if (counts.length === 0) return null;
      const most = counts[0][1];
      const item = ([id, count]) => {
        const bar = el("span", { class: "bar", "aria-hidden": "true" });
        bar.style.setProperty("--share", count / most);
        const pressed = state.finding === id;
        return el(
          "li",
          {},
          el(
            "button",
            {
              type: "button",
              "aria-pressed": String(pressed),
              "data-finding": id,
              onclick: () => filterBy({ finding: pressed ? "" : id }),
            },
            el("b", {}, number(count)),
            el("span", { class: "title" }, name(id)),
            bar,
          ),
        );
      };
      const [first, rest] = [counts.slice(0, REASONS), counts.slice(REASONS)];
      return el(
        "div",
        { class: "reasons" },
        el("h2", {}, title),
        el("ol", {}, first.map(item)),
        rest.length > 0 &&
          el(
            "details",
            { open: rest.some(([id]) => id === state.finding) },
            el("summary", {}, `${number(rest.length)} more`),
            el("ol", {}, rest.map(item)),
          ),
      );
    };

    const renderOverview = () => {
      const name = namer(all);
      const causes = tally(all.filter((story) => story.cause).map((story) => [story.cause.id]));
      const blocks = all.some((story) => story.verdict === "blocked");
      const besides = (severity) =>
        tally(
          all.map((story) =>
            [...story.findings.values()]
              .filter((one) => one !== story.cause && one.severity === severity)
              .map((one) => one.id),
          ),
        );
      const read = summary ? summary.captures.reduce((sum, one) => sum + one.exchanges, 0) : null;
      const warnings = summary
        ? summary.captures.flatMap((one) => one.warnings.map((line) => `${one.name}: ${line}`))
        : [];
      const focused = document.activeElement?.closest(".overview") && document.activeElement;
      const opened = [...overview.querySelectorAll("details")].map((one) => one.open);
      fill(
        overview,
        el("p", { class: "headline" }, headline(all)),
        el("div", { class: "tiles", role: "group", "aria-label": "Filter by verdict" }, RANKS.map(tile)),
        warnings.length > 0 &&
          el(
            "div",
            { class: "warnings", role: "note" },
            el("h2", {}, "Not all could be read"),
            el(
              "ul",
              {},
              warnings.map((line) => el("li", {}, line)),
            ),
          ),
        el(
          "div",
          { class: "lists" },
          reasonList(blocks ? "Why requests were blocked" : "What may block requests", causes, name),
          reasonList("What will hurt besides", besides("warning"), name),
          reasonList("Worth knowing", besides("info"), name),
        ),
        summary &&
          el(
            "details",
            { class: "read" },
            el(
              "summary",
              {},
              `${counted(read, "exchange", "exchanges")} in ${counted(summary.captures.length, "capture", "captures")} read: `,
              summary.failed ? "the check failed" : "the check passed",
              summary.new > 0 && `, ${number(summary.new)} not in the baseline`,
            ),
            el(
              "p",
              { class: "muted" },
              "An exchange is one request with its answer: a preflight and each redirect count as exchanges of their own, and make one row together with the request that they belong to.",
            ),
            captureTable(summary.captures),
          ),
      );
      // What was pressed is another element now.
      if (focused) {
        const { verdict, finding } = focused.dataset;
        const again = verdict
          ? `[data-verdict="${verdict}"]`
          : finding
            ? `[data-finding="${CSS.escape(finding)}"]`
            : null;
        if (again) overview.querySelector(again)?.focus();
      }
      [...overview.querySelectorAll("details")].forEach((one, index) => (one.open ||= opened[index] ?? false));
    };

    // -- the filters

    const renderFilters = (coming) => {
      if (document.activeElement !== search) search.value = state.q;
      const name = namer(all);
      for (const [facet, { any, values }] of Object.entries(FACETS)) {
        // A list that may be open would close under the reader's hand.
        if (coming && document.activeElement === selects[facet]) continue;
        const counts = tally(all.filter((story) => passes(story, state, facet)).map(values));
        if (state[facet] && !counts.some(([value]) => value === state[facet])) counts.push([state[facet], 0]);
        const option = ([value, total]) => {
          const label = facet === "finding" ? `${name(value)} (${number(total)})` : `${value} (${number(total)})`;
          return el("option", { value, selected: value === state[facet] }, label);
        };
        selects[facet].replaceChildren(el("option", { value: "" }, any), ...counts.map(option));
        selects[facet].value = state[facet];
      }
      selects.capture.parentElement.hidden = new Set(all.map((story) => story.capture)).size < 2 && !state.capture;
      freshLabel.hidden = !all.some((story) => story.known) && !state.fresh;
      fresh.checked = Boolean(state.fresh);
      clear.hidden = !Object.keys(PASSES).some((key) => state[key]);
    };

    // -- the table

    const pages = () => Math.max(1, Math.ceil(shown.length / ROWS));
    const page = () => Math.min(Math.max(1, Number(state.page) || 1), pages());
    const onPage = () => shown.slice((page() - 1) * ROWS, page() * ROWS);

    const row = (story) => {
      const open = nameOf(story) === state.story;
      const [, scheme = "", host = "", path = story.url] =
        /^([a-z][a-z0-9+.-]*:\/\/)([^/?#]*)(.*)$/is.exec(story.url) ?? [];
      const why = worst(story);
      const more = story.findings.size - (why ? 1 : 0);
      const tags = [
        story.entries.some((entry) => entry.kind === "preflight") && "preflight",
        story.entries.some((entry) => entry.kind === "redirect") && "redirect",
        story.entries.some((entry) => entry.rewrite?.applied) && "rewritten",
        story.known && "in the baseline",
        story.findings.has("browser-disagrees") && why.id !== "browser-disagrees" && "browser’s record differs",
      ].filter(Boolean);
      const cell = (column, ...content) => el("td", { role: "cell", class: `col-${column}` }, ...content);
      return el(
        "tr",
        { role: "row", class: story.verdict, "aria-current": open && "true" },
        cell("verdict", badge(story.verdict)),
        cell(
          "request",
          el(
            "a",
            { href: hrefOf(story), tabindex: "-1", "data-story": nameOf(story) },
            el("b", {}, story.method),
            " ",
            el(
              "span",
              { class: "url" },
              el("span", { class: "scheme" }, scheme),
              el("span", { class: "host" }, host),
              path,
            ),
          ),
          tags.map((tag) => el("span", { class: "tag" }, tag)),
        ),
        cell("page", story.origin),
        cell("status", String(story.status)),
        cell(
          "why",
          why
            ? el("span", { class: `why ${story.cause ? story.verdict : why.severity}` }, why.title)
            : el("span", { class: "muted" }, story.deciding.note ?? ""),
          more > 0 && el("span", { class: "muted" }, ` +${more}`, spoken(" more findings")),
        ),
        cell("number", el("span", { class: "muted" }, String(story.number))),
      );
    };

    const links = () => [...body.querySelectorAll("a[data-story]")];
    /** Make one link of the table the one that the Tab key reaches. */
    const reachable = (link) => {
      for (const one of links()) one.tabIndex = one === link ? 0 : -1;
    };

    let rows = []; // the stories that the table shows, and the state that its links hold
    let rowsState = null;

    const renderRows = () => {
      const stories = onPage();
      const same = rowsState === state && rows.length === stories.length;
      if (same && rows.every((story, index) => story === stories[index])) return;
      const made = new Map(rowsState === state ? rows.map((story, index) => [story, body.rows[index]]) : []);
      [rows, rowsState] = [stories, state];
      // Rows that stay are not touched: they may hold the reader's selection.
      stories.forEach((story, index) => {
        const wanted = made.get(story) ?? row(story);
        if (body.rows[index] !== wanted) body.insertBefore(wanted, body.rows[index] ?? null);
      });
      while (body.rows.length > stories.length) body.lastElementChild.remove();
    };

    const renderTable = () => {
      const had = document.activeElement?.dataset?.story;
      renderRows();
      const open = links().find((link) => link.dataset.story === (had ?? state.story));
      reachable(open ?? links()[0]);
      if (had) open?.focus();
      table.hidden = shown.length === 0;
      const sort = state.sort || usual;
      for (const head of heads) {
        const name = head.firstChild.dataset.sort;
        const order = sort === name ? "ascending" : sort === `-${name}` ? "descending" : null;
        if (order) head.setAttribute("aria-sort", order);
        else head.removeAttribute("aria-sort");
      }
      const [from, to] = [(page() - 1) * ROWS + 1, Math.min(page() * ROWS, shown.length)];
      const filtered = shown.length < all.length ? ` of ${number(all.length)}` : "";
      count.textContent =
        shown.length === 0
          ? all.length === 0
            ? "There are no requests to list."
            : "No request passes these filters."
          : `${counted(shown.length, "request", "requests")}${filtered}${pages() > 1 ? `, ${number(from)} to ${number(to)} shown` : ""}`;
      const turn = (label, to) =>
        el("button", { type: "button", disabled: to < 1 || to > pages(), onclick: () => turnTo(to) }, label);
      pager.hidden = pages() === 1;
      pager.replaceChildren(
        turn("← Previous", page() - 1),
        el("span", {}, `Page ${number(page())} of ${number(pages())}`),
        turn("Next →", page() + 1),
      );
    };

    const turnTo = (to, focus = 0) => {
      change({ page: to > 1 ? String(to) : "" });
      listing.scrollIntoView();
      const link = links().at(focus);
      reachable(link);
      link?.focus();
    };

    // -- the open story

    const wide = matchMedia("(min-width: 75rem)"); // as in report.css: list and story side by side
    let opened = null; // what `detail` shows
    const step = (by) => {
      const other = shown[shown.indexOf(opened) + by];
      if (opened && other) open(other);
    };
    const before = el("button", { type: "button", onclick: () => step(-1) }, "Previous");
    const after = el("button", { type: "button", onclick: () => step(1) }, "Next");
    const bar = el(
      "nav",
      { class: "bar", "aria-label": "Requests" },
      el("button", { type: "button", class: "close", onclick: () => close() }, "← All requests"),
      before,
      after,
    );
    const openStory = () => all.find((story) => nameOf(story) === state.story) ?? null;

    const renderDetail = () => {
      // What was let go of stays while it is read.
      const kept = opened !== null && nameOf(opened) === state.story ? opened : null;
      const story = state.story ? (openStory() ?? kept) : null;
      split.classList.toggle("open", story !== null);
      detail.hidden = story === null;
      const at = story === null ? -1 : shown.indexOf(story);
      before.disabled = at < 1;
      after.disabled = at < 0 || at + 1 >= shown.length;
      if (story === opened) return;
      // The same one with news of it stays where the reader is.
      const again = opened !== null && story !== null && nameOf(opened) === nameOf(story);
      const [top, focused] = [detail.scrollTop, again && document.activeElement?.closest(".story h2")];
      opened = story;
      if (story === null) return detail.replaceChildren();
      const folded = again ? [...detail.querySelectorAll("details")].map((one) => one.open) : [];
      if (bar.parentElement !== detail) detail.replaceChildren(bar);
      while (bar.nextSibling) bar.nextSibling.remove();
      detail.append(...[beside(story)].flat().filter(Boolean), render(story, linkTo));
      [...detail.querySelectorAll("details")].forEach((one, index) => (one.open ||= folded[index] ?? false));
      detail.scrollTop = again ? top : 0;
      if (focused) detail.querySelector("h2").focus({ preventScroll: true });
    };

    const open = (story) => {
      const index = shown.indexOf(story);
      const onto = index < 0 ? state.page : String(Math.floor(index / ROWS) + 1);
      change({ story: nameOf(story), page: onto === "1" ? "" : onto }, { push: true });
      detail.querySelector("h2").focus({ preventScroll: true });
      detail.scrollIntoView({ block: wide.matches ? "nearest" : "start" });
    };

    const close = () => {
      const before = state.story;
      change({ story: "" });
      const link = links().find((one) => one.dataset.story === before) ?? links()[0];
      reachable(link);
      link?.focus();
    };

    // -- rendering

    /** Render all; `coming` where that is not what the reader did, but because of what came. */
    const update = (coming = false) => {
      all = stories.all();
      shown = sorted(
        all.filter((story) => passes(story, state)),
        state.sort || usual,
      );
      renderOverview();
      renderFilters(coming);
      renderTable();
      renderDetail();
      const blocked = all.filter((story) => story.verdict === "blocked").length;
      document.title = `${blocked ? `${number(blocked)} blocked` : "nothing blocked"} – ${called}`;
    };

    /** Render soon, and not so often that nothing else is done. A page in the background gets no frames. */
    const ask = () => {
      if (asked) return;
      asked = true;
      const pause = Math.max(0, latest + Math.max(PACE, SHARE * took) - performance.now());
      const next = document.hidden || pause > 0 ? (act) => setTimeout(act, pause) : requestAnimationFrame;
      next(() => {
        asked = false;
        const began = performance.now();
        if (began - pressed < CLICK) return ask();
        update(true);
        latest = performance.now();
        took = latest - began;
      });
    };

    // -- what the user does

    addEventListener("pointerdown", () => (pressed = performance.now()), { capture: true });
    // A click comes after its pointerup.
    for (const name of ["pointerup", "pointercancel"])
      addEventListener(name, () => setTimeout(() => (pressed = -Infinity)), { capture: true });

    let typed = 0;
    search.addEventListener("input", () => {
      clearTimeout(typed);
      typed = setTimeout(() => filterBy({ q: search.value.trim() }), TYPING);
    });
    for (const [name, select] of Object.entries(selects))
      select.addEventListener("change", () => filterBy({ [name]: select.value }));
    fresh.addEventListener("change", () => filterBy({ fresh: fresh.checked ? "1" : "" }));
    clear.addEventListener("click", () => {
      search.value = "";
      filterBy(Object.fromEntries(Object.keys(PASSES).map((name) => [name, ""])));
      search.focus();
    });
    table.tHead.addEventListener("click", ({ target }) => {
      const name = target.closest("button")?.dataset.sort;
      if (!name) return;
      const wanted = (state.sort || usual) === name ? `-${name}` : name;
      filterBy({ sort: wanted === usual ? "" : wanted });
    });
    body.addEventListener("click", (event) => {
      // A click with a key held, on a link, is the browser's: it opens another tab.
      if (event.ctrlKey || event.metaKey || event.shiftKey || getSelection().type === "Range") return;
      const link = event.target.closest("tr")?.querySelector("a[data-story]");
      const story = link && shown.find((one) => nameOf(one) === link.dataset.story);
      if (!story) return;
      event.preventDefault();
      open(story);
    });
    body.addEventListener("keydown", (event) => {
      const present = links();
      const at = present.indexOf(document.activeElement);
      if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: present.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      if (to >= present.length && page() < pages()) turnTo(page() + 1);
      else if (to < 0 && page() > 1) turnTo(page() - 1, -1);
      else if (present[to]) {
        reachable(present[to]);
        present[to].focus();
      }
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && state.story && !event.defaultPrevented) close();
    });
    addEventListener("popstate", () => {
      state = readFragment();
      update();
    });

    // -- printing: the open story, or the table with stories in full

    let folded = [];
    const unfold = () => {
      folded = [...root.querySelectorAll(".detail details, .examples details")].filter((one) => !one.open);
      for (const one of folded) one.open = true;
    };
    addEventListener("beforeprint", () => {
      if (!opened) {
        const wrong = onPage().filter((story) => story.cause);
        const seen = new Set();
        const first = wrong.filter(({ cause }) => !seen.has(cause.id) && seen.add(cause.id));
        const printed = wrong.length <= PRINTED ? wrong : first;
        if (printed.length)
          examples.replaceChildren(
            el(
              "p",
              { class: "headline" },
              printed === wrong ? "In full" : "In full: of the requests listed above, the first one with each reason",
            ),
            ...printed.map((story) => render(story, linkTo)),
          );
      }
      unfold();
    });
    addEventListener("afterprint", () => {
      examples.replaceChildren();
      for (const one of folded) one.open = false;
    });

    return {
      add: (entries) => {
        for (const entry of entries) stories.add(entry);
        ask();
      },
      remove: (capture, flowIds) => {
        if (flowIds.filter((flowId) => stories.remove(capture, flowId)).length > 0) ask();
      },
      clear: () => {
        stories.clear();
        change({ story: "", page: "" });
      },
      passBy: (count) => {
        if (count !== unlisted) ask();
        unlisted = count;
      },
      finish: (read) => {
        summary = read;
        ask();
      },
    };
  };

  // -- a report's file ------------------------------------------------------------------------------------------------

  document.addEventListener("DOMContentLoaded", () => {
    const data = document.querySelector("script[data-summary]");
    if (!data) return;
    const report = show(document.getElementById("report"));
    for (const chunk of document.querySelectorAll("script[data-entries]"))
      report.add(decode(JSON.parse(chunk.textContent)));
    report.finish(JSON.parse(data.textContent));
  });

  Object.assign(corscope, { decode, show });
})();
