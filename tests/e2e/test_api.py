"""The API over HTTP: snapshots, the log, the stream, metrics, and who may ask."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams import SANITIZED, Control, Stream, resident_bytes
from support import SECONDS, wait_until
from talking import configured

FAR = {"X-Forwarded-For": "203.0.113.7"}  # through a proxy: from beyond this machine
TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(params=[1, 3], ids=["one loop", "three loops"])
def daemon(request, serve):
    return serve("echo", "daytime", "role", "http",
                 config=f'loops = {request.param}\nrole {{ lease = "60s" }}\n')


def ask(daemon, path, method="GET", body=None, headers=None):
    """(status, headers, body)"""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port("http"), timeout=SECONDS)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def get(daemon, path, **more):
    status, headers, body = ask(daemon, path, **more)
    assert status == 200, body
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "no-store"
    return json.loads(body)


def service(daemon, name):
    return next(s for s in get(daemon, "/api/status")["services"] if s["name"] == name)


def test_health(daemon):
    assert ask(daemon, "/healthz")[2] == b"ok\n"


def test_status(prise, daemon):
    status = get(daemon, "/api/status")
    assert status["pid"] == daemon.pid and status["host"] == socket.gethostname()
    assert [s["name"] for s in status["services"]] == ["echo", "daytime", "role", "http"]
    assert f"prise {status['version']}" == prise("--version").out.strip()
    assert status["started"] <= status["time"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", status["time"])
    assert status["role"] == {"epoch": 0, "members": 0}
    assert status["events"]["dropped"] == 0
    echo = status["services"][0]
    assert echo["listen"] == [
        {"transport": "tcp", "address": f"127.0.0.1:{daemon.port('echo')}"},
        {"transport": "udp", "address": f"127.0.0.1:{daemon.port('echo')}"}]
    assert echo["tls"] is False


def test_counts_of_all_loops(daemon):
    for _ in range(20):
        with daemon.connect("echo") as s:
            s.sendall(b"bonjour")
            assert s.recv(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(SECONDS)
        s.sendto(b"abc", ("127.0.0.1", daemon.port("echo")))
        s.recv(100)
    wait_until(lambda: service(daemon, "echo")["open"] == 0, "all to be closed")
    echo = service(daemon, "echo")
    assert (echo["opened"], echo["bytes_in"], echo["bytes_out"]) == (20, 143, 143)
    assert (echo["datagrams_in"], echo["datagrams_out"]) == (1, 1)


def test_connections(daemon):
    with contextlib.ExitStack() as open_ones:
        ours = []
        for _ in range(30):
            s = open_ones.enter_context(daemon.connect("echo"))
            s.sendall(b"abc")
            assert s.recv(3) == b"abc"
            ours.append("%s:%d" % s.getsockname())
        found = get(daemon, "/api/connections?service=echo")
        assert found["total"] == 30
        assert [c["peer"] for c in found["connections"]] == ours[::-1]  # the newest first
        assert all((c["service"], c["bytes_in"], c["bytes_out"], c["queued"]) == ("echo", 3, 3, 0)
                   for c in found["connections"])
        assert len({c["id"] for c in found["connections"]}) == 30
        part = get(daemon, "/api/connections?service=echo&offset=10&limit=5")
        assert part["connections"] == found["connections"][10:15] and part["total"] == 30
        assert get(daemon, "/api/connections?service=echo&offset=99")["connections"] == []
        everyone = wait_until(lambda: (found := get(daemon, "/api/connections"))["total"] == 31
                              and found, "nobody else to ask")
        assert everyone["connections"][0]["service"] == "http"
    assert ask(daemon, "/api/connections?service=nonsense")[0] == 404


def test_role(prise, daemon):
    with contextlib.ExitStack() as members:
        for name in "ab":
            s = members.enter_context(daemon.connect("role"))
            s.sendall(f"ROLE/1 name={name} priority=3\n".encode())
            wait_until(lambda n=name: [m["name"] for m in get(daemon, "/api/role")["members"]
                                       ].count(n), f"{name} in the queue")
        wait_until(lambda: get(daemon, "/api/role")["members"][0]["role"] == "principal",
                   "the principal's lease")
        plain = members.enter_context(daemon.connect("role"))
        assert plain.recv(100) == b"secondaire"
        role = get(daemon, "/api/role")
        assert role["epoch"] >= 1 and role["lease_ms"] == 60000 and role["total"] == 3
        assert [(m["position"], m["name"], m["role"], m["priority"], m["structured"])
                for m in role["members"]] == [
                    (1, "a", "principal", 3, True), (2, "b", "secondaire", 3, True),
                    (3, "", "secondaire", 0, False)]
        assert role["members"][2]["peer"] == "%s:%d" % plain.getsockname()


def test_no_role_service(serve):
    daemon = serve("http")
    assert ask(daemon, "/api/role")[0] == 404
    assert "role" not in get(daemon, "/api/status")


def test_log(prise, daemon):
    with Control(prise) as writer, Control(prise) as reader:
        reader.follow()
        for i in range(50):
            writer.publish("a.b", i=i)
        reader.wait(lambda e: e.get("i") == 49)
    log = get(daemon, "/api/log?limit=10")
    assert [e["i"] for e in log["events"]] == list(range(49, 39, -1))
    assert log["seq"] == log["events"][0]["seq"]
    older = get(daemon, f"/api/log?limit=10&before={log['events'][-1]['seq']}")
    assert [e["i"] for e in older["events"]] == list(range(39, 29, -1))
    assert get(daemon, "/api/log?before=1")["events"] == []
    assert get(daemon, "/api/log?limit=0")["events"] == []


def test_metrics(daemon):
    with daemon.connect("echo") as s:
        s.sendall(b"abc")
        assert s.recv(3) == b"abc"
        status, headers, body = ask(daemon, "/metrics")
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = body.decode()
    families = {f.name: f for f in text_string_to_metric_families(text)}
    for family in families.values():
        assert family.documentation and family.type in ("counter", "gauge"), family
        labels = [tuple(sorted(s.labels.items())) for s in family.samples]
        assert len(set(labels)) == len(labels), family
    for name in re.findall(r"^# TYPE (\S+) counter", text, re.M):
        assert name.endswith("_total")
    assert len(re.findall(r"^# TYPE", text, re.M)) == len(families) == \
        len(re.findall(r"^# HELP", text, re.M))

    def sample(name, **labels):
        return next(s.value for s in families[name].samples if s.labels == labels)

    tcp = {"service": "echo", "transport": "tcp"}
    assert sample("prise_connections", **tcp) == 1
    assert sample("prise_received_bytes", **tcp) == 3
    assert sample("prise_datagrams_received", service="echo", transport="udp") == 0
    assert sample("prise_role_epoch") == 0
    # Without the connections that stood when it was asked.
    assert 0 <= sample("process_open_fds") - len(os.listdir(f"/proc/{daemon.pid}/fd")) <= 3
    assert sample("process_resident_memory_bytes") > 1 << 20
    assert sample("process_cpu_seconds") > 0


# The stream.

def publish(prise, count, **fields):
    with Control(prise) as writer, Control(prise) as reader:
        reader.follow()
        for i in range(count):
            writer.publish("a.b", i=i, **fields)
        return reader.wait(lambda e: e.get("i") == count - 1)["seq"]


def test_stream(prise, daemon):
    with Stream(daemon.port("http")) as stream:
        assert stream.status == 200 and "text/event-stream" in stream.head
        _, status = stream.wait(lambda event, data: event == "status")
        assert status["pid"] == daemon.pid
        publish(prise, 3)
        for i in range(3):
            number, data = stream.wait_type("a.b")
            assert data["i"] == i and number.startswith(f"{data['seq']}-")
        first = stream.wait(lambda event, data: event == "status")[1]["time"]
        assert stream.wait(lambda event, data: event == "status")[1]["time"] > first


def test_stream_goes_on_where_it_was(prise, daemon):
    with Stream(daemon.port("http")) as stream:
        publish(prise, 5)
        number, data = stream.wait(lambda event, data: data.get("i") == 1)
    publish(prise, 1, again=True)
    with Stream(daemon.port("http"), headers=[f"Last-Event-ID: {number}"]) as stream:
        seen = [stream.wait_type("a.b")[1] for _ in range(4)]
    assert [e["i"] for e in seen] == [2, 3, 4, 0] and seen[0]["seq"] == data["seq"] + 1
    with Stream(daemon.port("http"), path=f"/api/stream?since={data['seq']}") as stream:
        assert stream.wait_type("a.b")[1]["i"] == 2


def test_stream_after_a_restart(prise, serve):
    daemon = serve("http")
    with Stream(daemon.port("http")) as stream:
        publish(prise, 2)
        number, _ = stream.wait_type("a.b")
    daemon.stop()
    again = serve("http")
    publish(prise, 9)
    with Stream(again.port("http"), headers=[f"Last-Event-ID: {number}"]) as stream:
        _, gap = stream.wait(lambda event, data: event == "gap")
        assert gap == {"from": 0, "to": 0}
        assert stream.wait_type("a.b")[1]["i"] == 0


def test_stream_tells_what_it_no_longer_has(prise, daemon):
    with Stream(daemon.port("http")) as stream:
        publish(prise, 1)
        number, data = stream.wait_type("a.b")
    newest = publish(prise, 5000)
    with Stream(daemon.port("http"), headers=[f"Last-Event-ID: {number}"]) as stream:
        _, gap = stream.wait(lambda event, data: event == "gap")
        assert gap == {"from": data["seq"] + 1, "to": newest - 4096}
        assert stream.wait_type("a.b")[1]["seq"] == gap["to"] + 1


def test_a_hundred_streams_that_sleep(prise, daemon):
    sleepers = [Stream(daemon.port("http")) for _ in range(100)]
    with Stream(daemon.port("http")) as awake:
        grown = []
        for turn in range(4):
            publish(prise, 4000, turn=turn, text="x" * 300)
            awake.wait(lambda event, data, t=turn: data.get("i") == 3999 and data["turn"] == t)
            grown.append(resident_bytes(daemon.pid))
        # 100 queues are full, and stay so.
        assert SANITIZED or grown[-1] - grown[-2] < 8 << 20, grown
        _, gap = sleepers[0].wait(lambda event, data: event == "gap")
        assert sleepers[0].wait_type("a.b")[1]["seq"] == gap["to"] + 1
    missed = re.search(r'^prise_events_dropped_total\{queue="stream"\} (\d+)',
                       ask(daemon, "/metrics")[2].decode(), re.M)
    assert int(missed[1]) > 1000
    for sleeper in sleepers:
        sleeper.close()


def test_streams_are_limited(daemon):
    streams = [Stream(daemon.port("http")) for _ in range(128)]
    assert all(s.status == 200 for s in streams)
    assert ask(daemon, "/api/stream")[0] == 503
    streams.pop().close()

    def admitted():
        with Stream(daemon.port("http")) as one_more:
            return one_more.status == 200

    wait_until(admitted, "a place")
    for s in streams:
        s.close()


def test_curl_reads_the_stream(prise, daemon):
    curl = subprocess.Popen(["curl", "-sN", f"http://127.0.0.1:{daemon.port('http')}/api/stream"],
                            stdout=subprocess.PIPE)
    try:
        assert curl.stdout.readline() == b"retry: 1000\n"
        publish(prise, 1)
        line = curl.stdout.readline()
        while b'"a.b"' not in line:
            assert line or curl.poll() is None
            line = curl.stdout.readline()
    finally:
        curl.kill()
        curl.wait()
        curl.stdout.close()


def test_a_reload_ends_no_stream(prise, daemon):
    with Stream(daemon.port("http")) as stream:
        daemon.signal(signal.SIGHUP)
        daemon.wait_ready()
        stream.wait_type("daemon.reloaded")


def test_a_stop_ends_streams(serve):
    """They are no exchange that a drain would wait for."""
    daemon = configured(serve, {"": 'drain = "1h"\n', "http": ""})
    with Stream(daemon.port("http")) as stream:
        stream.wait(lambda event, data: event == "status")
        assert daemon.stop() == 0
        stream.socket.settimeout(SECONDS)
        while stream.socket.recv(65536):
            pass


# Who may ask.

@pytest.mark.parametrize("host,status", [
    ("localhost", 200), ("127.0.0.1", 200), ("[::1]", 200), ("evil.example", 421),
    ("127.0.0.1.evil.example", 421), ("localhost.evil.example", 421)])
def test_hosts(daemon, host, status):
    for name in (host, f"{host}:{daemon.port('http')}"):
        assert ask(daemon, "/api/status", headers={"Host": name})[0] == status


@pytest.mark.parametrize("origin,status", [
    ("http://localhost", 200), ("http://evil.example", 403), ("null", 403)])
def test_origins(daemon, origin, status):
    assert ask(daemon, "/api/status",
               headers={"Host": "localhost", "Origin": origin})[0] == status


@pytest.fixture
def token(prise):
    place = prise.directory / "config" / "prise"
    place.mkdir(mode=0o700)
    path = place / "token"
    path.write_text(TOKEN + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def login(daemon, text, **more):
    return ask(daemon, "/api/login", "POST", text, {**FAR, **more})


def test_a_login(token, daemon):
    for path in ("/api/status", "/api/stream", "/metrics", "/api/log", "/api/nonsense"):
        status, headers, body = ask(daemon, path, headers=FAR)
        assert status == 401 and json.loads(body)["error"] == "login", path
        assert headers["WWW-Authenticate"].startswith("Bearer")
    assert ask(daemon, "/healthz", headers=FAR)[0] == 200
    assert ask(daemon, "/", headers=FAR)[0] == 200  # the page, which asks for the token
    assert login(daemon, TOKEN[:-1])[0] == 403
    status, headers, _ = login(daemon, TOKEN + "\n")
    assert status == 204
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    session = {**FAR, "Cookie": "other=1; " + cookie.split(";")[0]}
    assert ask(daemon, "/api/status", headers=session)[0] == 200
    assert ask(daemon, "/api/logout", "POST", headers=session)[0] == 204
    assert ask(daemon, "/api/status", headers=session)[0] == 401
    assert ask(daemon, "/api/status", headers={**FAR, "Cookie": "prise_session="})[0] == 401


def test_a_bearer(token, daemon):
    assert ask(daemon, "/metrics", headers={**FAR, "Authorization": f"Bearer {TOKEN}"})[0] == 200
    assert ask(daemon, "/metrics", headers={**FAR, "Authorization": "Bearer x"})[0] == 401


def test_tries_are_few(token, daemon):
    codes = [login(daemon, "wrong")[0] for _ in range(8)]
    assert codes[:5] == [403] * 5 and codes[5:] == [429] * 3
    assert login(daemon, TOKEN)[0] == 204  # the right one is let in whatever others tried


def test_no_token_is_no_login(daemon):
    assert login(daemon, "")[0] == 403
    assert login(daemon, "x" * 32)[0] == 403


def test_a_token_that_others_can_read_is_none(token, daemon):
    token.chmod(0o644)
    assert login(daemon, TOKEN)[0] == 403


def test_a_token_made_before_there_was_a_place_for_it(prise, serve):
    """The directory is made before the sandbox is, for a token that comes later."""
    daemon = serve("http")
    assert (prise.directory / "config" / "prise").is_dir()
    made = prise("key", "--token")
    assert login(daemon, made.out)[0] == 204


def test_a_stream_ends_with_what_let_it_in(token, prise, daemon):
    cookie = login(daemon, TOKEN)[1]["Set-Cookie"].split(";")[0]
    far = ["X-Forwarded-For: 203.0.113.7"]
    with contextlib.ExitStack() as stack:
        by_session, by_bearer, near = (
            stack.enter_context(Stream(daemon.port("http"), headers=headers)) for headers in (
                [*far, f"Cookie: {cookie}"], [*far, f"Authorization: Bearer {TOKEN}"], []))
        for stream in (by_session, by_bearer, near):
            stream.wait(lambda event, data: event == "status")
        assert ask(daemon, "/api/logout", "POST", headers={**FAR, "Cookie": cookie})[0] == 204
        while by_session.socket.recv(65536):
            pass
        by_bearer.wait(lambda event, data: event == "status")
        assert prise("key", "--token").code == 0
        while by_bearer.socket.recv(65536):
            pass
        near.wait(lambda event, data: event == "status")


def test_a_login_from_this_machine_too(token, serve):
    """Behind a proxy that says nothing of whom it speaks for, all come from this machine."""
    daemon = configured(serve, {"http": "login = always"})
    assert ask(daemon, "/api/status")[0] == 401
    assert ask(daemon, "/healthz")[0] == 200
    assert ask(daemon, "/api/status", headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200


def test_methods(daemon):
    assert ask(daemon, "/api/status", "POST", "x")[0] == 405
    assert ask(daemon, "/api/login")[0] == 405
    assert ask(daemon, "/api/status", "HEAD")[2] == b""
    assert ask(daemon, "/api/nonsense")[0] == 404


def test_the_page_is_kept_to_itself(daemon):
    status, headers, body = ask(daemon, "/", headers={"Accept-Encoding": "gzip"})
    assert status == 200 and headers["Content-Encoding"] == "gzip"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(daemon, "/", headers={"If-None-Match": headers["ETag"]})[0] == 304


def test_the_token_that_prise_makes(prise, serve):
    made = prise("key", "--token")
    assert made.code == 0, made
    daemon = serve("http")
    assert login(daemon, made.out)[0] == 204
    assert login(daemon, prise("key", "--token").out)[0] == 204  # no restart for a new one
    assert login(daemon, made.out)[0] == 403
