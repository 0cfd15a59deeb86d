"use strict";
// The page around the runner: begins, shows how far it is, asks corscope what it makes of the outcome, shows that.
//
// The address's query may name the run (`run`): then it begins at once and reports what was seen to the page's own
// origin as it comes, for whoever records it. It may keep the tags that start with `only` (several parted by commas),
// say how many scenarios run at once (`width`), and of a named run whether cookies are set first (`cookies=1`).

const query = new URLSearchParams(location.search);
const named = query.get("run");
const only = query.get("only") || "";
const width = Number(query.get("width")) || 6;
const cookies = named === null || Boolean(query.get("cookies"));

const at = (id) => document.getElementById(id);
const SHOWN = 500; // rows of a list that are shown; all are in the download

const say = (text) => {
  at("state").textContent = text;
};

const number = (value) => value.toLocaleString("en");
const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

// An element with properties and children; text comes in as text.
const make = (name, properties, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

// -- running ----------------------------------------------------------------------------------------------------------

let stopping = false;
let hidden = false;
document.addEventListener("visibilitychange", () => {
  hidden ||= document.hidden;
});

// Keeps a phone awake, where that can be asked for.
const keepAwake = async () => {
  try {
    return await navigator.wakeLock.request("screen");
  } catch {
    return null;
  }
};

async function report(run, results, done) {
  await fetch("/results", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ run, results, done }),
  });
}

async function begin() {
  const run = named || Date.now().toString(36) + Math.random().toString(36).slice(2, 8);
  const started = Date.now();
  const all = [];
  stopping = false;
  hidden = document.hidden;
  at("start").hidden = true;
  at("stop").hidden = false;
  at("running").hidden = false;
  at("result").hidden = true;
  at("progress").value = 0;
  say("Loading the table …");
  const awake = await keepAwake();
  try {
    const table = await readTable(only, cookies);
    const total = table.scenarios.length;
    at("progress").max = total || 1;
    say(`0 of ${number(total)} scenarios`);
    let shown = 0;
    const finished = await runTable(table, {
      run,
      width,
      cookies,
      stopped: () => stopping,
      async tell(done, results) {
        at("progress").value = done;
        // Screen readers are told of it, and not to be told of each.
        if (done - shown >= 50 || done === total) say(`${number(done)} of ${number(total)} scenarios`);
        if (done - shown >= 50) shown = done;
        all.push(...results);
        if (named !== null && results.length) await report(run, results, false);
      },
    });
    if (named !== null) await report(run, [], true);
    at("stop").hidden = true;
    say(`Done: ${number(finished)} scenarios. Waiting for corscope’s last verdicts …`);
    await compare({
      run,
      results: all,
      only,
      cookies,
      complete: finished === total,
      hidden,
      leftOut: table.leftOut,
      seconds: (Date.now() - started) / 1000,
    });
    say(`Done: ${number(finished)} of ${number(total)} scenarios.`);
  } catch (error) {
    say(`Stopped: ${error.message}`);
  } finally {
    if (awake !== null) awake.release().catch(() => {});
    at("running").hidden = true;
    at("stop").hidden = true;
    at("start").hidden = false;
    at("start").textContent = "Run it again";
  }
}

// -- comparing --------------------------------------------------------------------------------------------------------

async function compare(told) {
  const answer = await fetch("/agreement", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(told),
  });
  // Where the lab is served for a recording, no judge is there.
  if (answer.status === 404) return showOutcomes(told.results);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`corscope could not compare: ${text.trim()}`);
  return show(JSON.parse(text), text);
}

function showOutcomes(results) {
  const ended = (ok) => number(results.filter((one) => one.ok === ok).length);
  const line = `The page got ${ended(true)} answers, ${ended(false)} requests failed, of ${ended(null)} it was not told.`;
  reveal("Recorded", [make("p", {}, line + " No judge is in this proxy to compare that with.")]);
}

function reveal(conclusion, parts, tone = "") {
  const result = at("result");
  result.className = tone;
  result.replaceChildren(make("h2", { id: "conclusion", tabIndex: -1 }, conclusion), ...parts);
  result.hidden = false;
  at("conclusion").focus({ preventScroll: true });
}

// -- the result -------------------------------------------------------------------------------------------------------

function show(proof, text) {
  const { agree, differ, open, incomparable } = proof.counts;
  const decided = agree + differ;
  const conclusion = !decided
    ? "Nothing could be compared"
    : differ
      ? `corscope and this browser differ on ${number(differ)} of ${count(decided, "decided request")}`
      : `corscope and this browser agree on ${number(agree)} of ${count(decided, "decided request")}`;
  const rest = `${count(open, "request was", "requests were")} left open, for the wire does not tell how ${
    open === 1 ? "it ends" : "they end"
  }; ${number(incomparable)} can’t be compared.`;
  const parts = [make("p", { className: "rest" }, rest), notes(proof), buttons(proof, text)];
  parts.push(differences(proof.rows.filter(({ result }) => result === "differ")));
  parts.push(left("Left open", "open", proof));
  parts.push(left("Not comparable", "incomparable", proof));
  parts.push(about(proof));
  reveal(conclusion, parts.filter(Boolean), !decided ? "" : differ ? "bad" : "good");
}

function notes(proof) {
  const said = [];
  if (!proof.complete) said.push("The run was stopped before its end: this is only a part of the table.");
  if (proof.only) said.push(`Only scenarios whose tag begins with ${proof.only} were run.`);
  if (proof.hidden) said.push("The page was in the background for a time, which slows browsers down.");
  if (proof.dropped) said.push("corscope remembers a limited number of exchanges, and let some of this run go.");
  if (proof.rewritten) said.push(`Rewriting is on: ${count(proof.rewritten, "answer was", "answers were")} changed.`);
  if (proof.rules !== "auto") said.push(`The predictions follow the rules of cors_browser=${proof.rules}.`);
  if (proof.left_out) {
    said.push(
      `${count(proof.left_out, "scenario asks", "scenarios ask")} a server on this very machine, which corscope never ` +
        "answers for: left out.",
    );
  }
  return said.length ? make("ul", { className: "notes" }, ...said.map((line) => make("li", {}, line))) : null;
}

function buttons(proof, text) {
  const name = `corscope-${proof.page.startsWith("https") ? "https" : "http"}-${proof.run}.json`;
  const href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  return make("p", { className: "controls" }, make("a", { id: "download", className: "button", href, download: name }, "Download as JSON"));
}

const PLACES = {
  page: "the page",
  worker: "a worker",
  "blob-worker": "a worker from a blob",
  sandbox: "a sandboxed frame",
  data: "a frame from a data: URL",
  idn: "a same-site frame",
  cross: "a cross-site frame",
};

const asked = (row) => {
  const { by, mode, method, credentials, headers, cache } = row.asked;
  const parts = [by, mode === "cors" ? "" : mode, method, `credentials ${credentials}`];
  if (headers.length) parts.push(`with ${headers.join(", ")}`);
  if (cache !== "default") parts.push(`cache ${cache}`);
  return `${parts.filter(Boolean).join(" ")}, from ${PLACES[row.asked.in] || row.asked.in}`;
};

const did = ({ browser: { got, said } }) => `${got === null ? "not told" : got ? "got it" : "failed"} (${said})`;

const flowList = (row) =>
  make(
    "ol",
    {},
    ...row.flows.map((flow) => {
      const { method, url, status, kind, verdict, reason } = flow;
      return make("li", {}, `${method} ${url} ${status}, ${kind}: ${verdict}${reason ? `, ${reason}` : ""}`);
    }),
  );

// A table; on a phone its rows become cards, whose cells bring their headings along.
const table = (heads, rows, cells) => {
  const cell = (told, column) => {
    const made = make("td", {}, told);
    made.dataset.head = heads[column];
    return made;
  };
  const body = rows.slice(0, SHOWN).map((row) => make("tr", {}, ...cells(row).map(cell)));
  const head = make("tr", {}, ...heads.map((name) => make("th", { scope: "col" }, name)));
  return make(
    "div",
    { className: "wide", tabIndex: 0 },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)),
  );
};

const more = (rows) =>
  rows.length > SHOWN ? [make("p", { className: "muted" }, `The first ${SHOWN} are shown; all are in the download.`)] : [];

function differences(rows) {
  if (!rows.length) return null;
  const cells = (row) => [
    `${row.tag} (${row.scenario}, step ${row.step})`,
    asked(row),
    did(row),
    `${row.predicted}${row.why ? `: ${row.why}` : ""}`,
    flowList(row),
  ];
  return make(
    "section",
    { id: "differences" },
    make("h3", {}, `Differences (${number(rows.length)})`),
    table(["Scenario", "What was asked", "This browser", "corscope", "On the wire"], rows, cells),
    ...more(rows),
  );
}

// A closed list of what is of one result, by its reason.
function left(title, result, proof) {
  const rows = proof.rows.filter((row) => row.result === result);
  if (!rows.length) return null;
  const reasons = Object.entries(proof.counts.reasons[result]).sort((one, other) => other[1] - one[1]);
  const parts = reasons.map(([why, total]) => {
    const these = rows.filter((row) => row.why === why);
    const cells = (row) => [`${row.tag} (${row.scenario}, step ${row.step})`, asked(row), did(row)];
    return make(
      "details",
      {},
      make("summary", {}, `${number(total)} × ${proof.words[why] || why}`),
      table(["Scenario", "What was asked", "This browser"], these, cells),
      ...more(these),
    );
  });
  return make("section", { id: result }, make("h3", {}, `${title} (${number(rows.length)})`), ...parts);
}

function about(proof) {
  const lines = [
    ["Browser", proof.browser],
    ["corscope", `${proof.corscope}, mitmproxy ${proof.mitmproxy}`],
    ["Page", `${proof.page}, ${proof.cookies ? "with" : "without"} cookies`],
    ["Table", `${count(proof.table.scenarios, "scenario")}, ${count(proof.table.steps, "request")}`],
    ["On the wire", count(proof.exchanges, "exchange")],
    ["When", `${proof.date}, in ${number(proof.seconds)} s`],
  ];
  const rows = lines.flatMap(([term, told]) => [make("dt", {}, term), make("dd", {}, told)]);
  return make("section", {}, make("h3", {}, "What was compared"), make("dl", {}, ...rows));
}

at("start").addEventListener("click", begin);
at("stop").addEventListener("click", () => {
  stopping = true;
  at("stop").hidden = true;
});
if (named !== null) begin();
