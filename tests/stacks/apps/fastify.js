// A minimal API: whoever has no cookie is refused, preflights included, unless something answers before.
(async () => {
  const fastify = require("fastify")();

  CONFIGURATION

  fastify.addHook("onRequest", async (request, reply) => {
    const path = request.url.split("?")[0];
    if (path === "/old") return reply.redirect("/item");
    if (path === "/private" || !/sid=1/.test(request.headers.cookie || "")) return reply.code(401).send("who?");
  });
  fastify.route({
    method: ["GET", "PUT"],
    url: "/item",
    handler: async (request, reply) => reply.header("X-Total-Count", "7").send("item"),
  });
  fastify.get("/broken", async () => {
    throw new Error("broken");
  });
  await fastify.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
})();
