"""HTTP servers for tests, on 127.0.0.1, on ports of their own: Web answers by a function of the
request and remembers what was asked; Odd says bytes as they are, right or wrong; Proxy passes
on."""

import contextlib
import http.server
import select
import socket
import ssl
import subprocess
import threading
import types

import pytest


NO_PROXIES = {k: "" for k in ("http_proxy", "https_proxy", "all_proxy", "no_proxy",
                              "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")}


@pytest.fixture
def get(prise):
    """get(URL, ...) runs prise get without whatever proxies this machine has."""
    def run(*words, env=None, **more):
        return prise("get", *words, env={**NO_PROXIES, **(env or {})}, **more)
    return run


def fixed(body, status=200, **fields):
    return lambda request: (status, {k.replace("_", "-"): v for k, v in fields.items()}, body)


BINARY = bytes(range(256)) * 513


class Web:
    """A server made of Python's own. `answer(request)` returns (status, fields, body); a request
    has method, path, fields (a dict in small letters), body and connection (its number)."""

    def __init__(self, answer, context=None, version="HTTP/1.1", host="127.0.0.1"):
        self.asked, self.connections = [], 0
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = version

            def setup(self):
                super().setup()
                web.connections += 1
                self.number = web.connections

            def serve(self):
                fields = {k.lower(): v for k, v in self.headers.items()}
                request = types.SimpleNamespace(
                    method=self.command, path=self.path, version=self.request_version,
                    fields=fields, connection=self.number,
                    body=self.rfile.read(int(fields.get("content-length", 0))))
                web.asked.append(request)
                status, fields, body = answer(request)
                self.send_response(status)
                fields = dict(fields)
                if "Transfer-Encoding" not in fields:
                    fields.setdefault("Content-Length", str(len(body)))
                for name, value in fields.items():
                    for one in value if isinstance(value, list) else [value]:
                        self.send_header(name, one)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = serve

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

            def handle_error(self, *_):
                pass

        self.server = Server((host, 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        scheme = "https" if context else "http"
        self.url = f"{scheme}://[{host}]:{self.port}" if ":" in host \
            else f"{scheme}://{host}:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Odd:
    """For each connection the next of `talks` (the last one again and again) is called with the
    socket; bytes stand for: read a request's head, say them, close."""

    def __init__(self, *talks):
        self.talks, self.count, self.heads = list(talks), 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ending = threading.Event()
        threading.Thread(target=self.serve, daemon=True).start()

    def head(self, s):
        """Reads a request's head (without a body) and returns it."""
        data = b""
        while b"\r\n\r\n" not in data and b"\n\n" not in data:
            more = s.recv(65536)
            if not more:
                break
            data += more
        self.heads.append(data)
        return data

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                talk = self.talks[min(self.count, len(self.talks) - 1)]
                self.count += 1
                threading.Thread(target=self.talk, args=(s, talk), daemon=True).start()

    def talk(self, s, talk):
        with s, contextlib.suppress(OSError):
            if callable(talk):
                talk(s)
            else:
                self.head(s)
                s.sendall(talk)
                s.shutdown(socket.SHUT_WR)
                s.settimeout(5)
                while s.recv(65536):
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Proxy(Odd):
    """An HTTP proxy: CONNECT makes a tunnel, an absolute URL is fetched with one connection each.
    `asked` has the first lines; `demand` is the Proxy-Authorization it wants."""

    def __init__(self, demand=None):
        self.asked, self.demand = [], demand
        super().__init__(self.proxy)

    def proxy(self, s):
        head = self.head(s)
        line = head.split(b"\r\n")[0].decode()
        self.asked.append(line)
        method, target, _ = line.split()
        if self.demand and f"Proxy-Authorization: {self.demand}".encode() not in head:
            s.sendall(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        authority = target if method == "CONNECT" else target.split("/")[2]
        host, _, port = authority.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as far:
            if method == "CONNECT":
                s.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = "/" + target.split("/", 3)[3]
                far.sendall(head.replace(target.encode(), path.encode(), 1))
            relay(s, far)


def relay(a, b):
    """Bytes both ways until one side ends."""
    other = {a: b, b: a}
    while True:
        for s in select.select([a, b], [], [], 10)[0] or [None]:
            data = s.recv(65536) if s else b""
            if not data:
                return
            other[s].sendall(data)


def authority(directory, names="DNS:localhost,IP:127.0.0.1", days="2", name="server"):
    """A certificate authority and a server's certificate by it, with openssl: (path of the
    authority's certificate, a server's ssl context)."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    if not (directory / "ca.pem").exists():
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test authority",
                "-addext", "basicConstraints=critical,CA:TRUE")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=server")
    (directory / f"{name}.ext").write_text(f"subjectAltName={names}\n")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", days, "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / f"{name}.pem", directory / f"{name}.key")
    return directory / "ca.pem", context
