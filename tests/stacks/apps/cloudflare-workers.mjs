// Lets Node be what Cloudflare's runtime is to a worker: requests come in, and its `fetch` asks the application.
import http from "node:http";
import worker from "./worker.mjs";

const outside = globalThis.fetch;
globalThis.fetch = async (request) => {
  const url = new URL(request.url);
  url.port = url.pathname === "/down" ? 1 : process.env.BACKEND;
  const body = ["GET", "HEAD"].includes(request.method) ? undefined : await request.arrayBuffer();
  return outside(url, { method: request.method, headers: request.headers, body, redirect: "manual" });
};

http
  .createServer(async (incoming, outgoing) => {
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const headers = new Headers();
    for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
      if (!/^(host|connection|content-length|proxy-connection)$/i.test(incoming.rawHeaders[i])) {
        headers.append(incoming.rawHeaders[i], incoming.rawHeaders[i + 1]);
      }
    }
    const body = ["GET", "HEAD"].includes(incoming.method) ? undefined : Buffer.concat(chunks);
    const url = `http://127.0.0.1:${process.env.PORT}${incoming.url}`;
    const answer = await worker.fetch(new Request(url, { method: incoming.method, headers, body }));
    const lines = [...answer.headers].filter(([name]) => !/^(transfer-encoding|connection|keep-alive)$/.test(name));
    outgoing.writeHead(answer.status, lines.flat());
    outgoing.end(Buffer.from(await answer.arrayBuffer()));
  })
  .listen(Number(process.env.PORT), "127.0.0.1");
