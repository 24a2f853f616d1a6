"""The API of docs/protocols/api.md as the page sees it, with numbers that move: for the tests of
the dashboard, and for working on it without a daemon:

    python3 tests/e2e/web_mock.py [PORT] [CONNECTIONS]"""

import collections
import contextlib
import datetime
import http.server
import itertools
import json
import mimetypes
import pathlib
import queue
import random
import socket
import sys
import threading
import urllib.parse

WEB = pathlib.Path(__file__).resolve().parents[2] / "web"
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
          "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
HELD = 4096
TCP = [("tcp", "127.0.0.1"), ("tcp", "[::1]")]
BOTH = [*TCP, ("udp", "127.0.0.1"), ("udp", "[::1]")]
SERVICES = {  # name: port, transports, how lively
    "echo": (7777, BOTH, 1.0), "discard": (7009, BOTH, 0.4), "daytime": (7013, BOTH, 0.2),
    "qotd": (7017, TCP, 0.1), "chargen": (7019, TCP, 3.0), "time": (7037, BOTH, 0.2),
    "stamp": (9999, TCP, 0.1), "upper": (9998, TCP, 0.0), "dialogue": (2003, TCP, 0.3),
    "guess": (2004, TCP, 0.3), "sum": (6000, TCP, 0.5), "inbox": (6001, BOTH, 0.2),
    "role": (9001, TCP, 0.05), "http": (8080, TCP, 0.6)}
NAMES = ["alpha", "bravo", "charlie", "delta"]


def stamp(moment=None):
    moment = moment or datetime.datetime.now(datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def ago(seconds):
    return datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)


def service_row(name):
    port, listen, _ = SERVICES[name]
    return {"name": name, "tls": False, "open": 0, "opened": 0, "refused": 0, "bytes_in": 0,
            "bytes_out": 0, "datagrams_in": 0, "datagrams_out": 0, "datagrams_refused": 0,
            "listen": [{"transport": transport, "address": f"{host}:{port}"}
                       for transport, host in listen], "summary": f"the service {name}"}


class Mock:
    """A daemon that is none. start() and stop() as often as one likes, on one port; a start after
    a stop is another run of the daemon, unless `same_run`."""

    def __init__(self, port=0, connections=40, token=None, services=None, lively=True):
        self.port, self.token, self.lively = port, token, lively
        self.wrong = 0        # tokens tried
        self.silent = False  # connections stand, and nothing comes
        self.log_goes = threading.Event()  # while it is not set no log is answered
        self.log_goes.set()
        self.lock = threading.RLock()
        self.random = random.Random(3)
        self.services = {name: service_row(name) for name in services or SERVICES}
        self.streams = set()
        self.stream_count = 0
        self.asked = []
        self.last_ids = []
        self.pid = 1000
        self.uptime = 3 * 86400 + 4 * 3600 + 17
        self.set_connections(connections)
        self._new_run()
        self.server = None

    def _new_run(self):
        self.pid += 1
        self.started = stamp(ago(self.uptime))
        self.uptime = 0
        self.seq, self.dropped = 0, 0
        self.events = collections.deque(maxlen=HELD)
        self.epoch, self.line = 1, NAMES[:]
        self.event("daemon.started", "notice", None)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def start(self, same_run=False):
        if self.server is None and self.seq > 1 and not same_run:
            self._new_run()
        self.stopping = threading.Event()
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.mock = self
        self.port = self.server.server_address[1]
        for work in (lambda: self.server.serve_forever(0.05), self._live):
            threading.Thread(target=work, daemon=True).start()
        return self

    def stop(self):
        if self.server:
            self.stopping.set()
            self.server.shutdown()
            self.server.server_close()
            self.server.hang_up()
            self.server = None

    def _live(self):
        stopping = self.stopping
        while not stopping.wait(1.0):
            with self.lock:
                if self.silent:
                    continue
                if self.lively:
                    self._traffic()
                self.publish("status", self.status())

    def _traffic(self):
        for name, row in self.services.items():
            lively = SERVICES[name][2] * self.random.uniform(0, 2)
            amount = int(lively * self.random.choice([0, 1, 1, 3]) * 12000)
            row["bytes_in"] += amount // 3
            row["bytes_out"] += amount
            new = int(lively * 3)
            row["opened"] += new
            if row["listen"][-1]["transport"] == "udp":
                row["datagrams_in"] += new
        for one in self.connections[:50]:
            one["bytes_in"] += 64
            one["bytes_out"] += 64
        self.event("sum.done", "info", "sum", sum=self.random.randrange(900), items=3)
        peer = f"127.0.0.1:{self.random.randrange(32768, 60000)}"
        self.event("conn.open", "debug", "echo", peer=peer)

    def set_connections(self, number):
        def one(index):
            name = list(self.services)[index % len(self.services)]
            opened = stamp(ago(index * 1.7))
            return {"id": str(65536 + index), "service": name,
                    "peer": f"10.{index >> 16 & 255}.{index >> 8 & 255}.{index & 255}:"
                            f"{20000 + index % 40000}",
                    "opened": opened, "bytes_in": index * 37 % 90001,
                    "bytes_out": index * 53 % 1000003, "queued": 0 if index % 9 else index}

        with self.lock:
            self.connections = [one(index) for index in range(number)]
            counts = collections.Counter(c["service"] for c in self.connections)
            for name, row in self.services.items():
                row["open"] = counts[name]
                row["opened"] = max(row["opened"], counts[name])

    def event(self, kind, level, service, **fields):
        with self.lock:
            self.seq += 1
            event = {"seq": self.seq, "level": level, "time": stamp(), "type": kind, "host": "h"}
            if service:
                event["service"] = service
            event.update(fields)
            self.events.append(event)
            self.publish(None, event, self.seq)
        return self.seq

    def role_change(self):
        """The principal leaves, and comes back as the last in line; returns who is principal."""
        with self.lock:
            self.line.append(self.line.pop(0))
            self.epoch += 1
            self.publish("role", self.role())
            self.event("role.change", "info", "role", peer="127.0.0.1:40001", name=self.line[0],
                       role="principal", structured=True, epoch=self.epoch, position=1,
                       members=len(self.line))
            return self.line[0]

    def publish(self, name, data, number=None):
        text = f"event: {name}\n" if name else ""
        text += f"id: {number}-{self.pid:x}\n" if number else ""
        text += f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
        for stream in list(self.streams):
            stream.put(text.encode())

    def status(self):
        status = {"version": "0.1.0", "host": "h", "pid": self.pid, "started": self.started,
                  "time": stamp(), "services": list(self.services.values()),
                  "events": {"seq": self.seq, "dropped": self.dropped}}
        if "role" in self.services:
            status["role"] = {"epoch": self.epoch, "members": len(self.line)}
        return status

    def role(self):
        return {"epoch": self.epoch, "lease_ms": 3000, "total": len(self.line), "members": [
            {"position": place, "name": name, "peer": f"127.0.0.1:{40000 + NAMES.index(name)}",
             "role": "secondaire" if place > 1 else "principal", "priority": 0,
             "structured": name != NAMES[-1]} for place, name in enumerate(self.line, 1)]}

    def connection_page(self, query):
        service = query.get("service", [""])[0]
        rows = [c for c in self.connections if not service or c["service"] == service]
        offset, limit = (int(query.get(k, [d])[0]) for k, d in (("offset", 0), ("limit", 100)))
        return {"total": len(rows), "connections": rows[offset:offset + min(limit, 1000)]}

    def log(self, query):
        before = int(query.get("before", [self.seq + 1])[0])
        limit = min(1000, int(query.get("limit", [200])[0]))
        found = (event for event in reversed(self.events) if event["seq"] < before)
        return {"seq": self.seq, "events": list(itertools.islice(found, limit))}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.clients = set()

    def process_request(self, request, client_address):
        self.clients.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.clients.discard(request)
        super().shutdown_request(request)

    def hang_up(self):
        for client in list(self.clients):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        pass  # a page that went away


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):  # pylint: disable=arguments-differ
        pass

    def answer(self, code, body=b"", kind="application/json", **headers):
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": len(body),
                            "Content-Security-Policy": POLICY, "Cache-Control": "no-store",
                            "X-Content-Type-Options": "nosniff", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        token = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path != "/api/login":
            self.answer(404)
        elif token == self.server.mock.token:
            self.answer(204, Set_Cookie=f"prise={token}; HttpOnly; SameSite=Strict; Path=/")
        else:
            self.server.mock.wrong += 1
            few = self.server.mock.wrong <= 5
            word = "origin" if token == "from afar" else "token" if few else "too_many"
            self.answer(403 if few else 429, json.dumps({"error": word, "text": ""}).encode(),
                        Retry_After=5)

    def do_GET(self):
        mock, url = self.server.mock, urllib.parse.urlsplit(self.path)
        mock.asked.append(self.path)
        if not url.path.startswith("/api/"):
            self.file(url.path)
        elif mock.token and f"prise={mock.token}" not in self.headers.get("Cookie", ""):
            self.answer(401)
        elif url.path == "/api/stream":
            self.stream()
        else:
            query = urllib.parse.parse_qs(url.query)
            answers = {"status": mock.status, "role": mock.role,
                       "log": lambda: mock.log(query),
                       "connections": lambda: mock.connection_page(query)}
            name = url.path.removeprefix("/api/")
            if name not in answers:
                self.answer(404)
                return
            if name == "log":
                mock.log_goes.wait(20)
            with mock.lock:
                body = json.dumps(answers[name](), ensure_ascii=False).encode()
            self.answer(200, body)

    def file(self, path):
        place = (WEB / (path.lstrip("/") or "index.html")).resolve()
        if WEB not in place.parents or not place.is_file():
            self.answer(404, kind="text/plain")
            return
        kind = {".js": "text/javascript"}.get(place.suffix) or mimetypes.guess_type(place)[0]
        self.answer(200, place.read_bytes(), f"{kind}; charset=utf-8")

    def stream(self):
        mock, mine = self.server.mock, queue.Queue()
        stopping = mock.stopping
        last = self.headers.get("Last-Event-ID")
        with mock.lock:
            mock.last_ids.append(last)
            missed = [e for e in mock.events if last and e["seq"] > int(last.split("-")[0])]
            mock.streams.add(mine)
            mock.stream_count += 1
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for event in missed:
                text = f"id: {event['seq']}-{mock.pid:x}\ndata: {json.dumps(event)}\n\n"
                self.wfile.write(text.encode())
            self.pass_on(mine, stopping)
        except OSError:
            pass  # the page is gone
        finally:
            mock.streams.discard(mine)

    def pass_on(self, mine, stopping):
        while not stopping.is_set():
            try:
                text = mine.get(timeout=0.1)
                while not mine.empty():
                    text += mine.get()
            except queue.Empty:
                continue
            self.wfile.write(text)


def main():
    port, number = [*map(int, sys.argv[1:3]), 8081, 100][:2] if len(sys.argv) > 1 else (8081, 100)
    mock = Mock(port, number).start()
    print(mock.url, flush=True)
    try:
        while not mock.stopping.wait(20):
            mock.role_change()
    except KeyboardInterrupt:
        mock.stop()


if __name__ == "__main__":
    main()
