"""prise role --exec against a real server, on its bad days: at no moment do two commands run."""

import os
import re
import signal
import subprocess
import time

import pytest
from peers import says
from reigns import Reigns
from support import SECONDS, wait_until
from talk import read_until
from talking import configured, expect

LEASE = 'lease = "2s"'
LEASE_S = 2


@pytest.fixture
def server(serve):
    return configured(serve, {"role": LEASE})


@pytest.fixture
def reigns(prise, server):
    made = Reigns(prise)
    made.address = f"127.0.0.1:{server.port('role')}"
    return made


def two(reigns):
    """a is principal and works; b waits."""
    a = reigns.client("a", reigns.address)
    reigns.wait_for("a")
    return a, reigns.client("b", reigns.address)


def test_a_killed_principal_is_followed_once_its_command_has_stopped(reigns, server):
    """kill -9 of prise itself, while its command runs on and ignores SIGTERM."""
    a, _ = two(reigns)
    server.wait_log(r"name=b")
    killed = time.time()
    a.kill()
    reigns.wait_for("b")
    assert reigns.check() == ["a", "b"]
    assert time.time() - killed < LEASE_S + 5


def test_a_principal_that_leaves_gives_its_place_up_at_once(reigns, server):
    a, _ = two(reigns)
    server.wait_log(r"name=b")
    a.send_signal(signal.SIGTERM)
    reigns.wait_for("b")
    assert a.wait(20) == 128 + signal.SIGTERM
    assert reigns.check() == ["a", "b"]


def test_a_suspended_principal_is_followed_once_its_command_has_stopped(reigns, server):
    """Its supervisor keeps the deadline while prise itself is stopped; awake again it is second."""
    a, _ = two(reigns)
    server.wait_log(r"name=b")
    a.send_signal(signal.SIGSTOP)
    since = reigns.wait_for("b")
    a.send_signal(signal.SIGCONT)
    reigns.wait_for("b", since + 1.5 * LEASE_S)
    assert reigns.check() == ["a", "b"]
    assert a.poll() is None


@pytest.mark.parametrize("when", ["killed", "stopped"])
def test_a_server_that_comes_back_within_a_lease(serve, reigns, server, when):
    """It appoints nobody for a lease; then one goes on, with a greater epoch."""
    two(reigns)
    server.wait_log(r"name=b")
    text = server.config_path.read_text(encoding="utf-8")
    if when == "killed":
        server.process.kill()
        server.process.wait()
    else:
        server.stop()
    back = time.time()
    serve(config=text)
    with wait_until(lambda: connect(server), "the server") as plain:
        expect(plain, "secondaire")  # plain ones wait too
    wait_until(lambda: [line for line in reigns.lines() if line[2] > back + 2 * LEASE_S],
               "somebody to work again")
    reigns.check()
    epochs = [line[1] for line in reigns.lines()]
    assert epochs[-1] > epochs[0]
    first = next(line[2] for line in reigns.lines() if line[1] == epochs[-1])
    assert first - back > LEASE_S - 0.2, "the lease on the record was not waited for"


def connect(server):
    try:
        return server.connect("role")
    except ConnectionRefusedError:
        return None


def test_kill_after_kill(reigns, server):
    """Five principals in a row are killed; every successor waits for its predecessor's command."""
    clients = {}
    for turn in range(6):
        clients[f"c{turn}"] = reigns.client(f"c{turn}", reigns.address)
        server.wait_log(rf"name=c{turn}")
    for turn in range(5):
        reigns.wait_for(f"c{turn}")
        clients[f"c{turn}"].kill()
    reigns.wait_for("c5")
    assert reigns.check() == [f"c{turn}" for turn in range(6)]


def test_a_command_that_ends_gives_the_place_up(prise, server):
    address = f"127.0.0.1:{server.port('role')}"
    done = prise("role", address, "--name", "short", "--exec", "exit 7")
    assert done.code == 7 and re.search(r"^principal epoch=1$", done.out, re.M)
    done = prise("role", address, "--name", "next", "--exec", "echo $PRISE_EPOCH")
    assert done.code == 0 and "\n2\n" in "\n" + done.out


def test_a_command_that_was_stopped_is_not_started_in_a_dying_lease(prise, server):
    """It ends by SIGTERM at once, and the rest of the lease is no time to begin anew."""
    path = prise.directory / "starts"
    work = f"echo start >> {path}; exec sleep 1000"
    client = prise.start("role", f"127.0.0.1:{server.port('role')}", "--exec", work,
                         stdin=subprocess.DEVNULL)
    wait_until(path.exists, "the command")
    server.signal(signal.SIGSTOP)
    try:
        read_until(client.stderr, b"the lease ran out")
        assert path.read_text("ascii") == "start\n"
    finally:
        server.signal(signal.SIGCONT)
    wait_until(lambda: path.read_text("ascii") == "start\nstart\n", "the next reign's command")


def test_with_json_the_command_speaks_on_stderr(prise, server):
    done = prise("role", f"127.0.0.1:{server.port('role')}", "--json", "--exec", "echo hi")
    assert done.code == 0 and done.events and "hi" in done.err.splitlines()
    done = prise("role", f"127.0.0.1:{server.port('role')}", "--exec", "echo hi")
    assert "hi" in done.out.splitlines()


def test_with_json_the_hooks_speak_on_stderr(prise, server):
    hook = ["--on-principal", "echo hook says hi", "--exec", "true"]
    done = prise("role", f"127.0.0.1:{server.port('role')}", "--json", *hook)
    assert done.code == 0 and done.events and "hook says hi" in done.err.splitlines()
    done = prise("role", f"127.0.0.1:{server.port('role')}", *hook)
    assert "hook says hi" in done.out.splitlines()


def test_a_server_that_goes(prise, server):
    client = prise.start("role", f"127.0.0.1:{server.port('role')}")
    assert client.stdout.readline() == b"principal epoch=1\n"
    server.process.kill()
    server.process.wait()
    said = read_until(client.stderr, b"trying again")
    assert b"has gone" in said and b"another kind of server" not in said


def test_two_words_in_one_read(prise, peer):
    """Each change is printed, also of a server that only knows words."""
    client = prise.start("role", peer(says(b"secondaireprincipal")).address)
    assert client.stdout.readline() == b"secondaire\n"
    assert client.stdout.readline() == b"principal\n"
    client.terminate()
    assert client.wait(SECONDS) == 128 + signal.SIGTERM


def test_the_supervisor_is_killed(prise, server):
    """What cannot be watched over is not run, and the words say so."""
    address = f"127.0.0.1:{server.port('role')}"
    first = prise.start("role", address, "--name", "first")
    first.stdout.readline()
    client = prise.start("role", address, "--name", "next", "--exec", "sleep 1000")
    assert client.stdout.readline().startswith(b"secondaire")
    children = f"/proc/{client.pid}/task/{client.pid}/children"
    with open(children, encoding="ascii") as f:
        os.kill(int(f.read().split()[0]), signal.SIGKILL)
    first.send_signal(signal.SIGTERM)
    said = read_until(client.stderr, b"try:")
    assert b"the process that watches over the command has died" in said
    assert client.wait(SECONDS) == 9


def test_what_a_server_refuses_with_is_shown_not_obeyed(prise, peer):
    done = prise("role", peer(says(b"refused: \033[31mno\n")).address)
    assert done.code == 8 and "the server refuses:" in done.err
    assert "\033" not in done.err and "\\x1b[31mno" in done.err
