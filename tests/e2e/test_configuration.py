"""The configuration file: every mistake is told with its file, its line and the nearest valid name,
and nothing starts; a reload is all or nothing."""

import contextlib
import ctypes
import http.client
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types

import box
import pytest
from support import SECONDS, Daemon, Prise, free_port, wait_until
from talking import (configured, datagrams, descriptors, ended, expect, is_answered, read_until,
                     talk)

PORT = free_port()
HELD = socket.socket()  # bound, so that nobody else listens there; prise could
HELD.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
HELD.bind(("127.0.0.1", PORT))
GOOD = f"echo {{ listen = {PORT} }}\n"

# What the file says after GOOD, the line that is wrong, what the error says.
MISTAKES = {
    "key": ("lops = 2", 2, "'loops'"),
    "key after comments": ("# one\n/* two\n */ // three\nlops = 2", 5, "'loops'"),
    "block": ("dytime {\n}", 2, "no such block 'dytime'; did you mean 'daytime'?"),
    "block, its brace below": ("dytime\n{\n}", 2, "no such block 'dytime'"),
    "block with a title": ("check web {\n}", 2, "no such block 'check'"),
    "key that is a block's": ("idle = 5m", 2, "no such option 'idle'"),
    "key of a block": ("discard {\n max_conections = 3\n}", 3, "'max_connections'"),
    "key of another service": ("discard {\n format = nist\n}", 3, "'format'"),
    "key of a machine": ("daytime {\n formt = nist\n}", 3, "'format'"),
    "key within its block's name": ("discard { ca = 1 }", 2, "no such option 'ca'"),
    "block within a key's name": ("discard { queue = 4K } eue { }", 2, "no such block 'eue'"),
    "block of a long name": (f"{'a' * 70} {{\n}}", 2, f"no such block '{'a' * 63}'"),
    "block in a block": ("discard {\n time {\n }\n}", 3, "no such block 'time'"),
    "count": ("discard {\n max_connections = many\n}", 3, "a whole number"),
    "count below 0": ("discard {\n max_connections = -1\n}", 3, "a whole number"),
    "count above its most": ("loops = 65", 2, "0 to 64"),
    "count above all": ("discard {\n max_connections = 99999999999999999999\n}", 3,
                        "0 to 18446744073709551615"),
    "size": ('discard {\n queue = "12Q"\n}', 3, "a size such as"),
    "duration": ('discard {\n idle = "5 parsecs"\n}', 3, "a duration such as"),
    "duration below its least": ('role {\n lease = "1ms"\n}', 3, "100 to "),
    "flag": ("discard {\n udp = perhaps\n}", 3, "yes or no"),
    "choice": ("daytime {\n format = iso\n}", 3, "rfc867 nist"),
    "port": ('discard {\n listen = "127.0.0.1:70000"\n}', 3, '"127.0.0.1:70000"'),
    "port by a name that is none": ('discard {\n listen = "127.0.0.1:nosuch"\n}', 3,
                                    '"127.0.0.1:nosuch"'),
    "address": ('discard {\n listen = "a:b:c"\n}', 3, '"a:b:c"'),
    "one of two addresses": ('discard {\n listen = "127.0.0.1:0 [::1:0"\n}', 3, "[::1:0"),
    "no address": ('discard {\n listen = ""\n}', 3, '""'),
    "seventeen addresses": (f'discard {{\n listen = "{" 0" * 17}"\n}}', 3, "full"),
    "an address twice": (f"discard {{\n listen = {PORT}\n}}", 3, "echo already listens"),
    "user": ('user = "nosuchuser"', 2, "no user 'nosuchuser'"),
    "sandbox": ("sandbox = maybe", 2, "yes or no"),
    "key twice": ("drain = 1s\ndrain = 2s", 3, "'drain' is there a second time"),
    "key of a block twice": ("time {\n idle = 1s\n idle = 2s\n}", 4,
                             "'idle' is there a second time"),
    "block twice": ("time {\n idle = 1s\n}\ntime {\n queue = 4K\n}", 7,
                    "'time' is there a second time"),
    "no equal sign": ("discard {\n udp yes\n}", 3, "equal sign"),
    "title": ("discard one {\n}", 2, "brace"),
    "brace too many": ("discard {\n}\n}", 4, "brace"),
    "brace too few": ("discard {\n udp = no", 3, "still open"),
    "string left open": ('discard {\n listen = "7777\n}', 4, "still open"),
    "comment left open": ("/* discard {\n}", 3, "still open"),
    "value missing": ("discard {\n udp =\n}", 3, "no value"),
    "value missing before a key": ("discard {\n udp = # yes?\n idle = 5m\n}", 3, "no value"),
    "value missing before a block": ("loops =\ntime {\n}", 2, "no value"),
    "value missing at the end": ("loops =\n", 2, "no value"),
    "value missing behind a mistake": ("lops = 2\nloops =\n", 2, "'loops'"),
    "value missing behind a value of that look": ('user = "x = \n y = "\nloops =', 3, "no user"),
    "list": ('discard {\n listen = {"1", "2"}\n}', 3, "'{'"),
    "append": ("discard {\n udp += yes\n}", 3, "append"),
    "function": ('system("true")', 2, "'system'"),
    "include": ('include("/etc/passwd")', 2, "'include'"),
    "binary": ("\x01\x02\x03", 2, ""),
    "beyond this machine": ('inbox {\n listen = "any:0"\n}', 3, "--insecure"),
    "keys without TLS": ('discard {\n authorized_keys = "/k"\n udp = no\n}', 3,
                         "authorized_keys is for tls = yes"),
    "TLS over UDP": ("discard {\n udp = yes\n tls = yes\n}", 4, "TLS goes over TCP only"),
}


@pytest.fixture
def everybodys_serve():
    """As `serve`, in a directory that every user may go into, with the binary there too."""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        program = Prise(directory)
        program.path = shutil.copy2(program.path, directory / "prise")
        for place in (directory, directory / "state"):
            place.chmod(0o755)
        daemons = []
        yield lambda **more: daemons.append(Daemon(program, **more)) or daemons[-1]
        for daemon in daemons:
            assert daemon.stop() == 0, daemon.log()
        program.end()


def landlock():
    return ctypes.CDLL(None).syscall(444, None, 0, 1) > 0  # landlock_create_ruleset's version


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake(prise, mistake):
    text, line, says = MISTAKES[mistake]
    path = prise.directory / "wrong.conf"
    path.write_text(GOOD + text + "\n", encoding="utf-8")
    for options in ([], ["--check-config"]):
        done = prise("serve", "-c", path, *options)
        assert done.code == 2 and done.out == ""
        assert done.err.count("\n") == 2 and "  try: " in done.err, "one line, and what to try"
        assert says in done.err
        assert f"{path}:{line}: " in done.err
    assert not listens(PORT)


def test_a_file_beyond_all_measure(prise):
    path = prise.directory / "wrong.conf"
    path.write_text(GOOD + "#" * (1 << 20))
    done = prise("serve", "-c", path)
    assert done.code == 2 and f"{path}: longer than its limit" in done.err, done


def test_a_file_without_an_end(prise):
    """What is read of it is bounded: as much as a file may have, and a byte to know that it has
    more. The writer, who would go on for ever, is left alone then."""
    program = prise.start("serve", "--check-config", "-c", "/dev/stdin")
    written = 0
    with contextlib.suppress(BrokenPipeError):
        while written < 1 << 23:
            written += os.write(program.stdin.fileno(), b"# and so on\n" * 256)
    err = program.communicate(timeout=SECONDS)[1].decode()
    assert program.returncode == 2 and "/dev/stdin: longer than its limit" in err, err
    assert written < 1 << 21
    done = prise("serve", "--check-config", "-c", "/dev/zero")
    assert done.code == 2 and "/dev/zero: not understood" in done.err, done


def test_many_comments_that_are_left_open(prise):
    """The mark that closes a comment is looked for once when it is nowhere. The mistake before them
    spares libconfuse them, which takes its time for long ones in a sanitizer's build."""
    path = prise.directory / "wrong.conf"
    path.write_text("lops = 2\n" + " /*a\n#b\n" * 130000)
    done = prise("serve", "--check-config", "-c", path)
    assert done.code == 2 and f"{path}:1: " in done.err and "'loops'" in done.err, done


def test_keys_that_are_not_there(prise):
    path = prise.directory / "wrong.conf"
    path.write_text(GOOD + 'discard {\n tls = yes\n authorized_keys = "/no/keys"\n}\n')
    done = prise("serve", "-c", path)
    assert done.code == 9 and f"{path}:4: discard: /no/keys: no such file" in done.err, done
    assert "  try: a path that is there, with the rights to use it" in done.err, done


def test_a_file_that_is_not_text(prise):
    path = prise.directory / "wrong.conf"
    path.write_bytes(GOOD.encode() + b"\0" + b"lops = 2\n")
    done = prise("serve", "-c", path)
    assert done.code == 2 and str(path) in done.err and not listens(PORT)


@pytest.mark.parametrize("path, text", [("missing.conf", "no such file"), (".", "")])
def test_a_file_that_cannot_be_read(prise, path, text):
    for options in ([], ["--check-config"]):
        done = prise("serve", "-c", path, *options)
        assert done.code == 9 and done.out == "" and path in done.err
        assert text in done.err


@pytest.mark.root
def test_a_file_that_may_not_be_read(prise):
    path = prise.directory / "secret.conf"
    path.write_text(GOOD, encoding="utf-8")
    path.chmod(0)
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                           "--", prise.path, "serve", "--check-config", "-c", path.name],
                          cwd=prise.directory, capture_output=True, text=True, check=False)
    if done.returncode != 9 or "denied" not in done.stderr:
        pytest.skip(f"the binary is not for everybody here: {done.stderr}")
    assert "permission denied" in done.stderr


@pytest.mark.parametrize("text", [
    "", "# nothing\n// at all\n/* here */", GOOD, 'loops = 2 drain = "3s" sandbox = no\n' + GOOD,
    'echo { listen = "127.0.0.1:0 [::1]:0" queue = 4K } # and no end of line'])
def test_a_good_file_is_checked_in_silence(prise, text):
    path = prise.directory / "good.conf"
    path.write_text(text, encoding="utf-8")
    done = prise("serve", "--check-config", "-c", path)
    assert (done.code, done.out, done.err) == (0, "", "") and not listens(PORT)


@pytest.mark.parametrize("words, says", [
    (["eco"], "'echo'"), (["echo=70000"], '"70000"'), (["echo="], '""'),
    (["echo=a:b:c"], '"a:b:c"'),
    (["--chek-config"], "--check-config"), (["inbox=any:0"], "--insecure"),
    (["role=0.0.0.0:0"], "--insecure"), (["role=[::]:0"], "--insecure"),
    (["role=192.0.2.1:0"], "--insecure"),
    ([f"echo=:{PORT}", f"discard=:{PORT}"], "already listens")])
def test_a_mistake_on_the_command_line(prise, words, says):
    done = prise("serve", *words)
    assert done.code == 2 and done.out == "" and says in done.err


def reload(daemon, text, reloaded=True):
    """Rewrites the file, sends SIGHUP, and waits for what comes of it."""
    daemon.config_path.write_text(text, encoding="utf-8")
    before = daemon.log().count("daemon.reload")
    daemon.signal(signal.SIGHUP)
    daemon.wait_ready()
    wait_until(lambda: daemon.log().count("daemon.reload") > before, "the reload in the log")
    assert re.findall(r"daemon\.reload\w+", daemon.log())[-1] == (
        "daemon.reloaded" if reloaded else "daemon.reload_failed"), daemon.log()


def said(daemon):
    with daemon.connect("daytime") as s:
        return s.recv(100)


@pytest.mark.parametrize("loops", [1, 3])
def test_a_reload_changes_adds_and_removes(serve, loops):
    first = f"loops = {loops}\nsandbox = no\n"
    daemon = configured(serve, {"": first, "daytime": "", "echo": "", "upper": ""})
    daemon.ports["dialogue"] = free_port()
    held = descriptors(daemon)
    with daemon.connect("echo") as kept, daemon.connect("upper") as removed:
        kept.sendall(b"before")
        expect(kept, "before")
        assert said(daemon).endswith(b"-UTC\r\n")
        reload(daemon, first + f'echo {{ listen = "{daemon.port("echo")}" }}\n'
               f'daytime {{ listen = "{daemon.port("daytime")}" format = nist }}\n'
               f'dialogue {{ listen = "{daemon.port("dialogue")}" }}\n')
        assert b"UTC(prise)" in said(daemon)
        with daemon.connect("dialogue") as s:
            assert read_until(s, b"\n").startswith(b"Vous")
        assert not listens(daemon.port("upper"))
        kept.sendall(b"after")
        expect(kept, "after")
        removed.sendall(b"it ends as it would have")
        expect(removed, "IT ENDS AS IT WOULD HAVE")
    for _ in range(5):  # what a reload makes, the next one frees
        reload(daemon, first + f'daytime {{ listen = "{daemon.port("daytime")}" format = nist }}\n')
        reload(daemon, first + f'daytime {{ listen = "{daemon.port("daytime")}" }}\n')
    assert descriptors(daemon) <= held


def test_a_reload_to_another_port(serve):
    daemon = configured(serve, {"daytime": ""})
    old, new = daemon.port("daytime"), free_port()
    daemon.ports["daytime"] = new
    reload(daemon, f'daytime {{ listen = "{new}" }}')
    assert said(daemon).endswith(b"-UTC\r\n") and not listens(old)


def test_datagrams_through_reloads(serve):
    daemon = configured(serve, {"": "loops = 1", "echo": "", "time": ""})
    with datagrams(daemon, "echo") as s:
        text = daemon.config_path.read_text(encoding="utf-8")
        for number in range(20):
            s.send(b"%d" % number)  # in the socket's queue while it is handed over
            reload(daemon, text.replace("echo {", f"echo {{\nidle = {number + 1}m"))
            assert s.recv(10) == b"%d" % number
    # The new one knows the ports of all: a datagram from one still gets no answer.
    with datagrams(daemon, "echo", source=("127.0.0.9", daemon.port("time"))) as s:
        assert not is_answered(daemon, s, b"loop?")


@pytest.mark.parametrize("loops", [1, 3])
def test_clients_in_the_backlog_survive_a_reload(serve, loops):
    """One is served, the others wait in the kernel's queue; a reload later each gets its turn."""
    daemon = configured(serve, {"": f"loops = {loops}", "dialogue": "max_connections = 1"})
    with daemon.connect("dialogue") as first, contextlib.ExitStack() as held:
        assert read_until(first, b"\n")
        waiting = [held.enter_context(daemon.connect("dialogue")) for _ in range(10)]
        text = daemon.config_path.read_text(encoding="utf-8")
        reload(daemon, text.replace("max_connections = 1", "max_connections = 20"))
        for s in waiting:
            assert read_until(s, b"\n").startswith(b"Vous")
        first.sendall(b"I too")
        assert read_until(first, b"I too")


@pytest.mark.parametrize("broken", [
    "lops = 2\n", "echo {\n", "", "taken", "nowhere"])
def test_a_broken_file_changes_nothing(serve, broken):
    daemon = configured(serve, {"": "loops = 2", "daytime": "", "echo": ""})
    good = daemon.config_path.read_text(encoding="utf-8")
    held = descriptors(daemon)
    with socket.create_server(("127.0.0.1", 0)) as taken, daemon.connect("echo") as s:
        s.sendall(b"before")
        expect(s, "before")
        for number in range(3):
            text = good.replace("daytime {", "daytime {\nformat = nist")
            if broken == "":
                daemon.config_path.unlink(missing_ok=True)
                daemon.signal(signal.SIGHUP)
                daemon.wait_ready()
                wait_until(lambda n=number: daemon.log().count("reload_failed") > n, "the failure")
            elif broken == "taken":  # found out only after the change of daytime was made ready
                port = taken.getsockname()[1]
                reload(daemon, f'{text}upper {{ listen = "127.0.0.1:{port}" }}', reloaded=False)
                assert f"127.0.0.1:{port}" in daemon.log()
            elif broken == "nowhere":
                reload(daemon, text + 'upper { listen = "192.0.2.1:7" }', reloaded=False)
                assert "192.0.2.1:7" in daemon.log()
            else:
                reload(daemon, text + broken, reloaded=False)
                assert f"{daemon.config_path}:" in daemon.log()
            assert said(daemon).endswith(b"-UTC\r\n")
            s.sendall(b"after")
            expect(s, "after")
            wait_until(lambda: descriptors(daemon) <= held + 1, "what was opened to be closed")
    reload(daemon, good.replace("daytime {", "daytime {\nformat = nist"))
    assert b"UTC(prise)" in said(daemon)


def test_role_goes_on_through_a_reload_of_others(serve):
    daemon = configured(serve, {"daytime": "", "role": ""})
    good = daemon.config_path.read_text(encoding="utf-8")
    with daemon.connect("role") as one, daemon.connect("role") as two:
        expect(one, "principal")
        expect(two, "secondaire")
        reload(daemon, good.replace("daytime {", "daytime {\nformat = nist"))
        one.close()
        expect(two, "principal")
        reload(daemon, good.replace("role {", "role {\nlease = 7s"), reloaded=False)
        assert "role holds state" in daemon.log()


def test_reloads_under_load(serve):
    """Whoever connects while the file is read again and again is served."""
    daemon = configured(serve, {"": "loops = 2", "upper": ""}, options=["-q"])
    good = daemon.config_path.read_text(encoding="utf-8")
    for number in range(15):
        daemon.config_path.write_text(good.replace("upper {", f"upper {{\nidle = {number + 1}m"),
                                      encoding="utf-8")
        daemon.signal(signal.SIGHUP)
        for _ in range(20):
            assert talk(daemon, "upper", data=b"served?") == b"SERVED?"
        daemon.wait_ready()


def test_reloads_of_a_service_that_is_full(serve):
    """Who leaves makes room on loops that have not begun to listen."""
    daemon = configured(serve, {"": "loops = 4", "echo": "max_connections = 2"}, options=["-q"])
    good, over = daemon.config_path.read_text(encoding="utf-8"), threading.Event()

    def crowd():
        while not over.is_set():
            with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
                for _ in range(6):
                    stack.enter_context(daemon.connect("echo"))

    crowds = [threading.Thread(target=crowd) for _ in range(3)]
    for thread in crowds:
        thread.start()
    try:
        for number in range(25):
            daemon.config_path.write_text(
                good.replace("connections = 2", f"connections = {2 + number % 3}"),
                encoding="utf-8")
            daemon.signal(signal.SIGHUP)
            daemon.wait_ready()
    finally:
        over.set()
        for thread in crowds:
            thread.join(SECONDS)


@pytest.mark.root
def test_the_token_after_root_is_dropped(everybodys_serve):
    """It is root's alone; the one of the start counts until there is another."""
    def ask(path, method="GET", body=None, **headers):
        client = http.client.HTTPConnection("127.0.0.1", daemon.port("http"), timeout=20)
        with contextlib.closing(client):
            client.request(method, path, body, {"X-Forwarded-For": "203.0.113.7", **headers})
            answer = client.getresponse()
            return answer.status, answer.headers

    daemon = configured(everybodys_serve, {"": "", "echo": ""})
    program = daemon.prise
    made = program("key", "--token")
    daemon = configured(everybodys_serve, {"": 'user = "nobody"', "http": ""})
    status, headers = ask("/api/login", "POST", made.out)
    assert status == 204
    cookie = {"Cookie": headers["Set-Cookie"].split(";")[0]}
    assert ask("/api/status", **cookie)[0] == 200
    made = program("key", "--token")
    assert ask("/api/status", **cookie)[0] == 401  # the old one is none any more
    assert ask("/api/login", "POST", made.out)[0] == 403
    daemon.wait_log(r"token\.unreadable.*config/prise/token")


@pytest.mark.root
def test_a_user_drops_root_once_the_ports_are_bound(everybodys_serve):
    """Every thread is the user's then, and so are the record of role and the next reload."""
    daemon = configured(everybodys_serve,
                        {"": 'user = "nobody"', "time": "listen = 37", "role": ""})
    nobody = pwd.getpwnam("nobody")
    for task in pathlib.Path(f"/proc/{daemon.pid}/task").iterdir():
        status = (task / "status").read_text(encoding="ascii")
        assert re.search(rf"^Uid:(\t{nobody.pw_uid}){{4}}$", status, re.M), status
        assert re.search(rf"^Gid:(\t{nobody.pw_gid}){{4}}$", status, re.M), status
        assert re.search(rf"^Groups:\t{nobody.pw_gid} *$", status, re.M), status
        assert re.search(r"^CapEff:\t0+$", status, re.M), status
    with daemon.connect("role") as one:
        expect(one, "principal")
        record = daemon.config_path.parent / "state" / "prise" / "role.epoch"
        wait_until(record.exists, "the record")
        assert record.stat().st_uid == nobody.pw_uid
    text = daemon.config_path.read_text(encoding="utf-8")
    reload(daemon, text.replace("listen = 37", "listen = 37 idle = 5m"))


@pytest.mark.root
def test_a_user_takes_over_what_root_left(everybodys_serve):
    """The lock and the record of a run as root are the user's from now on, other things are not."""
    first = configured(everybodys_serve, {"": "", "role": ""})
    state = first.config_path.parent / "state" / "prise"
    with first.connect("role") as one:
        expect(one, "principal")
        wait_until((state / "role.epoch").exists, "the record")
    assert first.stop() == 0
    (state / "secret").write_text("root's", encoding="ascii")
    (state / "another name").hardlink_to(state / "secret")
    assert {(state / name).stat().st_uid for name in ("role.epoch", "role.lock")} == {0}
    second = configured(everybodys_serve, {"": 'user = "nobody"', "role": ""})
    with second.connect("role"):
        wait_until(lambda: "epoch=2" in (state / "role.epoch").read_text("ascii"), "the next epoch")
    nobody = pwd.getpwnam("nobody").pw_uid
    assert {(state / name).stat().st_uid for name in ("role.epoch", "role.lock")} == {nobody}
    assert (state / "secret").stat().st_uid == 0


@pytest.mark.root
def test_a_user_who_may_not_go_where_root_may(serve, prise):
    """What is opened before root is given up counts: the daemon is confined all the same. A record
    that the user cannot get at is told as that."""
    if not landlock():
        pytest.skip("no Landlock in this kernel")
    (prise.directory / "state").chmod(0o700)
    daemon = configured(serve, {"": 'user = "nobody"', "echo": ""}, wait=False)
    daemon.wait_log("echo +tcp")
    wait_until(lambda: listens(daemon.port("echo")), "echo to listen")
    status = pathlib.Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii")
    assert "NoNewPrivs:\t1\n" in status and "unconfined" not in daemon.log(), daemon.log()
    path = prise.directory / "role.conf"
    path.write_text(f'user = "nobody"\nrole {{ listen = {free_port()} }}\n', encoding="utf-8")
    done = prise("serve", "-c", path)
    assert done.code == 9 and "cannot keep its record" in done.err, done
    assert "permission denied" in done.err and "  try: " in done.err


def test_a_client_cut_off_by_a_removed_service_is_not(serve):
    daemon = configured(serve, {"echo": "", "dialogue": ""})
    text = daemon.config_path.read_text(encoding="utf-8")
    with daemon.connect("dialogue") as s:
        read_until(s, b"Votre message ?\n")
        reload(daemon, text[:text.index("dialogue {")])
        s.sendall(b"still here?")
        assert read_until(s, b"Votre message ?\n").startswith(b"ECHO : still here?")
        s.sendall(b"FIN")
        assert s.recv(100) == b"Good Bye." and ended(s)


# What runs in a box whose name server is silent: a reload that asks for a name, and a client.
SLOW_NAME = """
import os, pathlib, signal, socket, subprocess, sys

prise, config = sys.argv[1], pathlib.Path(sys.argv[2])
config.write_text('loops = 1\\nsandbox = no\\ndaytime { listen = "127.0.0.1:7013" }')
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.bind("told")
told.settimeout(30)

def hear(word):
    while word not in told.recv(4096):
        pass

daemon = subprocess.Popen([prise, "serve", "-c", str(config)], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "NOTIFY_SOCKET": os.path.abspath("told")})
hear(b"READY=1")
config.write_text(config.read_text() + 'echo { listen = "slow.test:7777" }')
daemon.send_signal(signal.SIGHUP)
hear(b"RELOADING=1")
with socket.create_connection(("127.0.0.1", 7013), timeout=30) as s:
    print("answered", len(s.makefile("rb").read()) > 20)
told.setblocking(False)
try:
    print("meanwhile", told.recv(4096))
except BlockingIOError:
    print("meanwhile nothing")
told.settimeout(30)
hear(b"READY=1")
daemon.send_signal(signal.SIGHUP)
hear(b"RELOADING=1")
daemon.send_signal(signal.SIGTERM)
log = daemon.communicate(timeout=60)[0]
print("ended", daemon.returncode, "failed", log.count("daemon.reload_failed"))
"""


def test_a_name_without_an_answer_keeps_nobody_waiting(prise):
    inside = types.SimpleNamespace(path=sys.executable, environment=prise.environment,
                                   directory=prise.directory)
    done = box.run(inside, {"silent": True, "options": "timeout:3"}, "-c", SLOW_NAME, prise.path,
                   prise.directory / "slow.conf")
    assert done.out.splitlines() == [
        "answered True", "meanwhile nothing", "ended 0 failed 1"], done.err
