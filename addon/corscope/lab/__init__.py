"""The lab: a table of CORS scenarios, a small reserved web that answers for them, and the page that runs them.

`scenarios` is the table, `answers` the web's answers: pure, and without mitmproxy. `lab_addon` lets mitmproxy serve the
web, `truth` tells what a browser did with each exchange, `record` makes the recordings, `score` judges them.
"""
