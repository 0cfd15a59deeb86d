"use strict";
// The contexts that a page can ask from: itself, workers and frames, each with an agent (agent.js) that makes requests
// there. Needs an element with the id `frames`.

const AGENT_LIMIT = 15000; // milliseconds that a frame or a worker may take to start
const REMOTE_LIMIT = LIMIT + 10000; // milliseconds after which a frame or a worker is not waited for any more

let jobs = 0;
const waiting = new Map(); // job number → resolve
const settle = ({ data }) => {
  if (!data || !data.outcome || !waiting.has(data.job)) return;
  waiting.get(data.job)(data.outcome);
  waiting.delete(data.job);
};
// Whoever opened this page, or is opened by it, could say anything of its requests: only its own frames are heard.
const isOwn = (source) => [...document.getElementById("frames").children].some((one) => one.contentWindow === source);
window.addEventListener("message", (event) => {
  if (isOwn(event.source)) settle(event);
});

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// What the page says of a step of which it knows no end.
const unknown = (detail, start = Date.now()) => ({ ok: null, detail, start, end: Date.now() });

// An agent elsewhere: `post` hands it a message.
const remote = (post) => (url, step) =>
  new Promise((resolve) => {
    const job = ++jobs;
    const start = Date.now();
    const timer = setTimeout(() => settle({ data: { job, outcome: unknown("timeout", start) } }), REMOTE_LIMIT);
    waiting.set(job, (outcome) => {
      clearTimeout(timer);
      resolve(outcome);
    });
    post({ job, url, step });
  });

const frameAgent = (attributes) =>
  new Promise((resolve) => {
    const frame = document.createElement("iframe");
    for (const [name, value] of Object.entries(attributes)) frame.setAttribute(name, value);
    const ready = ({ data, source }) => {
      if (source !== frame.contentWindow || !data || !data.ready) return;
      window.removeEventListener("message", ready);
      resolve(remote((message) => frame.contentWindow.postMessage(message, "*")));
    };
    window.addEventListener("message", ready);
    document.getElementById("frames").append(frame);
  });

const workerAgent = (url) =>
  new Promise((resolve, reject) => {
    const worker = new Worker(url);
    worker.onerror = () => reject(new Error("the worker failed"));
    worker.onmessage = (event) => {
      if (event.data.ready) resolve(remote((message) => worker.postMessage(message)));
      else settle(event);
    };
  });

const script = `<!doctype html><body><script src="${location.origin}/agent.js"><\/script></body>`;
const makers = {
  page: async () => perform,
  worker: () => workerAgent("/agent.js"),
  "blob-worker": async () => {
    const source = await (await fetch("/agent.js")).text();
    return workerAgent(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  },
  sandbox: () => frameAgent({ sandbox: "allow-scripts", srcdoc: script }),
  data: () => frameAgent({ src: "data:text/html," + encodeURIComponent(script) }),
  idn: (contexts) => frameAgent({ src: contexts.idn + "/agent.html" }),
  cross: (contexts) => frameAgent({ src: contexts.cross + "/agent.html" }),
};

// Never rejects: where a browser does not start a context, its steps end unknown.
const agentFor = async (context, contexts) => {
  const none = async () => unknown("no context");
  try {
    return await Promise.race([makers[context](contexts), pause(AGENT_LIMIT).then(() => none)]);
  } catch {
    return none;
  }
};
