"""`prise get` beside curl, both fetching from the same nginx: processor time of the client for a
file of 1 GiB, and for 1000 small files in one call, into a file system in memory."""

import os
import resource
import subprocess
import tempfile

from harness import BUILD, LOAD_CPU, Claim, Server, Spec, Unavailable, installed

BIG_BYTES, SMALL_BYTES, SMALL_FILES = 1 << 30, 1024, 1000

NGINX = """daemon off;
worker_processes 1;
pid {dir}/pid;
error_log stderr;
events {}
http {
    access_log off;
    sendfile on;
    keepalive_requests 100000;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    server { listen 127.0.0.1:{port}; root %s; }
}
"""


def memory():
    if not os.path.isdir("/dev/shm"):
        raise Unavailable("there is no /dev/shm")
    return tempfile.TemporaryDirectory(prefix="bench-get-", dir="/dev/shm")


def make_files(root, big):
    """What is served: random bytes, so that nothing is gained by sparse or equal pages."""
    os.chmod(root, 0o755)
    if big:
        piece = os.urandom(1 << 20)
        with open(f"{root}/big", "wb") as f:
            for _ in range(BIG_BYTES >> 20):
                f.write(piece)
    for i in range(0 if big else SMALL_FILES):
        with open(f"{root}/f{i}", "wb") as f:
            f.write(os.urandom(SMALL_BYTES))


def nginx(root):
    return Spec("nginx", [installed("nginx"), "-p", "{dir}", "-c", "{dir}/nginx.conf"],
                files={"nginx.conf": NGINX % root})


def urls(port, big):
    base = f"http://127.0.0.1:{port}/"
    return [base + "big"] if big else [f"{base}f{i}" for i in range(SMALL_FILES)]


def prise_get(big):
    return Spec("prise get", [f"{BUILD}/prise", "get", *(["-o", "big"] if big else ["-O"])])


def curl(big):
    return Spec("curl", [installed("curl"), "-q", "-s", "--noproxy", "*",
                         *(["-o", "big"] if big else ["--remote-name-all"])],
                note="-s" if big else "-s --remote-name-all")


def client_cpu(big):
    """ns of processor time of one whole run."""
    def measure(spec):
        with memory() as root, memory() as target:
            make_files(root, big)
            with Server(nginx(root)) as server:
                argv = [*spec.argv, *urls(server.port, big)]
                environment = {**os.environ, "http_proxy": "", "all_proxy": ""}
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                # The server is a child too, and not yet waited for, so it is not counted.
                subprocess.run(argv, check=True, cwd=target, env=environment,
                               preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CPU}))
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
            got = sum(os.path.getsize(f"{target}/{name}") for name in os.listdir(target))
            assert got == (BIG_BYTES if big else SMALL_BYTES * SMALL_FILES)
        return 1e9 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return measure


CLAIMS = [
    Claim("prise get, 1 GiB to a file: processor time", "ns", lambda: prise_get(True),
          lambda: curl(True), client_cpu(True), "<=", 1),
    Claim("prise get, 1000 files of 1 KiB in one call: processor time", "ns",
          lambda: prise_get(False), lambda: curl(False), client_cpu(False), "<=", 1),
]
