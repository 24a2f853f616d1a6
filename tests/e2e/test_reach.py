"""Who listens where, and who reaches it: no two services on one port, no port of another prise's
shared by accident, and sockets from systemd under the same rules as those of the configuration."""

import copy
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest
from support import SECONDS, Daemon, free_port, has_ipv6, wait_until
from talking import talk

TWO = [("PORT", "localhost:PORT"), (":PORT", "127.0.0.1:PORT"), ("PORT", "[::1]:PORT"),
       ("localhost:PORT", "127.0.0.1:PORT"), ("127.0.0.1:PORT", "0.0.0.0:PORT"),
       ("any:PORT", "127.0.0.9:PORT"), ("[::1]:PORT", "any:PORT"), ("[::]:PORT", ":PORT"),
       ("127.0.0.1:PORT", "127.0.0.1:PORT"), ("unix:/tmp/PORT", "unix:/tmp/PORT")]


def listens(port, host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as s:
        return s.connect_ex((host, port)) == 0


@pytest.mark.parametrize("one, other", TWO)
def test_two_services_on_one_port(prise, one, other):
    """By command line or file, the answer is who has it; nothing starts."""
    port = free_port()
    one, other = one.replace("PORT", str(port)), other.replace("PORT", str(port))
    done = prise("serve", f"echo={one}", f"upper={other}")
    assert done.code == 2 and "upper cannot have" in done.err, done
    assert "echo already listens on" in done.err
    path = prise.directory / "two.conf"
    path.write_text(f'echo {{\n listen = "{one}"\n}}\n'
                    f'upper {{\n idle = 1m\n listen = "{other}"\n}}', encoding="utf-8")
    for options in ([], ["--check-config"]):
        done = prise("serve", "-c", path, *options)
        assert done.code == 2 and f"{path}:6: upper cannot have" in done.err, done
        assert "echo already listens on" in done.err and "(line 2)" in done.err
        assert "  try: " in done.err and done.err.count("\n") == 2
    assert not listens(port)


def test_one_service_twice_on_one_port(prise):
    port = free_port()
    done = prise("serve", f"echo=:{port}", f"echo=localhost:{port}")
    assert done.code == 2 and "echo already listens" in done.err


def test_a_default_port_that_another_service_names(prise):
    path = prise.directory / "two.conf"
    path.write_text("daytime {\n}\nupper {\n listen = 7013\n}\n", encoding="utf-8")
    done = prise("serve", "-c", path)
    assert done.code == 2 and f"{path}:4: upper cannot have localhost:7013" in done.err, done
    assert "daytime already listens on localhost:7013 (line 2)" in done.err


@pytest.mark.parametrize("one, other", [
    ("127.0.0.1:PORT", "127.0.0.2:PORT"), ("127.0.0.1:PORT", "[::1]:PORT"), (":0", ":0")])
def test_addresses_that_do_not_overlap_may_have_one_port(serve, one, other):
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    port = str(free_port())
    serve("echo=" + one.replace("PORT", port), "upper=" + other.replace("PORT", port))


def test_a_name_that_turns_out_to_be_taken(prise):
    """A name's addresses are known only once it has been asked for."""
    port, name = free_port(), socket.gethostname()
    try:
        where = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0][4][0]
    except OSError:
        pytest.skip("this machine's name has no address")
    where = f"[{where}]" if ":" in where else where
    done = prise("serve", f"echo={where}:{port}", f"upper={name}:{port}")
    assert done.code == 2 and "echo already listens" in done.err, done


def test_a_mistake_of_reach_is_told_with_its_line(prise):
    path = prise.directory / "open.conf"
    path.write_text('echo {\n}\ninbox {\n idle = 1m\n listen = "any:0"\n}\n', encoding="utf-8")
    done = prise("serve", "-c", path)
    assert done.code == 2 and f"{path}:5: inbox on *" in done.err and "--insecure" in done.err
    done = prise("serve", "-c", path, "inbox=any:0")
    assert done.code == 2 and f"{path}:" not in done.err and "inbox on *" in done.err


# Another prise.

def test_half_of_another_prises_port_is_not_taken(serve, prise):
    """The port is ours at another address: that does not make theirs ours."""
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    port = free_port()
    serve(f"upper=[::1]:{port}")
    second = prise("serve", f"discard=127.0.0.1:{port}", f"echo=[::1]:{port}")
    assert second.code == 9 and "in use" in second.err, second


def test_nor_by_a_reload(serve):
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    port = free_port()
    serve(f"upper=[::1]:{port}")
    daemon = serve(config=f'discard {{ listen = "127.0.0.1:{port}" }}\n')
    daemon.config_path.write_text(f'discard {{ listen = "127.0.0.1:{port}" }}\n'
                                  f'echo {{ listen = "[::1]:{port}" }}\n', encoding="utf-8")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log(r"daemon\.reload_failed.*in use")


@pytest.mark.parametrize("call, count", [("bind", 2), ("bind", 3), ("listen", 2), ("listen", 3)])
def test_another_prise_begins_between_two_steps(prise, call, count):
    """The control socket is the first; then come the service's, on two loops."""
    if not shutil.which("strace"):
        pytest.skip("no strace here")
    trace, slow = prise.directory / "trace", copy.copy(prise)
    slow.path = prise.directory / "slow"
    slow.path.write_text(
        f"#!/bin/sh\nexec strace -D -f -o {trace} -e trace={call} "
        f"-e inject={call}:delay_enter=1000000:when={count} {os.path.abspath(prise.path)} \"$@\"\n",
        encoding="utf-8")
    slow.path.chmod(0o755)
    port = free_port()
    config = f'loops = 2\nupper {{ listen = "127.0.0.1:{port}" }}\n'
    leaks = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"  # cannot be looked for here
    both = [Daemon(slow, config=config, env={"ASAN_OPTIONS": leaks}, wait=False)]
    wait_until(lambda: trace.exists() and trace.read_text().count(f"{call}(") >= count - 1,
               "the slow one to listen")
    both.append(Daemon(prise, config=config, wait=False))
    for one in both:
        wait_until(lambda d=one: d.process.poll() is not None or bound(d), "its table or its end")
    assert sorted(bool(bound(one)) for one in both) == [False, True], [one.log() for one in both]
    assert sorted(one.stop() for one in both) == [0, 9]


def test_a_reload_may_swap_and_widen_what_is_ours(serve):
    one, other = free_port(), free_port()
    text = 'echo {{ listen = "127.0.0.1:{}" }}\nupper {{ listen = "127.0.0.1:{}" }}\n'
    daemon = serve(config=text.format(one, other))
    daemon.ports.update(echo=other, upper=one)
    for count, new in enumerate((text.format(other, one),
                                 f'echo {{ listen = "any:{other}" }}\nupper {{ listen = {one} }}')):
        daemon.config_path.write_text(new, encoding="utf-8")
        daemon.signal(signal.SIGHUP)
        wait_until(lambda n=count: daemon.log().count("daemon.reloaded") > n, daemon.log())
        assert talk(daemon, "echo", data=b"swap") == b"swap"
        assert talk(daemon, "upper", data=b"swap") == b"SWAP"


# Sockets from systemd.

def handed(prise, sockets, names, *arguments, count=None, whose="os.getpid()"):
    """Runs `prise serve` as systemd does, and returns what a Popen returns."""
    script = ('import os, sys\nfds = [int(fd) for fd in sys.argv[1].split(",")]\n'
              'kept = [os.dup2(fd, 900 + i) for i, fd in enumerate(fds)]\n'
              'for fd in fds:\n    os.close(fd)\n'
              'for i, fd in enumerate(kept):\n    os.dup2(fd, 3 + i)\n    os.close(fd)\n'
              f'os.environ.update(LISTEN_PID=str({whose}), LISTEN_FDS=sys.argv[2])\n'
              'os.execv(sys.argv[3], sys.argv[3:])\n')
    fds = [s.fileno() for s in sockets]
    process = subprocess.Popen(
        ["/usr/bin/python3", "-c", script, ",".join(map(str, fds)), str(count or len(fds)),
         prise.path, "serve", *arguments],
        pass_fds=fds, env={**prise.environment, "LISTEN_FDNAMES": ":".join(names)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=prise.directory)
    prise.started.append(process)
    return process


def refused(process):
    err = process.communicate(timeout=SECONDS)[1].decode()
    assert process.returncode == 2, (process.returncode, err)
    return err


@pytest.mark.parametrize("service", ["inbox", "role", "http"])
def test_systemds_sockets_keep_to_the_rule_of_reach(prise, service):
    with socket.create_server(("0.0.0.0", 0)) as s:
        port = s.getsockname()[1]
        err = refused(handed(prise, [s], [service], service))
        assert f"{service} on 0.0.0.0:{port} would take or show data" in err
        assert "--insecure" in err and "  try: " in err
        process = handed(prise, [s], [service], service, "--insecure")
        line = wait_until(process.stderr.readline, "the table")
        while b"INSECURE" not in line:
            line = process.stderr.readline()
            assert line, "it ended without a warning"
        assert service in line.decode()


def test_sockets_for_another_process_are_not_taken(prise):
    """Whoever started it had them, and forgot to take the words out of the environment."""
    own = free_port()
    with socket.create_server(("127.0.0.1", 0)) as s:
        process = handed(prise, [s], ["echo"], f"echo=127.0.0.1:{own}", whose="os.getppid()")
        line = b""
        while b" tcp " not in line:
            line = process.stderr.readline()
            assert line, "it ended without a table"
    assert f"127.0.0.1:{own} " in line.decode()


def test_a_datagram_socket_for_a_service_without_udp(prise):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        err = refused(handed(prise, [s], ["sum"], "sum=127.0.0.1:0"))
        assert f"127.0.0.1:{port}" in err and "'sum'" in err and "  try: " in err
        path = prise.directory / "no.conf"
        path.write_text("echo { udp = no }\n", encoding="utf-8")
        err = refused(handed(prise, [s], ["echo"], "-c", path.name))
        assert f"127.0.0.1:{port}" in err


def test_a_unix_datagram_socket(prise):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(prise.directory / "dgram.sock"))
        err = refused(handed(prise, [s], ["echo"], "echo=127.0.0.1:0"))
        assert "dgram.sock" in err and "'echo'" in err


def test_more_sockets_announced_than_there_are(prise):
    """It looks no further than it could take any."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        process = handed(prise, [s], ["echo"], "echo", count=9999999999)
        with socket.create_connection(s.getsockname(), SECONDS) as c:
            c.sendall(b"there")
            c.settimeout(SECONDS)
            assert c.recv(10) == b"there"
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


# UDP, or not.

def test_udp_is_not_answered_where_the_file_says_no(serve):
    port = free_port()
    daemon = serve(config=f"echo {{\n udp = no\n listen = {port}\n}}\n")
    assert f"127.0.0.1:{port}" in daemon.log() and " udp " not in daemon.log(), daemon.log()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", port))
        s.settimeout(SECONDS)
        with pytest.raises(ConnectionRefusedError):
            s.send(b"anybody?")
            s.recv(10)
    daemon.config_path.write_text(f"echo {{\n udp = yes\n listen = {port}\n}}\n", encoding="utf-8")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("daemon.reloaded")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", port))
        s.settimeout(SECONDS)
        s.send(b"now")
        assert s.recv(10) == b"now"


def test_udp_for_a_service_that_has_none(prise):
    path = prise.directory / "udp.conf"
    path.write_text("sum {\n udp = yes\n}\n", encoding="utf-8")
    done = prise("serve", "-c", path)
    assert done.code == 2 and f"{path}:2: sum goes over TCP only" in done.err, done


def test_udp_said_beside_tls(prise):
    path = prise.directory / "tls.conf"
    path.write_text("echo {\n tls = yes\n}\n", encoding="utf-8")
    assert prise("serve", "--check-config", "-c", path).code == 0
    path.write_text("echo {\n tls = yes\n udp = yes\n}\n", encoding="utf-8")
    assert prise("serve", "--check-config", "-c", path).code == 2


# The state directory, and what is kept there.

@pytest.mark.parametrize("env", [{"HOME": "/nonexistent", "XDG_STATE_HOME": "", "as": "65534"},
                                 {"XDG_STATE_HOME": "/proc"}, {"HOME": "", "XDG_STATE_HOME": "",
                                                               "as": "65534"}])
def test_only_a_record_needs_a_place(prise, env):
    """Without a state directory echo runs, and role says which directory it wants."""
    env = dict(env)
    user = env.pop("as", "")
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
    if user and (os.geteuid() != 0 or not others_may_run(prise)):
        pytest.skip("needs root, and a binary that everybody may run")

    def started(*services):
        words = [*(become if user else []), prise.path, "serve", *services]
        process = subprocess.Popen(words, cwd="/",
                                   env={**prise.environment, **env}, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        prise.started.append(process)
        return process

    port = free_port()
    process = started(f"echo=127.0.0.1:{port}")
    wait_until(lambda: listens(port) or process.poll() is not None, "echo to listen")
    assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 0
    process = started(f"role=127.0.0.1:{port}", "--json")
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 9, err
    where = env.get("XDG_STATE_HOME") or env["HOME"] or "neither HOME nor XDG_STATE_HOME"
    assert where in err.decode() and "role" in err.decode() and err.count(b"\n") == 2, err
    assert b"  try: XDG_STATE_HOME=DIR" in err
    told = json.loads(out)
    assert told["type"] == "error" and told["code"] == 9 and where in told["text"]


def others_may_run(prise):
    return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--",
                           prise.path, "--version"], capture_output=True, check=False,
                          cwd="/").returncode == 0


def role_told(prise, says):
    done = prise("serve", f"role=127.0.0.1:{free_port()}", "--json")
    record = prise.directory / "state" / "prise" / "role.epoch"
    assert done.code == 9 and done.err.count("\n") == 2 and "  try: " in done.err, done
    assert says in done.err and str(record) in done.err, done
    error = [event for event in done.events if event["type"] == "error"]
    assert [event["code"] for event in error] == [9], done.events


def test_a_damaged_record(prise):
    """It names the file, and what would make it good again does."""
    record = prise.directory / "state" / "prise" / "role.epoch"
    record.parent.mkdir()
    record.write_text("epoch=seven\n", encoding="ascii")
    role_told(prise, "damaged")
    record.write_text("epoch=8 lease=none\n", encoding="ascii")
    daemon = Daemon(prise, "role")
    assert daemon.stop() == 0


def test_a_record_that_another_prise_owns(serve, prise):
    """A second one says so, and can have a record of its own."""
    serve("role")
    role_told(prise, "another prise")
    elsewhere = prise.directory / "elsewhere"
    serve("role", env={"XDG_STATE_HOME": str(elsewhere)})


def test_a_reload_that_cannot_have_the_record(serve):
    """The sentence is about the record, and has no stray address in it."""
    serve("role")
    daemon = serve(config=f"echo {{ listen = {free_port()} }}\n")
    text = daemon.config_path.read_text(encoding="utf-8")
    daemon.config_path.write_text(text + f"role {{ listen = {free_port()} }}\n", encoding="utf-8")
    daemon.signal(signal.SIGHUP)
    told = daemon.wait_log(r"daemon\.reload_failed (.*)").group(1)
    assert "another prise runs role" in told and "localhost" not in told, told


# The log on a disk that is full for a while.

def put_in_a_small_place(prise, script):
    """Runs a script in a mount namespace where `small` is a file system of 64 KiB."""
    (prise.directory / "small").mkdir()
    inside = ("import subprocess, sys\nif subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k',"
              " 'none', 'small'], check=False).returncode: sys.exit(77)\n")
    done = subprocess.run(
        ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount",
         "/usr/bin/python3", "-c", inside + script, prise.path, str(free_port())],
        cwd=prise.directory, env=prise.environment, capture_output=True, text=True, check=False,
        timeout=3 * SECONDS)
    if done.returncode == 77 or "unshare: " in done.stderr:
        pytest.skip("no mount namespaces here")
    assert done.returncode == 0, done.stderr
    return done.stdout


FULL_DISK = """
import os, pathlib, select, signal, socket
prise, port = sys.argv[1], int(sys.argv[2])
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.bind("told")
told.settimeout(20)
pathlib.Path("small/filler").write_bytes(bytes(44 << 10))
log = pathlib.Path("small/log")
with log.open("ab") as out:
    daemon = subprocess.Popen([prise, "serve", "--json", f"inbox=127.0.0.1:{port}"], stdout=out,
                              env={**os.environ, "NOTIFY_SOCKET": os.path.abspath("told")})
assert b"READY" in told.recv(100)

def say(text):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        s.sendall(text.encode())
        s.shutdown(socket.SHUT_WR)
        assert s.recv(10) == b""

for number in range(60):
    say(f"{number} " + "x" * 900)

def grown():
    before = log.stat().st_size
    select.select([], [], [], 0.2)
    return log.stat().st_size > before

while grown():
    pass
os.unlink("small/filler")
say("room again")
while b"room again" not in log.read_bytes():
    assert daemon.poll() is None
    select.select([], [], [], 0.01)
daemon.send_signal(signal.SIGTERM)
assert daemon.wait(20) == 0
sys.stdout.write(log.read_text())
"""


def test_a_full_disk_tears_no_line_of_the_log(prise):
    """What was written in part is finished first; a gap tells how many lines are missing."""
    events = [json.loads(line) for line in put_in_a_small_place(prise, FULL_DISK).splitlines()]
    texts = [event["text"].split()[0] for event in events if event["type"] == "inbox.message"]
    gaps = [event["dropped"] for event in events if event["type"] == "gap"]
    assert texts[-1] == "room" and texts[0] == "0"
    assert len(gaps) == 1 and len(texts) - 1 + gaps[0] == 60, (len(texts), gaps)


# Paths.

@pytest.mark.parametrize("where, says, advice", [
    ("unix:nodir/echo.sock", "there is no directory for unix:nodir/echo.sock", "mkdir -p"),
    ("unix:file/echo.sock", "unix:file/echo.sock", "  try: "),
    ("unix:file", "unix:file is taken", "another path")])
def test_a_path_that_cannot_be_listened_on(prise, where, says, advice):
    (prise.directory / "file").write_text("not a directory", encoding="ascii")
    done = prise("serve", f"echo={where}")
    assert done.code == 9 and says in done.err and advice in done.err, done
    assert "1024" not in done.err and "doctor" not in done.err


@pytest.mark.root
def test_a_path_in_a_directory_of_somebody_elses(prise):
    if not others_may_run(prise):
        pytest.skip("the binary is not for everybody here")
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--",
                           prise.path, "serve", "echo=unix:/root/echo.sock"], cwd="/",
                          env={**prise.environment, "LC_ALL": "C"}, capture_output=True, text=True,
                          timeout=SECONDS, check=False)
    assert done.returncode == 9 and "directory that you may write" in done.stderr, done.stderr
    assert "1024" not in done.stderr


def test_a_path_goes_with_the_service(serve, prise):
    """At the end, and in a reload that no longer wants it; not while a reload keeps it, nor when
    somebody else made a new one in its place."""
    one, two = prise.directory / "one.sock", prise.directory / "two.sock"
    daemon = serve(config=f'echo {{ listen = "unix:{one}" }}\nupper {{ listen = "unix:{two}" }}\n')
    assert one.is_socket() and two.is_socket()
    for count, text in enumerate([f'echo {{ listen = "unix:{one}" idle = 1m }}\n',
                                  f'echo {{ listen = "unix:{one} unix:{two}" }}\n',
                                  f'echo {{ listen = "unix:{one} unix:/nonexistent/x" }}\n']):
        daemon.config_path.write_text(text, encoding="utf-8")
        daemon.signal(signal.SIGHUP)
        wait_until(lambda n=count: daemon.log().count("daemon.reload") > n, "the reload")
        assert one.is_socket() and two.exists() == (count > 0), (count, daemon.log())
    two.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(two))
        assert daemon.stop() == 0
    assert not one.exists() and two.is_socket()


def test_a_path_of_a_start_that_fails(prise):
    path = prise.directory / "echo.sock"
    with socket.create_server(("127.0.0.1", 0)) as s:
        done = prise("serve", f"echo=unix:{path}", f"upper=127.0.0.1:{s.getsockname()[1]}")
    assert done.code == 9 and not path.exists()


def test_a_path_that_the_sandbox_forbids(serve, prise):
    """It was made for the paths of the start: the log says to restart."""
    if not landlock():
        pytest.skip("no Landlock in this kernel")
    daemon = serve(config=f"echo {{ listen = {free_port()} }}\n")
    (prise.directory / "new").mkdir()
    daemon.config_path.write_text(f'echo {{ listen = "unix:{prise.directory}/new/s" }}\n', "utf-8")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log(r"daemon\.reload_failed .*new/s: the sandbox .* restart")


def landlock():
    return ctypes.CDLL(None).syscall(444, None, 0, 1) > 0  # landlock_create_ruleset's version


# Families and ports of the kernel's choice.

def bound(daemon):
    """{("tcp", "127.0.0.1"): port} of the table."""
    rows = re.findall(r"^\S+ +(tcp|udp) +(\S+):(\d+) ", daemon.log(), re.M)
    return {(transport, host): int(port) for transport, host, port in rows}


@pytest.mark.parametrize("where", [":0", "any:0"])
def test_a_port_of_the_kernels_choice_is_one(serve, where):
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    tried = [bound(serve(f"echo={where}")) for _ in range(3)]
    assert all(len(found) == 4 for found in tried), tried
    # where somebody has IPv4's port on IPv6, IPv6 has another
    assert any(len(set(found.values())) == 1 for found in tried), tried


@pytest.mark.parametrize("option, hosts", [("-4", {"127.0.0.1", "0.0.0.0"}),
                                           ("-6", {"[::1]", "[::]"})])
def test_one_family(serve, prise, option, hosts):
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    daemon = serve("echo=:0", "upper=any:0", "sum=localhost:0", options=[option])
    assert {host for _, host in bound(daemon)} == hosts
    other = "[::1]" if option == "-4" else "127.0.0.1"
    port = bound(daemon)["tcp", "127.0.0.1" if option == "-4" else "[::1]"]
    serve(f"echo={other}:{port}", f"upper={other}:0", options=[option])
    done = prise("serve", "-4", "-6")
    assert done.code == 2, done


def test_a_family_where_it_has_no_meaning(prise):
    done = prise("services", "-4")
    assert done.code == 2 and "negative" not in done.err and "-4" in done.err, done


@pytest.mark.parametrize("key", ['root = "/nonexistent"', 'root = "/etc/passwd"',
                                 'log = "/nonexistent/log"'])
@pytest.mark.parametrize("words", [[], ["--check-config"]])
def test_a_path_that_is_not_there(prise, key, words):
    path = prise.directory / "http.conf"
    path.write_text(f'http {{ {key} listen = {free_port()} }}\n', encoding="utf-8")
    done = prise("serve", "-c", path, *words)
    wrong = re.search('"(.*)"', key)[1]
    assert done.code == 9 and f"http cannot use {wrong}: " in done.err, done
    assert "  try: " in done.err and "block `http`" in done.err and not done.out
