"""Echo over TCP, 64-byte requests in a closed loop: what a request costs the server's processor, beside
the barest servers in C, and beside the tools that people use; and one connection's round trip."""

from harness import (bare, calls_text, echo_of, installed, pairs, per_cpu_second, prise, Spec,
                     system_calls, user_instructions)
from report import row, unavailable_is_a_row

HERE = __file__.rpartition("/")[0]
LIMITS = (
    (lambda: bare("bare_epoll_echo", note="the limit: the barest epoll loop"), ">=", 0.97),
    (lambda: bare("bare_uring_echo", note="the barest io_uring loop: multishot accept and receive, "
                                          "buffer ring, deferred task run"), ">=", 0.92),
)
TOOLS = (
    lambda: Spec("socat", [installed("socat"),
                           "TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,backlog=4096", "PIPE"],
                 note="forks a process a connection"),
    lambda: Spec("ncat -k -e /bin/cat", [installed("ncat"), "-l", "-k", "-m", "4000", "-e",
                                         "/bin/cat", "127.0.0.1", "{port}"],
                 note="forks two processes a connection"),
    lambda: Spec("Python's socketserver", [installed("python3"), f"{HERE}/peer_socketserver.py",
                                           "{port}"],
                 note="interprets; ThreadingTCPServer, 64 KiB receives"),
)


def cost(ours, make_theirs, connections, sign, bound, counted):
    what = f"echo TCP, 64 B, {connections} connections"
    with unavailable_is_a_row(what, "requests per CPU-second"):
        theirs = make_theirs()
        a, b = pairs(ours, theirs, lambda spec: per_cpu_second(echo_of(spec, connections)))
        more = {}
        if counted:
            more["calls"] = [calls_text(system_calls(spec, connections)) for spec in (ours, theirs)]
        if counted and theirs.name == "bare_epoll_echo":
            more["instructions"] = [user_instructions(spec) for spec in (ours, theirs)]
        return row(what, "requests per CPU-second", ours, theirs, a, b, sign, bound, **more)


def round_trip(ours):
    what = "echo TCP, 64 B, 1 connection"
    with unavailable_is_a_row(what, "round trip, median"):
        theirs = bare("bare_epoll_echo", note="the limit: the barest epoll loop")
        a, b = pairs(ours, theirs, lambda spec: echo_of(spec, 1)["p50_ns"])
        return row(what, "round trip, median", ours, theirs, a, b, "<=", 1.03)


def rows(ours=None):
    ours = ours or prise("echo")
    for connections in (50, 1000):
        for make_theirs, sign, bound in LIMITS:
            yield cost(ours, make_theirs, connections, sign, bound, counted=True)
        for make_theirs in TOOLS:
            yield cost(ours, make_theirs, connections, ">=", 3, counted=False)
    yield round_trip(ours)
