"""Role: 5,000 plain clients; the principal closes, 1,000 times: how long until the next one has its
word, 99th percentile, beside the barest server that does the same."""

import json

from harness import bare, Claim, Load, prise, Server


def p99_ns(spec):
    with Server(spec) as server, Load("load_role", server.port) as load:
        return json.loads(load.line())["p99_ns"]


CLAIMS = [Claim("role, 5,000 clients: close to the next one's word, p99 of 1,000", "ns",
                lambda: prise("role"),
                lambda: bare("bare_role", note="the limit: a list and a word"), p99_ns, "<=", 2)]
