"""A machine of a test's own: run(prise, {...}, "resolve", "a.test") runs a command in a network and
mount namespace where only loopback is up, with a file of hosts and a name server of the test's own.

    hosts     what /etc/hosts says
    zone      {"a.test A": ["192.0.2.1"], "b.test CNAME": ["a.test"], "c.test": "SERVFAIL"}
    silent    the name server never answers; zone None: there is none
    options   of resolv.conf(5), timeout:1 for one that is silent, else timeout:9, unless told
    setup     shell commands, run first: routes, sysctls, firewall rules
    greet     {"127.0.0.1 7013": "text"}: a TCP server that says so and closes; what begins with
              HTTP/ it says once it was asked
    answer    {"127.0.0.1 7013": "text"}: a UDP server that says so to each datagram; null: what it
              was sent

Skips when the system does not let us. As a program it is the inside of the box."""

import ipaddress
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

TYPES = {"A": 1, "CNAME": 5, "PTR": 12, "AAAA": 28}
OK, SERVFAIL, NXDOMAIN = 0, 2, 3
NO_BOX = 77  # what the program exits with when there can be no box


def wire_name(name):
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def wire_data(kind, value):
    return ipaddress.ip_address(value).packed if kind in ("A", "AAAA") else wire_name(value)


def records_for(zone, name, kind):
    """(rcode, [(owner, kind, value)]) as a name server answers (RFC 1034 4.3.2)."""
    found = []
    while f"{name} CNAME" in zone and kind != "CNAME":
        target = zone[f"{name} CNAME"][0]
        found.append((name, "CNAME", target))
        name = target
    if zone.get(name) == "SERVFAIL":
        return SERVFAIL, []
    found += [(name, kind, value) for value in zone.get(f"{name} {kind}", [])]
    exists = any(key.split()[0] == name for key in zone)
    return (OK if exists else NXDOMAIN), found


def answer(zone, query):
    number, = struct.unpack_from("!H", query)
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    wanted, _ = struct.unpack_from("!HH", query, at + 1)
    kind = {number: name for name, number in TYPES.items()}.get(wanted, "?")
    code, found = records_for(zone, ".".join(labels), kind)
    head = struct.pack("!HHHHHH", number, 0x8180 | code, 1, len(found), 0, 0)
    body = b""
    for owner, record, value in found:
        data = wire_data(record, value)
        body += wire_name(owner) + struct.pack("!HHIH", TYPES[record], 1, 60, len(data)) + data
    return head + query[12:at + 5] + body


def serve_names(zone, silent):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))

    def run():
        while True:
            query, sender = server.recvfrom(4096)
            if not silent:
                server.sendto(answer(zone, query), sender)

    threading.Thread(target=run, daemon=True).start()


def greet(where, text):
    host, port = where.split()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, int(port)), family=family)

    def run():
        while True:
            client, _ = server.accept()
            with client:
                if text.startswith("HTTP/"):
                    client.recv(65536)
                client.sendall(text.encode())

    threading.Thread(target=run, daemon=True).start()


def answer_datagrams(where, text):
    host, port = where.split()
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((host, int(port)))

    def run():
        while True:
            data, sender = server.recvfrom(65536)
            server.sendto(data if text is None else text.encode(), sender)

    threading.Thread(target=run, daemon=True).start()


def cover(path, text, scratch):
    source = os.path.join(scratch, os.path.basename(path))
    with open(source, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(source, 0o644)
    return subprocess.run(["mount", "--bind", source, path], check=False).returncode == 0


def inside(settings, command):
    zone = settings.get("zone", {})
    order = "files" if zone is None else "files dns"
    options = settings.get("options", "timeout:1" if settings.get("silent") else "timeout:9")
    with tempfile.TemporaryDirectory() as scratch:
        files = {"/etc/hosts": settings.get("hosts", ""),
                 "/etc/resolv.conf": f"nameserver 127.0.0.1\noptions {options} attempts:1\n",
                 "/etc/nsswitch.conf": f"hosts: {order}\nservices: files\n"}
        up = subprocess.run(["ip", "link", "set", "lo", "up"], check=False).returncode == 0
        if not up or not all(cover(path, text, scratch) for path, text in files.items()):
            return NO_BOX
        for line in settings.get("setup", []):
            if subprocess.run(line, shell=True, stdout=subprocess.DEVNULL,
                              check=False).returncode != 0:
                return NO_BOX
        if zone is not None:
            serve_names(zone, settings.get("silent", False))
        for where, text in settings.get("greet", {}).items():
            greet(where, text)
        for where, text in settings.get("answer", {}).items():
            answer_datagrams(where, text)
        return subprocess.run(command, check=False).returncode


def run(prise, settings, *arguments, stdin=b""):
    """Runs `prise arguments...` in a box to its end; returns what prise(...) returns."""
    import pytest  # pylint: disable=import-outside-toplevel
    from support import SANITIZER, SECONDS, Result  # pylint: disable=import-outside-toplevel

    if not shutil.which("unshare"):
        pytest.skip("no unshare here")
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *user, "--net", "--mount", sys.executable, os.path.abspath(__file__),
               json.dumps(settings), prise.path, *map(str, arguments)]
    path = prise.environment.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False,
                          input=stdin, cwd=prise.directory,
                          env={**prise.environment, "PATH": path})
    result = Result(done.returncode, done.stdout, done.stderr)
    if result.code == NO_BOX or "unshare: " in result.err:
        pytest.skip(f"no namespaces here: {result.err}")
    assert not SANITIZER.search(done.stderr), result.err
    return result


if __name__ == "__main__":
    sys.exit(inside(json.loads(sys.argv[1]), sys.argv[2:]))
