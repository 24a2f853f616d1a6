"""What a daemon that has confined itself (Landlock) may still do, and what no more."""

import ctypes
import pathlib
import re
import signal
import socket

import pytest
from support import SECONDS, wait_until
from talking import configured, expect, talk

LANDLOCK_CREATE_RULESET = 444
LANDLOCK = ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1) > 0

needs_landlock = pytest.mark.skipif(not LANDLOCK, reason="no Landlock in this kernel")


@needs_landlock
@pytest.mark.parametrize("sandbox", ["yes", "no"])
def test_sandbox(serve, prise, sandbox):
    """Confined, it still keeps its record, and no thread of it can get more rights."""
    daemon = configured(serve, {"": f"sandbox = {sandbox}\nloops = 2", "role": "", "dialogue": ""})
    for task in pathlib.Path(f"/proc/{daemon.pid}/task").iterdir():
        assert f"NoNewPrivs:\t{int(sandbox == 'yes')}\n" in (task / "status").read_text("ascii")
    with daemon.connect("role") as s:
        expect(s, "principal")
        record = prise.directory / "state" / "prise" / "role.epoch"
        wait_until(record.exists, "the record")
        assert record.read_text("ascii").startswith("epoch=1 ")


@needs_landlock
@pytest.mark.parametrize("sandbox", ["yes", "no"])
def test_a_sandboxed_daemon_reads_only_what_it_must(serve, tmp_path_factory, sandbox):
    """A file outside is out of its reach, whatever its mode says; a reload of its own file is
    not."""
    daemon = configured(serve, {"": f"sandbox = {sandbox}", "echo": ""})
    text = daemon.config_path.read_text(encoding="utf-8")

    def reload(idle, link=None):
        """With another file in its place, as an editor does. The log of it."""
        new, before = daemon.config_path.with_suffix(".new"), daemon.out_path.read_text()
        changed = text.replace("echo {", f"echo {{ idle = {idle}")
        if link:
            link.write_text(changed, encoding="utf-8")
            new.symlink_to(link)
        else:
            new.write_text(changed, encoding="utf-8")
        new.replace(daemon.config_path)
        daemon.signal(signal.SIGHUP)
        ends = r"daemon\.(reloaded|reload_failed).*\n"
        return wait_until(lambda: re.search(ends, daemon.out_path.read_text()[len(before):]),
                          "a reload")

    assert reload("4m")[1] == "reloaded"
    outside = reload("3m", tmp_path_factory.mktemp("outside") / "other.conf")
    assert outside[1] == ("reloaded" if sandbox == "no" else "reload_failed")
    assert sandbox == "no" or "permission denied" in outside[0]
    assert reload("5m")[1] == "reloaded"
    assert talk(daemon, "echo", data=b"x") == b"x"


def test_unix_sockets_through_sandbox_reload_and_restart(serve, prise):
    path = prise.directory / "echo.sock"
    for _ in range(2):
        daemon = serve(config=f'echo {{ listen = "unix:{path}" }}\n')

        def echo():
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(SECONDS)
                s.connect(str(path))
                s.sendall(b"here")
                expect(s, "here")

        echo()
        daemon.config_path.write_text(f'echo {{ listen = "unix:{path}" idle = 5m }}\n', "utf-8")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("daemon.reloaded")
        echo()
        daemon.process.kill()  # what it leaves is no hindrance
        daemon.process.wait(SECONDS)
