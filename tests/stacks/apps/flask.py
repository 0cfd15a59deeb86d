# A minimal API: whoever has no cookie is refused, preflights included, unless something answers before.
import os

import flask

app = flask.Flask(__name__)

# CONFIGURATION


@app.before_request
def only_with_a_cookie():
    if flask.request.path == "/old":
        return flask.redirect("/item")
    if flask.request.path == "/private" or flask.request.cookies.get("sid") != "1":
        flask.abort(401)
    return None


@app.route("/item", methods=["GET", "PUT"])
def item():
    return "item", {"X-Total-Count": "7"}


@app.get("/broken")
def broken():
    raise RuntimeError("broken")


app.run("127.0.0.1", int(os.environ["PORT"]), threaded=True)
