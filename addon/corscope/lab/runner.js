"use strict";
// Runs the table: independent scenarios side by side, a scenario's steps one after another unless a step says
// otherwise. `runTable` is told how; what was seen is handed on as it comes, and returned in the end.

const GAP = 15; // milliseconds between a scenario's steps
const CHUNK = 250; // scenarios after which what was seen is handed on

async function runScenario(table, run, agents, scenario) {
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

// The table, as the web says it, without what needs cookies if there are to be none.
async function readTable(only, cookies) {
  const answer = await fetch(`/table.json?only=${only}`);
  if (!answer.ok) throw new Error(`the table is not to be had (${answer.status})`);
  const table = await answer.json();
  // Without cookies from the start, none are wanted later on either.
  if (!cookies) table.scenarios = table.scenarios.filter(({ tag }) => !tag.startsWith("cookie/"));
  return table;
}

// `run` names the run, `width` says how many scenarios run at once, `cookies` whether every origin sets some first.
// `tell(finished, results)` is called after each scenario, with results only when a chunk is full or all is done;
// `stopped()` says whether to begin no other. Returns how many scenarios were finished.
async function runTable(table, { run, width, cookies, tell, stopped }) {
  if (cookies) {
    for (const origin of table.origins) {
      await fetch(origin + "/jar", { credentials: "include" }).catch(() => {});
    }
  }
  const agents = {};
  for (const { context } of table.scenarios) {
    if (!(context in agents)) agents[context] = agentFor(context, table.contexts);
  }
  await Promise.all(Object.values(agents));
  const queue = table.scenarios.values();
  const results = [];
  let finished = 0;
  const lane = async () => {
    for (const scenario of queue) {
      if (stopped()) return;
      results.push(...(await runScenario(table, run, agents, scenario)));
      finished += 1;
      await tell(finished, finished % CHUNK === 0 ? results.splice(0) : []);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  await tell(finished, results);
  return finished;
}
