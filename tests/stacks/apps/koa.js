// A minimal API: whoever has no cookie is refused, preflights included, unless something answers before.
const Koa = require("koa");
const app = new Koa();
app.silent = true;

CONFIGURATION

app.use(async (ctx) => {
  if (ctx.path === "/old") return ctx.redirect("/item");
  if (ctx.path === "/private" || !/sid=1/.test(ctx.get("Cookie"))) ctx.throw(401);
  if (ctx.path === "/broken") throw new Error("broken");
  if (ctx.path !== "/item") return;
  ctx.set("X-Total-Count", "7");
  ctx.body = "item";
});
app.listen(Number(process.env.PORT), "127.0.0.1");
