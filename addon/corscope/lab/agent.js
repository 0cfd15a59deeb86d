"use strict";
// Makes one request the way a step of the table says and tells how it ended, in whatever context this script runs:
// the page, a frame, or a worker. An outcome is {ok, detail, start, end}; ok is null where a page can't know.

const LIMIT = 5000; // milliseconds until a request counts as undecided

const attribute = (step) =>
  step.mode !== "cors" ? null : step.credentials === "include" ? "use-credentials" : "anonymous";

// Resolves on the element's success event, rejects on `error`.
const loads = (element, success) =>
  new Promise((resolve, reject) => {
    element.addEventListener(success, () => resolve(success), { once: true });
    element.addEventListener("error", () => reject(new Error("error event")), { once: true });
  });

const attached = async (element, success, parent = document.body) => {
  const done = loads(element, success);
  parent.append(element);
  try {
    return await done;
  } finally {
    element.remove();
  }
};

const element = (name, step, properties) => {
  const made = document.createElement(name);
  const crossorigin = attribute(step);
  if (crossorigin !== null) made.setAttribute("crossorigin", crossorigin);
  return Object.assign(made, properties);
};

const bodyOf = (step) =>
  step.bodyType ? new Blob([step.body], { type: step.bodyType }) : step.body;

const ways = {
  async fetch(url, step) {
    const options = { method: step.method, mode: step.mode, credentials: step.credentials };
    if (step.cache) options.cache = step.cache;
    if (step.headers) options.headers = step.headers;
    if (step.body !== undefined) options.body = bodyOf(step);
    const response = await fetch(url, options);
    await response.arrayBuffer();
    return `${response.type} ${response.status}`;
  },

  xhr(url, step) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(step.method, url);
      request.withCredentials = step.credentials === "include";
      for (const [name, value] of step.headers || []) request.setRequestHeader(name, value);
      if (step.upload) request.upload.addEventListener("progress", () => {});
      request.onload = () => resolve(`load ${request.status}`);
      request.onerror = () => reject(new Error("error event"));
      request.send(step.body === undefined ? null : bodyOf(step));
    });
  },

  eventsource(url, step) {
    const source = new EventSource(url, { withCredentials: step.credentials === "include" });
    return loads(source, "open").finally(() => source.close());
  },

  img(url, step) {
    const image = element("img", step, {});
    const done = loads(image, "load");
    image.src = url;
    return done;
  },

  script: (url, step) => attached(element("script", step, { src: url }), "load"),

  module: (url, step) => attached(element("script", step, { type: "module", src: url }), "load"),

  style: (url, step) => attached(element("link", step, { rel: "stylesheet", href: url }), "load"),

  async font(url) {
    const face = await new FontFace("lab", `url("${url}")`).load();
    return face.status;
  },

  video(url, step) {
    const video = element("video", step, { preload: "auto", muted: true });
    const done = loads(video, "loadedmetadata");
    video.src = url;
    return done.finally(() => video.removeAttribute("src"));
  },

  async track(url, step) {
    const video = element("video", step, { muted: true });
    const track = Object.assign(document.createElement("track"), { kind: "metadata", src: url });
    const done = loads(track, "load");
    video.append(track);
    document.body.append(video);
    track.track.mode = "hidden";
    try {
      return await done;
    } finally {
      video.remove();
    }
  },

  preload(url, step) {
    const link = element("link", step, { rel: "preload", href: url });
    link.setAttribute("as", "fetch");
    return attached(link, "load", document.head);
  },

  async beacon(url, step) {
    const taken = navigator.sendBeacon(url, bodyOf(step));
    // What becomes of a beacon is not told to the page; the next step waits until it is likely over.
    await new Promise((resolve) => setTimeout(resolve, 300));
    return { ok: null, detail: `beacon ${taken}` };
  },

  async form(url, step) {
    const name = `form-${Math.random().toString(36).slice(2)}`;
    const frame = Object.assign(document.createElement("iframe"), { name });
    const form = Object.assign(document.createElement("form"), { method: step.method, action: url, target: name });
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "lab", value: "1" }));
    document.body.append(frame, form);
    try {
      const done = loads(frame, "load");
      form.submit();
      return await done;
    } finally {
      form.remove();
      frame.remove();
    }
  },
};

async function perform(url, step) {
  const start = Date.now();
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve({ ok: null, detail: "timeout" }), LIMIT);
  });
  const outcome = (async () => {
    try {
      const told = await ways[step.initiator](url, step);
      return typeof told === "object" ? told : { ok: true, detail: String(told) };
    } catch (error) {
      return { ok: false, detail: String(error && error.message || error) };
    }
  })();
  const { ok, detail } = await Promise.race([outcome, late]);
  clearTimeout(timer);
  return { ok, detail, start, end: Date.now() };
}

if (typeof document === "undefined") {
  self.onmessage = async ({ data }) => self.postMessage({ job: data.job, outcome: await perform(data.url, data.step) });
  self.postMessage({ ready: true });
} else if (window !== window.parent) {
  window.addEventListener("message", async ({ data, source }) => {
    if (data && data.step) source.postMessage({ job: data.job, outcome: await perform(data.url, data.step) }, "*");
  });
  window.parent.postMessage({ ready: true }, "*");
}
