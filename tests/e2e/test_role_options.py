"""The options of prise role: hooks, priority, what becomes of the command when the server is lost,
and the time that it has for its end."""

import os
import signal
import socket
import subprocess
import threading

import pytest
from peers import says
from support import SECONDS, wait_until
from talk import read_until
from talking import configured


def role(prise, address, *options):
    return prise.start("role", address, *options, stdin=subprocess.DEVNULL)


def start(serve, lease):
    """A server and its address."""
    server = configured(serve, {"role": f'lease = "{lease}"'})
    return server, f"127.0.0.1:{server.port('role')}"


def promoted(prise, serve, *hooks):
    """A client that was secondaire at epoch 1 and is principal at epoch 2."""
    _, address = start(serve, "60s")
    first = role(prise, address)
    read_until(first.stdout, b"principal epoch=1\n")
    client = role(prise, address, *hooks)
    read_until(client.stdout, b"secondaire epoch=1\n")
    first.terminate()
    read_until(client.stdout, b"principal epoch=2\n")
    return client


def wait_written(path, text):
    wait_until(lambda: path.exists() and path.read_text("ascii") == text, text)


def test_a_hook_runs_once_at_each_change(prise, serve):
    path = prise.directory / "hooks"
    client = promoted(prise, serve, "--on-principal", f"echo principal $PRISE_EPOCH >> {path}",
                      "--on-secondaire", f"echo secondaire $PRISE_EPOCH >> {path}")
    wait_written(path, "secondaire 1\nprincipal 2\n")
    client.terminate()
    client.communicate(timeout=SECONDS)  # the hooks hold its output, too
    assert path.read_text("ascii") == "secondaire 1\nprincipal 2\n"


def until(path):
    """What a hook does to wait for a file."""
    return f"while [ ! -e {path} ]; do sleep 0.05; done"


def behind_a_hook(prise, serve):
    """A client that is principal while its --on-secondaire waits for the file `go`, the file that
    its hooks write to, and `go`."""
    path, go = prise.directory / "hooks", prise.directory / "go"
    client = promoted(prise, serve, "--on-principal", f"echo principal >> {path}",
                      "--on-secondaire", f"{until(go)}; echo secondaire >> {path}")
    return client, path, go


def test_hooks_follow_one_another(prise, serve):
    """In the order of the changes, though one takes its time."""
    _, path, go = behind_a_hook(prise, serve)
    assert not path.exists()
    go.touch()
    wait_written(path, "secondaire\nprincipal\n")


def test_a_reign_that_is_over_is_not_begun(prise, serve):
    """Whoever gives the place up does not take the address any more."""
    client, path, go = behind_a_hook(prise, serve)
    client.terminate()
    assert client.wait(SECONDS) == 128 + signal.SIGTERM
    go.touch()
    client.communicate(timeout=SECONDS)  # the hooks hold its output, too
    assert path.read_text("ascii") == "secondaire\n"


def test_a_reign_that_ends_while_its_hook_waits(prise, peer):
    """The server says so: another is principal by now."""
    path, go = prise.directory / "hooks", prise.directory / "go"
    heard = threading.Event()

    def talk(connection):
        says(b"principal\n", then=lambda _: heard.wait(SECONDS))(connection)
        says(b"secondaire\nprincipal\nsecondaire\n")(connection)

    client = role(prise, peer(talk).address, "--on-principal",
                  f"{until(go)}; echo principal >> {path}")
    read_until(client.stdout, b"principal\n")
    heard.set()
    read_until(client.stdout, b"secondaire\nprincipal\nsecondaire\n")
    go.touch()
    client.terminate()
    client.communicate(timeout=SECONDS)
    assert path.read_text("ascii") == "principal\n"


def test_a_signal_ends_the_wait_for_hooks(prise, peer):
    """The server is gone for good, and a hook hangs before one that waits."""
    path, words = prise.directory / "hooks", threading.Event()

    def talk(connection):
        says(b"principal\n", then=lambda _: words.wait(SECONDS))(connection)
        says(b"secondaire\n", then=lambda _: None)(connection)

    server = peer(talk)
    client = role(prise, server.address, "-t", "1s", "--on-principal", "exec sleep 15 >&- 2>&-",
                  "--on-secondaire", f"touch {path}")
    read_until(client.stdout, b"principal\n")
    words.set()
    read_until(client.stdout, b"secondaire\n")
    server.end()
    said = b""
    while said.count(b"(connection refused)") < 2:  # when it tries again, and when it is enough
        said += read_until(client.stderr, b"(connection refused)")
    client.terminate()
    assert client.wait(SECONDS) == 4
    assert not path.exists()


def test_a_hook_that_does_not_end_is_not_waited_for(prise, serve):
    path = prise.directory / "hook"
    client = promoted(prise, serve, "--on-principal", f"touch {path}",
                      "--on-secondaire", "exec sleep 15 >&- 2>&-")
    assert not path.exists()
    wait_until(path.exists, "the hook behind it")
    client.terminate()
    assert "has been running for 10 seconds" in client.communicate(timeout=SECONDS)[1].decode()


def test_hooks_that_wait_are_bounded(prise, peer):
    """Of forty changes at once, which a server could send without end, the newest is followed."""
    path, go = prise.directory / "hooks", prise.directory / "go"
    heard = threading.Event()

    def talk(connection):
        says(b"principal\n", then=lambda _: heard.wait(SECONDS))(connection)
        says(b"secondaire\n" + b"principal\nsecondaire\n" * 19)(connection)

    client = role(prise, peer(talk).address, "--on-principal",
                  f"{until(go)}; echo principal >> {path}",
                  "--on-secondaire", f"echo secondaire >> {path}")
    read_until(client.stdout, b"principal\n")
    heard.set()
    read_until(client.stdout, b"secondaire\n" + b"principal\nsecondaire\n" * 19)
    go.touch()
    wait_written(path, "principal\nsecondaire\n")
    client.terminate()
    said = client.communicate(timeout=SECONDS)[1].decode()
    assert said.count("the hooks are slower than the changes") == 1, said


def test_a_place_is_left_when_nobody_reads_the_words(prise, serve):
    """But not by one who works, whatever becomes of its words."""
    _, address = start(serve, "60s")
    first = role(prise, address)
    read_until(first.stdout, b"principal epoch=1\n")
    hook = prise.directory / "hook"
    unread = role(prise, address)
    read_until(unread.stdout, b"secondaire epoch=1\n")
    works = role(prise, address, "--on-principal", f"touch {hook}")
    read_until(works.stdout, b"secondaire epoch=1\n")
    unread.stdout.close()
    works.stdout.close()
    first.terminate()
    assert unread.wait(SECONDS) == 0
    wait_until(hook.exists, "the next one's turn")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([prise.path, "role", address], stdin=subprocess.DEVNULL, stdout=full,
                              stderr=subprocess.PIPE, timeout=SECONDS, check=False)
    assert done.returncode == 9, done


def test_a_vacancy_goes_to_the_highest_priority(prise, serve):
    """Not to the oldest, who is before it in line; and nobody is displaced."""
    _, address = start(serve, "60s")
    clients = {}
    for name, priority in (("first", "0"), ("oldest", "1"), ("highest", "2")):
        clients[name] = role(prise, address, "--name", name, "--priority", priority)
        word = b"principal" if name == "first" else b"secondaire"
        read_until(clients[name].stdout, word + b" epoch=1\n")
    clients["first"].terminate()
    read_until(clients["highest"].stdout, b"principal epoch=2\n")
    clients["highest"].terminate()
    read_until(clients["oldest"].stdout, b"principal epoch=3\n")


def test_the_command_has_a_quarter_of_the_lease_for_its_end(prise, serve):
    """What it does at SIGTERM takes a thirtieth of it."""
    _, address = start(serve, "60s")
    work = 'trap "sleep 0.5; echo ended well; exit" TERM; echo up; while :; do sleep 0.01; done'
    client = role(prise, address, "--exec", work)
    read_until(client.stdout, b"up\n")
    client.terminate()
    read_until(client.stdout, b"ended well\n")
    assert client.wait(SECONDS) == 128 + signal.SIGTERM


class Lost:
    """A role server, and the ways in which it is lost: killed, stopped, and one of those that know
    words alone hangs up."""

    def __init__(self, way, serve, peer):
        self.way, self.over, self.again = way, threading.Event(), threading.Event()
        if way == "plain":
            self.address = peer(self.talk).address
        else:
            self.server, self.address = start(serve, "900ms")

    def talk(self, connection):
        if self.over.is_set():
            self.again.set()
        else:
            says(b"principal", then=lambda _: self.over.wait(SECONDS))(connection)

    def lose(self):
        self.over.set()
        if self.way == "killed":
            self.server.process.kill()
            self.server.process.wait()
        elif self.way == "stopped":
            self.server.signal(signal.SIGSTOP)

    def wait_tried(self):
        """Until the client has come again. A stopped server was silent for longer before
        it was given up."""
        if self.way == "plain":
            assert self.again.wait(SECONDS)
        elif self.way == "killed":
            self.server.process.wait()
            with socket.create_server(("127.0.0.1", self.server.port("role"))) as listener:
                listener.settimeout(SECONDS)
                listener.accept()[0].close()

    def end(self):
        if self.way == "stopped":
            self.server.signal(signal.SIGCONT)


@pytest.fixture(params=["killed", "stopped", "plain"])
def lost(request, serve, peer):
    made = Lost(request.param, serve, peer)
    yield made
    made.end()


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def lose(prise, lost, choice):
    """Runs a command until the server is lost. Returns the client and the command's id."""
    client = role(prise, lost.address, "--if-server-lost", choice, "--exec",
                  "echo up $$.; exec sleep 1000")
    said = read_until(client.stdout, b".\n")
    lost.lose()
    return client, int(said.split(b"up ")[1].split(b".")[0])


def test_without_its_server_the_command_is_dropped(prise, lost):
    client, pid = lose(prise, lost, "drop")
    said = read_until(client.stderr, b"trying again")
    wait_until(lambda: not runs(pid), "the command to end")
    client.terminate()
    assert client.wait(SECONDS) == 128 + signal.SIGTERM
    assert b"without a lease" not in said + client.stderr.read()


def test_without_its_server_the_command_is_kept(prise, lost):
    """Past the end of its lease, when it has one, and until we end."""
    client, pid = lose(prise, lost, "keep")
    said = read_until(client.stderr, b"trying again")
    assert b"the command goes on without a lease" in said
    lost.wait_tried()
    assert runs(pid)
    client.terminate()
    assert client.wait(SECONDS) == 128 + signal.SIGTERM
    assert not runs(pid)
