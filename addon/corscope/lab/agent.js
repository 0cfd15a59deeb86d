"use strict";
// Makes one request the way a step of the table says and tells how it ended, in whatever context this script runs:
// the page, a frame, or a worker. An outcome is {ok, detail, start, end}; ok is null where a page can't know. Of a step
// with `look` it has besides, as `read`, what a script could read: a list of [what, value].

const LIMIT = 5000; // milliseconds until a request counts as undecided
const READ = 2000; // characters of a body that are handed on

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

// What a way tells, with what a script could read where that is asked for.
const told = (detail, step, look) => (step.look ? { ok: true, detail, read: look() } : detail);

const textOf = (content) => new TextDecoder().decode(content).slice(0, READ);

// A canvas that an image was painted on can be read only if the image was let in by CORS.
const pixelsOf = (image) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, 1, 1);
  try {
    return `readable: the first is rgba(${[...context.getImageData(0, 0, 1, 1).data].join(", ")})`;
  } catch (error) {
    return `not readable, they taint a canvas (${error.name})`;
  }
};

const bodyOf = (step) => (step.bodyType ? new Blob([step.body], { type: step.bodyType }) : step.body);

const ways = {
  async fetch(url, step) {
    const options = { method: step.method, mode: step.mode, credentials: step.credentials };
    if (step.cache) options.cache = step.cache;
    if (step.headers) options.headers = step.headers;
    if (step.body !== undefined) options.body = bodyOf(step);
    if (step.redirect) options.redirect = step.redirect;
    const response = await fetch(url, options);
    const content = await response.arrayBuffer();
    return told(`${response.type} ${response.status}`, step, () => [
      ["response.type", response.type],
      ["response.status", String(response.status)],
      ["response.url", response.url],
      ["response.redirected", String(response.redirected)],
      ...[...response.headers].map(([name, value]) => [`header ${name}`, value]),
      ["body", textOf(content)],
    ]);
  },

  xhr(url, step) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      if (step.user) request.open(step.method, url, true, ...step.user.split(":"));
      else request.open(step.method, url);
      request.withCredentials = step.credentials === "include";
      for (const [name, value] of step.headers || []) request.setRequestHeader(name, value);
      if (step.upload) request.upload.addEventListener("progress", () => {});
      const headers = () => request.getAllResponseHeaders().trim().split("\r\n").filter(Boolean);
      const look = () => [
        ["xhr.status", String(request.status)],
        ["xhr.responseURL", request.responseURL],
        ...headers().map((line) => [`header ${line.split(":")[0]}`, line.slice(line.indexOf(":") + 1).trim()]),
        ["body", request.responseText.slice(0, READ)],
      ];
      request.onload = () => resolve(told(`load ${request.status}`, step, look));
      request.onerror = () => reject(new Error("error event"));
      request.send(step.body === undefined ? null : bodyOf(step));
    });
  },

  eventsource(url, step) {
    const source = new EventSource(url, { withCredentials: step.credentials === "include" });
    const message = new Promise((resolve) => {
      source.onmessage = ({ data }) => resolve([["message", data]]);
      // The stream may be let in and have no event in it.
      source.onopen = () => setTimeout(resolve, 500, [["message", "none"]]);
    });
    return loads(source, "open")
      .then((detail) => (step.look ? message.then((read) => ({ ok: true, detail, read })) : detail))
      .finally(() => source.close());
  },

  img(url, step) {
    const image = element("img", step, {});
    const done = loads(image, "load");
    image.src = url;
    return done.then((detail) =>
      told(detail, step, () => [
        ["size", `${image.naturalWidth} × ${image.naturalHeight}`],
        ["pixels", pixelsOf(image)],
      ]),
    );
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
      const said = await ways[step.initiator](url, step);
      return typeof said === "object" ? said : { ok: true, detail: String(said) };
    } catch (error) {
      const detail = String((error && error.message) || error);
      return { ok: false, detail, read: [[error?.name === "Error" ? "event" : error?.name, detail]] };
    }
  })();
  const { ok, detail, read } = await Promise.race([outcome, late]);
  clearTimeout(timer);
  return { ok, detail, start, end: Date.now(), ...(step.look && read && { read }) };
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
