"""The lab: a table of CORS scenarios, a small reserved web that answers for them, and the page that runs them.

`scenarios` is the table, `answers` the web's answers: pure, and without mitmproxy. `web` lets mitmproxy serve it.
`corscope.recorder` records what browsers do with it.
"""
