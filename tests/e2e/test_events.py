"""docs/events.md and the program hold together: what the source can emit is on the page and the
other way round (schema.code), and what runs really print keeps to it (schema.fault)."""

import json
import re
import signal
import socket

import pytest

import schema
from support import ROOT, SECONDS, free_port

# Made where nothing prints it: with --json `prise echo HOST TEXT` says echo.round instead.
UNPRINTED = {"echo.text"}

PAGE = schema.page()
CODE = schema.code()


def test_every_type_is_on_the_page():
    assert set(CODE.levels) - UNPRINTED == set(PAGE)


def test_every_level_is_on_the_page():
    assert {name: entry.levels for name, entry in PAGE.items()} == \
        {name: levels for name, levels in CODE.levels.items() if name not in UNPRINTED}


def test_every_field_of_the_source_is_on_the_page():
    missing = [f"{path.name}: {function} sets {field} ({kind})"
               for (path, function, field, kind), types in CODE.sets.items()
               if not any(PAGE[t].fields.get(field, ("",))[0] == kind for t in types if t in PAGE)]
    assert not missing


def test_every_field_of_the_page_is_in_the_source():
    unset = [f"{name}.{field} ({kind})" for name, entry in PAGE.items()
             for field, (kind, _) in entry.fields.items()
             if not any(f == field and k == kind and name in types
                        for (_, _, f, k), types in CODE.sets.items())]
    assert not unset


def test_every_error_is_on_the_page():
    text = (ROOT / "src/base/err.def").read_text(encoding="utf-8")
    rows = re.findall(r"^ERR\((\w+), (\d+),", text, re.M)
    assert schema.errors() == {"none": 0, **{name.lower(): int(code) for name, code in rows}}


def test_no_field_of_a_type_is_one_of_every_event():
    assert not [(name, field) for name, entry in PAGE.items() for field in entry.fields
                if field in schema.common()]


def without_twins(pairs):
    assert len(dict(pairs)) == len(pairs), f"a name twice: {pairs}"
    return dict(pairs)


def held(lines):
    """The types seen, once every line was held to the page."""
    types = set()
    for line in lines:
        event = json.loads(line, object_pairs_hook=without_twins)
        assert schema.fault(event, PAGE) is None, schema.fault(event, PAGE)
        types.add(event["type"])
    return types


@pytest.fixture
def daemon(serve):
    return serve("echo", "daytime", "time", "dialogue", "guess", "sum", "inbox", "role",
                 "discard", config="discard { max_per_source = 1 }\n", options=("--json", "-v"))


def raw(daemon, name, text):
    """Says `text` and reads to the end."""
    with daemon.connect(name) as s:
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        return s.makefile("rb").read()


def logged(daemon, kind, service):
    daemon.wait_log(rf'"type":"{kind}","host":"[^"]*","service":"{service}"')


def test_what_a_daemon_logs(daemon):
    raw(daemon, "dialogue", b"\xff\xc3\xa9\n")
    raw(daemon, "inbox", b"x")
    raw(daemon, "inbox", b"\x01" * 1000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto("é".encode() * 9000, ("127.0.0.1", daemon.port("inbox")))
    for pickle in (b"\x06\0\0\0](K\x07e.", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x02\0\0\0c\n",
                   b"\x05\0\0\0]", b"\x08\0\0\0]J\xff\xff\xff\xffa."):
        raw(daemon, "sum", pickle)
    with daemon.connect("role") as first:
        raw(daemon, "role", b"ROLE/1 name=a\nbeat 1\n")
        raw(daemon, "role", b"ROLE/1 name=a\nROLE/1 name=a\n")
        raw(daemon, "role", b"nonsense\n")
        first.sendall(b"ROLE/1 name=b\nbeat 1\n")
        logged(daemon, "role.refused", "role")
    with daemon.connect("discard"):
        logged(daemon, "conn.open", "discard")
        raw(daemon, "discard", b"")
        logged(daemon, "conn.refused", "discard")
    daemon.signal(signal.SIGHUP)
    daemon.wait_ready()
    daemon.config_path.write_text("discard { what = 1 }\n", encoding="utf-8")
    daemon.signal(signal.SIGHUP)
    daemon.wait_ready()
    assert daemon.stop() == 0
    assert held(daemon.out_path.read_text(encoding="utf-8").splitlines()) == {
        "conn.open", "conn.close", "conn.refused", "dialogue.message", "inbox.message", "sum.done",
        "sum.refused", "role.change", "role.refused", "daemon.reloaded", "daemon.reload_failed",
        "daemon.stopping"}


COMMANDS = {
    "daytime": (["daytime", "{daytime}"], {"daytime.answer"}),
    "time": (["time", "{time}"], {"time.answer"}),
    "sum": (["sum", "{sum}", "--", "3", "-1"], {"sum.answer"}),
    "sum refused": (["sum", "{sum}", "--", "-1"], {"error"}),
    "echo text": (["echo", "{echo}", "été"], {"echo.round"}),
    "echo": (["echo", "{echo}", "-c", "3", "-i", "1ms"], {"echo.round", "echo.summary"}),
    "echo udp": (["echo", "{echo}", "-u", "-c", "3", "-i", "1ms"], {"echo.round", "echo.summary"}),
    "guess": (["guess", "{guess}", "--max", "1000"], {"guess.try", "guess.won"}),
    "guess play": (["guess", "{guess}", "--play"], {"guess.text"}),
    "dialogue": (["dialogue", "{dialogue}"], {"dialogue.text", "dialogue.prompt"}),
    "connect": (["connect", "{echo}"], {"conn.open", "conn.data", "conn.close"}),
    "connect -z": (["connect", "-z", "127.0.0.1", "1", "2"], {"connect.test"}),
    "resolve": (["resolve"], {"resolve.host", "resolve.interface"}),
    "resolve name": (["resolve", "localhost"], {"resolve.address"}),
    "resolve address": (["resolve", "127.0.0.1"], {"resolve.arpa", "resolve.name"}),
    "services": (["services", "http", "trucbidule"], {"services.entry", "services.missing"}),
    "doctor": (["doctor"], {"doctor.check"}),
    "get": (["get", "--timing", "127.0.0.1:1"], {"get.exchange", "get.timing", "error"}),
    "error": (["daytime", "127.0.0.1:1"], {"error"}),
    "usage": (["daytime"], {"error"}),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_prints(prise, daemon, name):
    words, types = COMMANDS[name]
    places = {service: f"127.0.0.1:{port}" for service, port in daemon.ports.items()}
    command, *rest = (word.format_map(places) for word in words)
    done = prise(command, "--json", *rest, stdin="10\nbonjour\n")
    assert held(done.out.splitlines()) >= types


def test_what_role_prints(prise, daemon):
    client = prise.start("role", "--json", f"127.0.0.1:{daemon.port('role')}", "--name", "a")
    lines = [client.stdout.readline()]
    assert held(lines) == {"role.change"}
    client.send_signal(signal.SIGTERM)
    held(client.communicate()[0].splitlines())


def test_what_listen_prints(prise):
    port = free_port()
    server = prise.start("listen", "--json", f"127.0.0.1:{port}")
    lines = [server.stdout.readline()]
    prise("connect", f"127.0.0.1:{port}", stdin="bonjour\n")
    lines += server.communicate(timeout=SECONDS)[0].splitlines()
    assert held(lines) == {"listen.open", "conn.open", "conn.data", "conn.close"}


def test_a_field_too_many_is_a_fault():
    event = {"time": "t", "type": "conn.open", "peer": "p"}
    assert schema.fault(event, PAGE) is None
    assert schema.fault({**event, "colour": "red"}, PAGE)
    assert schema.fault({**event, "peer": 1}, PAGE)
    assert schema.fault({"time": "t", "type": "conn.open"}, PAGE)
    assert schema.fault({**event, "type": "conn.opened"}, PAGE)
