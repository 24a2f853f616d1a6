"""`prise daytime HOST:PORT` as a whole process, from spawn to exit, beside netcat-openbsd; both ask
the same server."""

import json

from harness import BUILD, Claim, installed, Load, prise, Server, Spec

RUNS = 200


def ours():
    return Spec("prise daytime", [f"{BUILD}/prise", "daytime", "127.0.0.1:{port}"])


def netcat():
    return Spec("nc", [installed("nc.openbsd"), "127.0.0.1", "{port}"], note="netcat-openbsd")


def whole(what):
    def measure(spec):
        with Server(prise("daytime")) as server:
            argv = [a.format(port=server.port) for a in spec.argv]
            with Load("load_spawn", RUNS, *argv) as load:
                return json.loads(load.line())[what]
    return measure


CLAIMS = [Claim(f"prise daytime, whole process: {name}", "ns", ours, netcat, whole(what), "<=", 3)
          for name, what in (("wall time", "wall_ns"), ("processor time", "cpu_ns"))]
