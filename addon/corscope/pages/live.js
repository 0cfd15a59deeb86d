"use strict";
// The live page: takes what the proxy tells as server-sent events, shows it as a report, and says how things stand.

(() => {
  const { counted, decode, el, number, show } = corscope;

  const CAPTURE = "live"; // as corscope.pages.live calls it
  const AGAIN = 2000; // milliseconds until a stream that the browser gave up is opened anew
  const SILENCE = 40000; // milliseconds without a word after which the proxy is taken to be gone; it speaks every 15 s

  const [connection, counts, pause, first] = ["connection", "counts", "pause", "first"].map((id) =>
    document.getElementById(id),
  );

  // -- what can be saved ----------------------------------------------------------------------------------------------

  const KINDS = { html: "HTML", jsonl: "JSON Lines", har: "HAR" };

  const saving = (story) => {
    const flow = encodeURIComponent(story.deciding.flow_id);
    return el(
      "p",
      { class: "save" },
      "Save this story: ",
      Object.entries(KINDS).map(([suffix, word]) => [
        el("a", { href: `/live/story.${suffix}?flow=${flow}`, download: true }, word),
        " ",
      ]),
    );
  };

  const report = show(document.getElementById("report"), { sort: "-number", name: "corscope live", beside: saving });

  // -- what is known --------------------------------------------------------------------------------------------------

  const told = new Map(); // flow → the sequence number of its latest verdict, the oldest first
  const unlisted = new Set(); // flows of which nothing is shown
  let state = { exchanges: 0, passed_by: 0, dropped: 0, oldest: 0, behind: 0 };
  let held = null; // while the page is paused, what came: pairs of the event's name and its data

  /** Let go of what the proxy no longer remembers. */
  const drop = () => {
    const gone = [];
    for (const [flow, sequence] of told) {
      if (sequence >= state.oldest) break;
      told.delete(flow);
      if (!unlisted.delete(flow)) gone.push(flow);
    }
    report.remove(CAPTURE, gone);
  };

  const taking = {
    reset: () => {
      if (told.size > 0) report.clear();
      told.clear();
      unlisted.clear();
    },
    entries: ({ sequences, ...chunk }) => {
      for (const [flow, sequence] of sequences) {
        told.delete(flow); // so that it is the latest
        told.set(flow, sequence);
        unlisted.delete(flow);
      }
      for (const flow of chunk.unlisted) unlisted.add(flow);
      report.remove(CAPTURE, chunk.unlisted);
      report.add(decode(chunk));
    },
    state: (data) => {
      state = data;
      drop();
      report.passBy(state.passed_by + unlisted.size);
    },
  };

  /** Take an event, or keep it until the page goes on; of that, what is let go of meanwhile is not kept. */
  const take = (name, data) => {
    if (held === null) return taking[name](data);
    if (name === "reset") held = [];
    if (name === "state") {
      held = held.filter(
        ([kept, one]) => kept === "reset" || (kept === "entries" && one.sequences.some(([, at]) => at >= data.oldest)),
      );
      coming = data;
    }
    held.push([name, data]);
  };
  let coming = null; // the latest state while the page is paused

  // -- how things stand -----------------------------------------------------------------------------------------------

  let standing = "connecting";

  const tell = () => {
    const now = coming ?? state;
    const words = {
      connecting: "Connecting …",
      lost: "Lost: the proxy does not answer. Trying again …",
      connected: now.behind > 0 ? `Connected, ${number(now.behind)} to come` : "Connected",
      waiting: now.exchanges > 0 ? "Connected, waiting for more" : "Connected, waiting for traffic",
    };
    // What is said twice a second would never end for who listens to it.
    if (connection.textContent !== words[standing]) connection.textContent = words[standing];
    connection.className = `connection ${standing}`;
    const later = coming ? Math.max(0, coming.exchanges - state.exchanges) : 0;
    counts.textContent = [
      counted(state.exchanges, "exchange", "exchanges"),
      now.dropped > 0 && `older ones were dropped: ${number(now.dropped)}`,
      held && `paused${later > 0 ? `, ${number(later)} came since` : ""}`,
    ]
      .filter(Boolean)
      .join(" · ");
    first.hidden = standing !== "waiting" || told.size > unlisted.size || held !== null;
    pause.hidden = false;
    pause.textContent = held ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(held !== null));
  };

  const stand = (how) => {
    standing = how;
    tell();
  };

  pause.addEventListener("click", () => {
    const kept = held;
    held = held === null ? [] : null;
    coming = null;
    for (const [name, data] of kept ?? []) taking[name](data);
    tell();
  });

  // -- the stream -----------------------------------------------------------------------------------------------------

  let latest = ""; // the id of the latest event
  let heard = performance.now(); // when the proxy last said something
  let failures = 0; // ends of the stream since it last began

  /** Open the stream, after what was told already. */
  const listen = () => {
    const source = new EventSource(latest ? `/live/events?after=${encodeURIComponent(latest)}` : "/live/events");
    const hear = (name, then = () => {}) =>
      source.addEventListener(name, (event) => {
        heard = performance.now();
        latest = event.lastEventId;
        take(name, JSON.parse(event.data));
        then();
      });
    source.addEventListener("open", () => {
      heard = performance.now();
      failures = 0;
      if (standing !== "waiting") stand("connected");
    });
    hear("reset");
    hear("entries", () => stand("connected"));
    hear("state", () => {
      const { behind } = coming ?? state;
      stand(behind > 0 ? "connected" : "waiting");
    });
    source.addEventListener("error", () => {
      // Each answer ends; only one that does not begin is a loss.
      failures += 1;
      if (failures > 1 || source.readyState === EventSource.CLOSED) stand("lost");
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN);
    });
  };

  setInterval(() => {
    if (performance.now() - heard > SILENCE) stand("lost");
  }, 1000);
  tell();
  report.add([]);
  listen();
})();
