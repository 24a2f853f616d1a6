"""watch and collect over TLS, with keys: who is let in, who is not, and ports that speak otherwise
than the client."""

import os
import re
import signal
import subprocess

import pytest
from feeding import Feed, stored
from support import SANITIZER, SECONDS, Prise, free_port, wait_until


class Watcher:
    """The client's machine: a home, a key and a tree of its own."""

    def __init__(self, directory):
        directory.mkdir()
        self.prise = Prise(directory)
        self.tree = directory / "tree"
        self.tree.mkdir()
        (self.tree / "file").write_bytes(b"x")
        self.key = re.search(r"SHA256:\S+", self.prise("key").out).group()
        self.talk = directory / "talk"
        self.process = None

    def start(self, port, *options):
        with open(self.talk, "wb") as err:
            self.process = self.prise.start("watch", self.tree, "--to", f"127.0.0.1:{port}",
                                            *options, stdin=subprocess.DEVNULL, stderr=err)

    def said(self):
        return self.talk.read_bytes().decode()

    def wait_said(self, words):
        wait_until(lambda: words in self.said(), f"{words!r}; it said: {self.said()}")

    def wait_end(self):
        return self.process.wait(SECONDS)

    def known_hosts(self):
        return self.prise.directory / "config" / "prise" / "known_hosts"


@pytest.fixture
def watcher(tmp_path):
    one = Watcher(tmp_path / "watched")
    yield one
    one.prise.end()
    assert not one.talk.exists() or not SANITIZER.search(one.talk.read_bytes()), one.said()


@pytest.fixture
def collector(prise, serve):
    """collector("FINGERPRINT collect") is a daemon that lets those in."""
    def start(*lines, port=None):
        keys = prise.directory / "authorized"
        keys.write_text("".join(line + "\n" for line in lines))
        port = port or free_port()
        daemon = serve(config=f'collect {{ listen = "127.0.0.1:{port}" tls = yes '
                              f'authorized_keys = "{keys}" }}\n')
        daemon.ports["collect"] = port
        return daemon
    return start


def test_a_key_that_is_taken_back(prise, watcher, collector):
    """By a reload: its connection ends, and whoever else is connected stays."""
    other = Watcher(watcher.prise.directory.parent / "other")
    daemon = collector(f"{watcher.key} collect", f"{other.key} collect")
    try:
        for one in (watcher, other):
            one.start(daemon.port("collect"), "--tls")
            one.wait_said("connected to")
        (prise.directory / "authorized").write_text(f"{other.key} collect\n")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log(r"daemon\.reloaded")
        daemon.wait_log(rf"collect\.leave .*{re.escape(watcher.key)}")
        watcher.wait_said("does not let the key of this machine in")
        (other.tree / "later").write_bytes(b"yy")
        wait_until(lambda: "later" in str(stored(prise)), "the change")
        assert other.said().count("connected to") == 1, other.said()
    finally:
        other.prise.end()


def test_accepted(prise, watcher, collector):
    """Its id is its key; what it says afterwards too arrives; and the server is remembered."""
    daemon = collector(f"{watcher.key} collect a watched machine")
    watcher.start(daemon.port("collect"), "--tls")
    watcher.wait_said("connected to")
    (watcher.tree / "later").write_bytes(b"yy")
    wait_until(lambda: "later" in str(stored(prise)), "the change")
    events = stored(prise)
    assert {e["client"].rpartition("/")[0] for e in events} == {watcher.key}
    server = prise("key").out.strip()
    assert f"127.0.0.1:{daemon.port('collect')} {server}" in watcher.known_hosts().read_text()
    daemon.wait_log(rf"collect\.join .*client={re.escape(watcher.key)}/")


@pytest.mark.parametrize("lines,why", [
    (["SHA256:" + 43 * "A" + "= collect another"], "key_unknown"),
    ([], "key_unknown"),
    (["{key} role,echo the wrong right"], "key_service"),
], ids=["another key", "no key at all", "without the right"])
def test_not_let_in(prise, watcher, collector, lines, why):
    daemon = collector(*(line.format(key=watcher.key) for line in lines))
    watcher.start(daemon.port("collect"), "--tls")
    assert watcher.wait_end() == 7
    assert "does not let the key of this machine in" in watcher.said()
    daemon.wait_log(rf"tls\.refused peer=\S+ fingerprint={re.escape(watcher.key)} why={why}")
    assert not stored(prise)


def test_let_in_later(prise, watcher, collector):
    """The list is read again at SIGHUP; what the client then says begins where it was."""
    daemon = collector(f"{watcher.key} role")
    watcher.start(daemon.port("collect"), "--tls")
    assert watcher.wait_end() == 7
    (prise.directory / "authorized").write_text(f"{watcher.key} role,collect\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log(r"daemon\.reloaded")
    watcher.start(daemon.port("collect"), "--tls")
    wait_until(lambda: "file" in str(stored(prise)), "the tree")


def test_the_servers_key_has_changed(prise, watcher, collector):
    port = free_port()
    daemon = collector(f"{watcher.key} collect", port=port)
    watcher.start(port, "--tls")
    wait_until(lambda: "file" in str(stored(prise)), "the tree")
    watcher.process.terminate()
    watcher.wait_end()
    assert daemon.stop() == 0
    (prise.directory / "config" / "prise" / "key.pem").unlink()
    (watcher.tree / "later").write_bytes(b"yy")
    daemon = collector(f"{watcher.key} collect", port=port)
    watcher.start(port, "--tls")
    assert watcher.wait_end() == 7
    assert f"the key of 127.0.0.1:{port} has changed" in watcher.said()
    assert "later" not in str(stored(prise))
    # Whoever then takes the new one loses nothing.
    watcher.known_hosts().unlink()
    watcher.start(port, "--tls")
    wait_until(lambda: "later" in str(stored(prise)), "the change")
    assert len({e["client"] for e in stored(prise)}) == 1


def test_a_pinned_key(prise, watcher, collector):
    daemon = collector(f"{watcher.key} collect")
    watcher.start(daemon.port("collect"), "--tls", "--pin", watcher.key)
    assert watcher.wait_end() == 7 and "is not the one that --pin names" in watcher.said()
    watcher.start(daemon.port("collect"), "--tls", "--pin", prise("key").out.strip())
    wait_until(lambda: "file" in str(stored(prise)), "the tree")


def test_a_plain_client_on_a_port_of_tls(prise, watcher, collector):
    """It is told apart from a server that is away, goes on trying, and nothing of it is stored."""
    daemon = collector(f"{watcher.key} collect")
    watcher.start(daemon.port("collect"))
    watcher.wait_said("changes wait in the spool")
    assert "try:" in watcher.said() and "nobody listens" not in watcher.said()
    assert watcher.process.poll() is None
    assert not stored(prise)


def test_a_client_with_tls_on_a_plain_port(prise, watcher, serve):
    daemon = serve("collect")
    watcher.start(daemon.port("collect"), "--tls", "-t", "500ms")
    watcher.wait_said("changes wait in the spool")
    assert "said nothing in TLS" in watcher.said() and "without --tls" in watcher.said()
    assert not stored(prise)
    with Feed(daemon.port("collect"), os.urandom(16)) as feed:  # it is none the worse for it
        assert feed.newest == 0
