# A minimal API: whoever has no cookie is refused, preflights included, unless something answers before.
import os

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, RedirectResponse

app = FastAPI()


@app.middleware("http")
async def only_with_a_cookie(request: Request, call_next):
    if request.url.path == "/old":
        return RedirectResponse("/item")
    if request.url.path == "/private" or request.cookies.get("sid") != "1":
        return PlainTextResponse("who?", status_code=401)
    return await call_next(request)


@app.api_route("/item", methods=["GET", "PUT"])
async def item():
    return PlainTextResponse("item", headers={"X-Total-Count": "7"})


@app.get("/broken")
async def broken():
    raise RuntimeError("broken")


# CONFIGURATION

uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="critical")
