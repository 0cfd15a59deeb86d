// A minimal API: whoever has no cookie is refused, preflights included, unless something answers before.
const express = require("express");
const app = express();

CONFIGURATION

app.use((request, response, next) => {
  if (request.path === "/old") return response.redirect("/item");
  if (request.path === "/private" || !/sid=1/.test(request.headers.cookie || "")) return response.sendStatus(401);
  next();
});
const item = (request, response) => response.set("X-Total-Count", "7").send("item");
app.get("/item", item);
app.put("/item", item);
app.get("/broken", () => {
  throw new Error("broken");
});
app.listen(Number(process.env.PORT), "127.0.0.1");
