"""The control socket: who may use it, what is published and followed, and readers that sleep."""

import os
import signal
import socket
import stat
import subprocess

import pytest

from streams import SANITIZED, Control, Stream, control_path, resident_bytes
from support import SECONDS, free_port, wait_until
from webs import NO_PROXIES, Web, fixed


@pytest.fixture
def daemon(serve):
    return serve("echo", "http", "role", options=("--json",))


def test_the_socket_is_its_owners(prise, daemon):
    mode = os.stat(control_path(prise)).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(control_path(prise))).st_mode) == 0o700


def test_the_state_directory_without_a_runtime_directory(prise, serve):
    place = prise.environment.pop("XDG_RUNTIME_DIR")
    serve("echo")
    assert os.path.exists(f"{prise.environment['XDG_STATE_HOME']}/prise/ctl")
    assert not os.path.exists(f"{place}/prise/ctl")


def test_published_is_followed_and_logged(prise, daemon):
    with Control(prise) as reader, Control(prise) as writer:
        newest = reader.follow()
        writer.publish("scan.port", host="elsewhere", service="scan", port=22, open=True)
        line = reader.wait(lambda e: e["type"] == "scan.port")
        assert line == {"seq": line["seq"], "time": "2026-11-21T20:00:00.000000Z",
                        "type": "scan.port", "host": "elsewhere", "service": "scan",
                        "port": 22, "open": True}
        assert line["seq"] > newest and list(line)[0] == "seq"
    daemon.wait_log('"type": ?"scan.port"')


def test_published_reads_like_the_daemons_own_in_the_log(prise, serve):
    daemon = serve("echo")
    with Control(prise) as writer:
        writer.publish("scan.port", service="scan", port=22, text="a b")
    daemon.wait_log(r'\d\d:\d\d:\d\d scan scan.port port=22 text="a b"\n')


def test_numbers_have_no_hole(prise, daemon):
    with Control(prise) as reader, Control(prise) as writer:
        newest = reader.follow()
        for i in range(500):
            writer.publish("a.b", i=i)
        lines = [reader.line() for _ in range(500)]
        assert [line["seq"] for line in lines] == list(range(newest + 1, newest + 501))
        assert [line["i"] for line in lines] == list(range(500))


def test_what_was_missed_is_told_again(prise, daemon):
    with Control(prise) as writer:
        for i in range(10):
            writer.publish("a.b", i=i)
        with Control(prise) as reader:
            reader.follow(since=0)
            first = reader.wait(lambda e: e.get("i") == 0)
        with Control(prise) as reader:
            reader.follow(since=first["seq"])
            assert reader.line()["i"] == 1


def test_a_gap_where_too_much_was_missed(prise, daemon):
    with Control(prise) as writer, Control(prise) as watcher:
        watcher.follow()
        for i in range(5000):
            writer.publish("a.b", i=i)
        watcher.wait(lambda e: e.get("i") == 4999)
        with Control(prise) as reader:
            newest = reader.follow(since=0)
            gap = reader.line()
            assert gap["type"] == "gap" and gap["from"] == 1
            assert gap["dropped"] == gap["to"] == newest - 4096
            assert reader.line()["seq"] == gap["to"] + 1


@pytest.mark.parametrize("line,why", [
    (b"status\n", "not an object"), (b"{}\n", "type and a time"), (b'{"ask":"x"}\n', "only events"),
    (b'{"type":"a","time":"2026-11-21T20:00:00Z","x":"\x1b"}\n', "not sound"),
    (b'{"type":"a","time":"now"}\n', "not a time"), (b"x" * 20000, "too long")])
def test_what_is_refused(prise, daemon, line, why):
    with Control(prise) as c:
        c.send(line)
        assert why in c.line()["refused"]
        assert c.line() is None


def test_a_reader_that_sleeps_costs_no_memory(prise, daemon):
    sleepers = [Control(prise) for _ in range(20)]
    for sleeper in sleepers:
        sleeper.follow()
    with Control(prise) as writer, Control(prise) as watcher:
        watcher.follow()
        grown = []
        for turn in range(4):
            for i in range(4000):
                writer.publish("a.b", turn=turn, i=i, text="x" * 300)
            watcher.wait(lambda e, t=turn: e.get("i") == 3999 and e["turn"] == t)
            grown.append(resident_bytes(daemon.pid))
        # The ring fills, and each connection's queue; then it is enough.
        assert SANITIZED or grown[-1] - grown[-2] < 2 << 20, grown
    sleeper = sleepers[0]
    gap = sleeper.wait(lambda e: e["type"] == "gap")
    assert gap["dropped"] > 4000
    assert sleeper.line()["seq"] == gap["to"] + 1
    for sleeper in sleepers:
        sleeper.close()


def test_too_many_readers(prise, daemon):
    readers = [Control(prise) for _ in range(64)]
    for reader in readers:
        reader.follow()
    with Control(prise) as one_more:
        one_more.send({"ask": "events"})
        assert "too many" in one_more.line()["refused"]
    readers.pop().close()

    def place():
        with Control(prise) as again:
            again.send({"ask": "events"})
            return "answer" in again.line()

    wait_until(place, "a place")
    for reader in readers:
        reader.close()


def test_a_dead_daemons_socket_is_replaced(prise, serve):
    first = serve("echo")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    assert os.path.exists(control_path(prise))
    second = serve("echo")
    with Control(prise) as c:
        c.follow()
    assert "control.failed" not in second.log()


def test_a_second_daemon_is_told(prise, serve):
    first = serve("echo")
    second = serve("daytime", options=("--json",))
    second.wait_log(f'"type":"control.failed".*"why":"in_use".*"pid":{first.pid}')
    assert second.stop() == 0
    with Control(prise) as c:  # the first one's, still
        c.follow()


def test_it_goes_with_the_daemon(prise, serve):
    daemon = serve("echo")
    with Control(prise) as c:
        c.follow()
        assert daemon.stop() == 0
        assert c.wait(lambda e: e["type"] == "daemon.stopping")
        assert c.line() is None
    assert not os.path.exists(control_path(prise))


def test_commands_publish(prise, daemon):
    with Control(prise) as reader:
        reader.follow()
        done = prise("echo", f"127.0.0.1:{daemon.port('echo')}", "-c", "3", "-i", "1ms")
        assert done.code == 0
        assert reader.wait(lambda e: e["type"] == "echo.round")["service"] == "echo"
        assert reader.wait(lambda e: e["type"] == "echo.summary")["back"] == 3


def test_commands_publish_what_they_print(prise, daemon):
    with Control(prise) as reader:
        reader.follow()
        done = prise("echo", "--json", f"127.0.0.1:{daemon.port('echo')}", "bonjour")
        event = reader.wait(lambda e: e["type"] == "echo.round")
        event.pop("seq")
        assert event == done.events[0]


def published(prise, *command, **more):
    """How `command` ended, and the types of what it published."""
    seen = []
    with Control(prise) as reader:
        reader.follow()
        done = prise(*command, **more)
        with Control(prise) as writer:
            writer.publish("a.b")
        reader.wait(lambda e: seen.append(e) or e["type"] == "a.b")
    return done, [event for event in seen if event["type"] != "a.b"
                  and (event.get("service") == command[0] or event.get("command") == command[0]
                       or event["type"].startswith(command[0]))]


def test_fetches_are_published(prise, daemon):
    with Web(fixed(b"192.0.2.7")) as web:
        done, events = published(prise, "get", web.url + "/x", env=NO_PROXIES)
        assert done.code == 0 and done.out == "192.0.2.7"
        assert [e["type"] for e in events] == ["get.exchange"]
        assert events[0]["url"] == web.url + "/x" and events[0]["status"] == 200
        assert "text" not in events[0]
        done, events = published(prise, "ip", "--json", "--via", web.url, env=NO_PROXIES)
        assert [e["type"] for e in events] == ["ip.answer", "ip.result"]
        assert [{**e, "seq": 0} for e in events] == [{**e, "seq": 0} for e in done.events]
        assert published(prise, "get", web.url, "--no-publish", env=NO_PROXIES)[1] == []


def test_look_ups_are_published(prise, daemon):
    done, events = published(prise, "resolve", "localhost")
    assert "127.0.0.1" in done.out and "127.0.0.1" in [e["address"] for e in events]
    assert {e["type"] for e in events} == {"resolve.address"}
    done, events = published(prise, "connect", "-z", "127.0.0.1", daemon.port("echo"))
    assert done.code == 0 and [e["type"] for e in events] == ["connect.test"]


def test_errors_are_published(prise, daemon):
    port = free_port()
    done, events = published(prise, "daytime", f"127.0.0.1:{port}")
    assert done.code == 4 and done.out == ""
    assert [(e["type"], e["code"], e["where"]) for e in events] == \
        [("error", 4, f"127.0.0.1:{port}")]
    assert published(prise, "daytime", "--nonsense")[1] == []
    assert published(prise, "daytime", f"127.0.0.1:{port}", "--no-publish")[1] == []


def test_no_publish(prise, daemon):
    seen = []
    with Control(prise) as reader:
        reader.follow()
        prise("echo", f"127.0.0.1:{daemon.port('echo')}", "--no-publish", "-c", "1")
        with Control(prise) as writer:
            writer.publish("a.b")
        reader.wait(lambda e: seen.append(e["type"]) or e["type"] == "a.b")
    assert "echo.summary" not in seen and "echo.round" not in seen


def test_a_command_never_waits_for_the_socket(prise):
    """Somebody listens there who reads nothing and accepts nobody."""
    os.makedirs(os.path.dirname(control_path(prise)), mode=0o700)
    with socket.socket(socket.AF_UNIX) as deaf, socket.create_server(("127.0.0.1", 0)) as server:
        deaf.bind(control_path(prise))
        deaf.listen(0)
        blockers = []
        for _ in range(3):  # its queue is full
            s = socket.socket(socket.AF_UNIX)
            s.setblocking(False)
            s.connect_ex(control_path(prise))
            blockers.append(s)
        process = prise.start("connect", f"127.0.0.1:{server.getsockname()[1]}",
                              stdin=subprocess.DEVNULL)
        peer, _ = server.accept()
        peer.close()
        assert process.wait(SECONDS) == 0
        for s in blockers:
            s.close()


def test_a_role_change_is_on_the_stream_within_a_second(prise, daemon):
    with Stream(daemon.port("http")) as stream:
        client = prise.start("role", f"127.0.0.1:{daemon.port('role')}", "--name", "a")
        stream.wait_type("role.change")
        _, role = stream.wait(lambda event, data: event == "role" and data["members"]
                              and data["members"][0]["role"] == "principal"
                              and data["members"][0]["name"])  # which is read a little later
        assert role["members"][0]["name"] == "a"
        client.send_signal(signal.SIGTERM)
        client.wait(SECONDS)
        stream.wait(lambda event, data: event == "role" and not data["members"])
