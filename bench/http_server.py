"""Files over HTTP: 1 KiB with wrk on 100 kept connections, in the clear and under TLS, 100 MiB by
sendfile on one; what a request costs the server's processor, beside nginx as its manual tunes it
and beside the barest loop, which sends a constant answer."""

import functools
import json
import os
import re
import subprocess
import tempfile

from harness import (bare, Claim, installed, Load, LOAD_CPU, OFTEN, prise, SECONDS, Server,
                     Spec, spawn)

SMALL = "x" * 1024
BIG_BYTES = 100 << 20
NGINX = """daemon off; master_process off; worker_processes 1; pid {dir}/pid; error_log /dev/null;
events { worker_connections 4096; multi_accept on; }
http { access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; default_type text/plain;
  keepalive_requests 1000000000; keepalive_timeout 300;
  open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server { listen 127.0.0.1:{port} backlog=4096; root {dir}; } }
"""
OURS = """loops = 1
http { root = "{dir}" }
"""


def ours():
    spec = prise("http")
    spec.files = {"prise.conf": OURS, "1k.txt": SMALL}
    return spec


def nginx():
    return Spec("nginx", [installed("nginx"), "-p", "{dir}", "-c", "{dir}/nginx.conf"],
                note="one worker, log off, sendfile, open_file_cache, tcp_nopush",
                files={"nginx.conf": NGINX, "1k.txt": SMALL})


@functools.cache
def certificate():
    """(certificate, key), of the kind that prise makes for itself."""
    with tempfile.TemporaryDirectory() as directory:
        paths = [os.path.join(directory, name) for name in ("certificate", "key")]
        subprocess.run([installed("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=bench", "-out", paths[0],
                        "-keyout", paths[1]], check=True, stderr=subprocess.DEVNULL)
        return [open(path, encoding="ascii").read() for path in paths]


def ours_tls():
    spec = prise("http")
    spec.files = {"prise.conf": OURS.replace("root", "tls = yes root"), "1k.txt": SMALL}
    return spec


def nginx_tls():
    tls = ("listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate {dir}/certificate.pem; "
           "ssl_certificate_key {dir}/key.pem; ssl_protocols TLSv1.3; ssl_buffer_size 4k; "
           "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;")
    public, private = certificate()
    return Spec("nginx", [installed("nginx"), "-p", "{dir}", "-c", "{dir}/nginx.conf"],
                note="as above, TLS 1.3 with the same cipher, ssl_buffer_size 4k",
                files={"nginx.conf": NGINX.replace("listen 127.0.0.1:{port} backlog=4096;", tls),
                       "1k.txt": SMALL, "certificate.pem": public, "key.pem": private})


def bare_http():
    return bare("bare_http", note="the limit: the barest epoll loop, a constant answer")


def wrk(server, seconds, scheme="http"):
    """Requests answered; every one must be."""
    process = spawn([installed("wrk"), "-t1", "-c100", f"-d{seconds}s",
                     f"{scheme}://127.0.0.1:{server.port}/1k.txt"], LOAD_CPU,
                    stdout=subprocess.PIPE)
    said = process.communicate(timeout=60)[0].decode()
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    return int(re.search(r"(\d+) requests in", said)[1])


def small_speed(spec, scheme="http"):
    with Server(spec) as server:
        before = server.cpu_ns()
        requests = wrk(server, max(1, round(2 * SECONDS)), scheme)
        return requests * 1e9 / (server.cpu_ns() - before)


def instructions(spec):
    """User instructions a request: the difference of two runs as callgrind counts them."""
    counts = []
    for seconds in (1, 4):
        server = Server(spec, under=[installed("valgrind"), "--tool=callgrind",
                                     "--callgrind-out-file=/dev/null"])
        with server:
            requests = wrk(server, seconds)
            said = server.stop()
        counts.append((int(re.search(rf"=={server.process.pid}== Collected : (\d+)", said)[1]),
                       requests))
    return (counts[1][0] - counts[0][0]) / (counts[1][1] - counts[0][1])


def fetch(spec):
    """Bytes a second and bytes a CPU-second of one connection that fetches a big file."""
    with Server(spec) as server:
        with open(f"{server.directory.name}/big.bin", "wb") as big:
            for _ in range(BIG_BYTES >> 20):
                big.write(b"x" * (1 << 20))
        with Load("load_fetch", server.port, "/big.bin", 2 * SECONDS) as load:
            load.line()
            before = server.cpu_ns()
            load.go()
            result = json.loads(load.line())
            result["cpu_ns"] = server.cpu_ns() - before
            return result


def throughput(spec):
    result = fetch(spec)
    return result["bytes"] * 1e9 / result["ns"] / (1 << 20)


def mib_per_cpu_second(spec):
    result = fetch(spec)
    return result["bytes"] * 1e9 / result["cpu_ns"] / (1 << 20)


CLAIMS = [
    Claim("HTTP, 1 KiB, wrk, 100 connections", "requests per CPU-second", ours, nginx, small_speed,
          ">=", 1.4),
    Claim("HTTP, 1 KiB, wrk, 100 connections", "requests per CPU-second", ours, bare_http,
          small_speed, ">=", 0.85, often=OFTEN),
    Claim("HTTPS, 1 KiB, wrk, 100 connections", "requests per CPU-second", ours_tls, nginx_tls,
          lambda spec: small_speed(spec, "https"), ">=", 1.0),
    Claim("HTTP, 100 MiB, 1 connection: throughput", "MiB a second", ours, nginx, throughput, ">=",
          1.0, often=OFTEN),
    Claim("HTTP, 100 MiB, 1 connection", "MiB per CPU-second", ours, nginx, mib_per_cpu_second,
          ">=", 1.0, often=OFTEN),
]
