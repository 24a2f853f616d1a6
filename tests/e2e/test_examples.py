"""The programs of examples/ against Python's socket, socketserver and http.server."""

import http.server
import os
import pathlib
import re
import socket
import socketserver
import subprocess
import threading

import pytest
from support import ROOT, SECONDS, free_port

EXAMPLES = pathlib.Path(os.environ.get("PRISE", ROOT / "build/release/prise")).parent / "examples"


def run(name, *arguments):
    return subprocess.run([EXAMPLES / name, *map(str, arguments)], capture_output=True,
                          timeout=SECONDS, check=False)


@pytest.fixture
def serving():
    """serving(handler) runs a Python server on 127.0.0.1 and gives its port."""
    servers = []

    def start(handler, kind=socketserver.TCPServer):
        server = kind(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server.server_address[1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("name", ["daytime_client", "http_get", "echo_server"])
def test_a_page_each(name):
    assert len((ROOT / f"examples/{name}.c").read_text().splitlines()) <= 60


def test_daytime_client_reads_to_the_end(serving):
    class InPieces(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in (b"Tuesday, February 22,", b" 1982 17:37:43-UTC\r\n", b"x" * 100000):
                self.request.sendall(piece)

    done = run("daytime_client", "127.0.0.1", serving(InPieces))
    assert done.returncode == 0
    assert done.stdout == b"Tuesday, February 22, 1982 17:37:43-UTC\r\n" + b"x" * 100000


def test_daytime_client_refused_and_unknown():
    assert run("daytime_client", "127.0.0.1", free_port()).returncode == 1
    assert b"refused" in run("daytime_client", "127.0.0.1", free_port()).stderr
    assert run("daytime_client", "name.invalid", "13").returncode == 1
    assert run("daytime_client").returncode == 2


def test_http_get(serving, tmp_path):
    (tmp_path / "page.html").write_bytes(b"<p>" + b"caf\xc3\xa9 " * 20000)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=tmp_path)

        def log_message(self, *_):
            pass

    port = serving(Quiet, http.server.HTTPServer)
    done = run("http_get", "127.0.0.1", port, "/page.html")
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert done.returncode == 0 and b" 200 OK" in head
    assert body == (tmp_path / "page.html").read_bytes()
    assert b" 404 " in run("http_get", "127.0.0.1", port, "/absent").stdout
    assert run("http_get", "127.0.0.1", free_port(), "/").returncode == 1


@pytest.fixture
def echo_server():
    with subprocess.Popen([EXAMPLES / "echo_server", "0"], stdout=subprocess.PIPE) as server:
        yield int(server.stdout.readline().rpartition(b":")[2])
        server.kill()


def test_echo_server_gives_back_all(echo_server):
    data = os.urandom(1 << 20)
    with socket.create_connection(("127.0.0.1", echo_server), timeout=SECONDS) as s:
        writer = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
        writer.start()
        back = b"".join(iter(lambda: s.recv(65536), b""))
        writer.join()
    assert back == data


def test_echo_server_serves_one_after_the_other(echo_server):
    with socket.create_connection(("127.0.0.1", echo_server), timeout=SECONDS) as first:
        first.sendall(b"one")
        assert first.recv(16) == b"one"
        second = socket.create_connection(("127.0.0.1", echo_server), timeout=SECONDS)
        second.sendall(b"two")
        second.settimeout(0.2)
        with pytest.raises(TimeoutError):
            second.recv(16)
    with second:
        second.settimeout(SECONDS)
        assert second.recv(16) == b"two"


def test_repete():
    assert run("repete", "bonjour").stdout == b"bonjour\nbonjour\n"
    assert run("repete", "--repete", "3", "oui").stdout == b"oui\noui\noui\n"
    assert run("repete", "oui", "-r1").stdout == b"oui\n"
    assert run("repete", "--repete=1", "--", "-v").stdout == b"-v\n"


@pytest.mark.parametrize("arguments, what", [
    ([], b"one LACHAINE is wanted"),
    (["a", "b"], b"one LACHAINE is wanted"),
    (["--repete", "0", "a"], b"--repete 0 is out of range"),
    (["--repete", "many", "a"], b"--repete many is not understood"),
    (["--repte", "3", "a"], b"there is no option --repte"),
    (["a", "--repete"], b"--repete lacks its value"),
    (["a", "--repete", "-3"], b"--repete -3 is not understood"),
])
def test_repete_refuses(arguments, what):
    done = run("repete", *arguments)
    assert done.returncode == 2 and done.stdout == b""
    first, second = done.stderr.splitlines()
    assert what in first and second.startswith(b"  try: ")


def test_repete_help_comes_from_the_table():
    help_text = run("repete", "--help").stdout.decode()
    assert re.search(r"-r, --repete N +how many times", help_text)
    assert "prise repete [--repete N] LACHAINE" in help_text
