"""Echo over TCP, 64-byte requests in a closed loop: what a request costs the server's processor,
beside the barest servers in C and beside the tools that people use; and one connection's round
trip."""

import os

from harness import (bare, Claim, installed, OFTEN, prise, round_trip_ns, Spec, speed,
                     system_calls, user_instructions)


def bare_epoll():
    return bare("bare_epoll_echo", note="the limit: the barest epoll loop")


def bare_uring():
    return bare("bare_uring_echo", note="the barest io_uring loop: multishot accept and receive, "
                                        "buffer ring, deferred task run")


def socat():
    return Spec("socat", [installed("socat"),
                          "TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,backlog=4096", "PIPE"],
                note="forks a process a connection")


def ncat():
    return Spec("ncat -k -e /bin/cat", [installed("ncat"), "-l", "-k", "-m", "4000", "-e",
                                        "/bin/cat", "127.0.0.1", "{port}"],
                note="forks two processes a connection")


def socketserver():
    script = os.path.join(os.path.dirname(__file__), "peer_socketserver.py")
    return Spec("Python's socketserver", [installed("python3"), script, "{port}"],
                note="interprets; ThreadingTCPServer, 64 KiB receives")


def claim(theirs, connections, bound, **more):
    return Claim(f"echo TCP, 64 B, {connections} connections", "requests per CPU-second",
                 lambda: prise("echo"), theirs, speed(connections), ">=",
                 bound, by_slices=True, **more)


def counted(connections):
    return {"calls": lambda spec: system_calls(spec, connections)}


CLAIMS = [row for connections in (50, 1000) for row in (
    claim(bare_epoll, connections, 0.97, often=OFTEN, instructions=user_instructions,
          **counted(connections)),
    claim(bare_uring, connections, 0.92, often=OFTEN, **counted(connections)),
    claim(socat, connections, 3),
    claim(ncat, connections, 3),
    claim(socketserver, connections, 3, limit=bare_epoll),
)] + [
    Claim("echo TCP, 64 B, 1 connection: median round trip", "ns", lambda: prise("echo"),
          bare_epoll, round_trip_ns(1), "<=", 1.03, by_slices=True, often=OFTEN, **counted(1)),
]
