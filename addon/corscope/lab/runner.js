"use strict";
// Runs the table: independent scenarios side by side, a scenario's steps one after another unless a step says
// otherwise; what was seen goes to the page's own origin in chunks. The address's query may name the run (`run`),
// keep the tags that start with `only` (several parted by commas), and say whether cookies are set first (`cookies=1`).

const query = new URLSearchParams(location.search);
const run = query.get("run") || Date.now().toString(36);
const WIDTH = Number(query.get("width")) || 6; // scenarios at once
const GAP = 15; // milliseconds between a scenario's steps
const CHUNK = 250; // scenarios in one report

const state = document.getElementById("state");
const progress = document.getElementById("progress");

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function runScenario(table, agents, scenario) {
  const url = `${scenario.origin}/x/${table.web}/${run}/${scenario.id}/0`;
  const agent = await agents[scenario.context];
  const outcomes = [];
  for (const [number, step] of scenario.steps.entries()) {
    if (number > 0 && !step.parallel) {
      await Promise.all(outcomes);
      await pause(GAP);
    }
    outcomes.push(agent(url, step));
  }
  const done = await Promise.all(outcomes);
  return done.map((outcome, step) => ({ id: scenario.id, step, ...outcome }));
}

async function report(results, done) {
  await fetch("/results", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ run, results, done }),
  });
}

async function main() {
  const table = await (await fetch(`/table.json?only=${query.get("only") || ""}`)).json();
  if (query.get("cookies")) {
    for (const origin of table.origins) {
      await fetch(origin + "/jar", { credentials: "include" }).catch(() => {});
    }
  }
  // Without cookies from the start, none are wanted later on either.
  else table.scenarios = table.scenarios.filter(({ tag }) => !tag.startsWith("cookie/"));
  const agents = {};
  for (const { context } of table.scenarios) {
    if (!(context in agents)) agents[context] = makers[context](table.contexts);
  }
  await Promise.all(Object.values(agents));
  progress.max = table.scenarios.length;
  const queue = table.scenarios.values();
  let results = [];
  let finished = 0;
  const lane = async () => {
    for (const scenario of queue) {
      results.push(...(await runScenario(table, agents, scenario)));
      progress.value = ++finished;
      state.textContent = `${finished} of ${table.scenarios.length} scenarios`;
      if (finished % CHUNK === 0) await report(results.splice(0), false);
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, lane));
  await report(results, true);
  state.textContent = `Done: ${finished} scenarios.`;
}

main().catch((error) => {
  state.textContent = `Stopped: ${error.message}`;
});
