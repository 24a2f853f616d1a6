"""The daemon from start to end: ports that others hold, restarts, signals, systemd, and an
output that nobody reads."""

import contextlib
import json
import os
import pathlib
import re
import resource
import select
import signal
import socket
import subprocess
import threading
import time

import pytest
from support import SECONDS, free_port, wait_until
from talking import (configured, descriptors, ended, expect, read_all, read_exactly, read_until,
                     talk)


def exit_code(daemon):
    wait_until(lambda: daemon.process.poll() is not None, "serve to end")
    return daemon.process.returncode


# Ports that others hold.

@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_a_port_in_use_by_another_program(prise, kind):
    """Also by one that would share it."""
    port = free_port()
    with socket.socket(socket.AF_INET, kind) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", port))
        if kind == socket.SOCK_STREAM:
            other.listen()
        done = prise("serve", f"daytime=127.0.0.1:{port}", "-q")
    assert done.code == 9 and done.out == ""
    assert re.search(rf"127\.0\.0\.1:{port} .*in use.*\n.*process {os.getpid()} \(py",
                     done.err), done.err


@pytest.mark.parametrize("loops", [1, 3])
@pytest.mark.parametrize("wanted", ["127.0.0.1:{}", "any:{}", "{}"])
def test_a_port_in_use_by_another_prise(prise, serve, loops, wanted):
    daemon = configured(serve, {"": f"loops = {loops}", "echo": 'listen = "127.0.0.1:PORT"'})
    port = daemon.port("echo")
    path = prise.directory / "second.conf"
    path.write_text(f'loops = {loops}\necho {{ listen = "{wanted.format(port)}" }}\n',
                    encoding="utf-8")
    done = prise("serve", "-c", path)
    assert done.code == 9 and done.out == ""
    assert f"process {daemon.pid} (prise)" in done.err
    assert talk(daemon, "echo", data=b"the first goes on") == b"the first goes on"


def test_nothing_starts_when_the_last_of_many_cannot(prise):
    ports = [free_port() for _ in range(4)]
    with socket.create_server(("127.0.0.1", ports[3])):
        names = ("echo", "daytime", "upper", "sum")
        done = prise("serve", *(f"{name}=127.0.0.1:{port}" for name, port in zip(names, ports)))
        assert done.code == 9
        for port in ports[:3]:
            with socket.socket() as s:
                assert s.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("loops", [1, 3])
def test_a_restart_beside_old_connections(serve, loops):
    """TIME_WAIT and FIN_WAIT2 of the first do not keep the second from its port."""
    daemon = configured(serve, {"": f"loops = {loops}", "daytime": "", "echo": ""})
    ports = dict(daemon.ports)
    with contextlib.ExitStack() as held:
        waiting = [held.enter_context(daemon.connect("daytime")) for _ in range(10)]
        for s in waiting:  # the server has ended its half, the client keeps its own: FIN_WAIT2
            assert read_until(s, b"\r\n") and s.recv(1) == b""
        open_ones = [held.enter_context(daemon.connect("echo")) for _ in range(10)]
        for s in open_ones:
            s.sendall(b"x")
            expect(s, "x")
        for _ in range(10):
            talk(daemon, "daytime")
        text = daemon.config_path.read_text(encoding="utf-8")
        assert daemon.stop() == 0
        states = {int(line.split()[3], 16) for table in ("tcp", "tcp6")
                  for line in pathlib.Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:]
                  if int(line.split()[1].rpartition(":")[2], 16) in ports.values()}
        assert states & {5, 6}, "neither FIN_WAIT2 nor TIME_WAIT: the test is void"
        again = serve(config=text)
        again.ports.update(ports)
        assert talk(again, "echo", data=b"at once") == b"at once"
        assert talk(again, "daytime").endswith(b"-UTC\r\n")


@pytest.mark.root
def test_a_port_without_permission(prise):
    """As a user without rights: port 13, and what lifts the limit."""
    if int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text("ascii")) <= 13:
        pytest.skip("every port is everybody's here")
    with open(prise.path, "rb") as binary:  # which nobody may be unable to reach by its path
        done = subprocess.run(
            ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--",
             f"/proc/self/fd/{binary.fileno()}", "serve", "daytime=127.0.0.1:13"],
            pass_fds=[binary.fileno()], capture_output=True, text=True, env=prise.environment,
            check=False, timeout=SECONDS)
    assert done.returncode == 9 and done.stdout == ""
    assert "127.0.0.1:13" in done.stderr and "permission denied" in done.stderr
    assert "cap_net_bind_service" in done.stderr


# Signals.

def test_sigint(serve):
    daemon = configured(serve, {"echo": ""})
    daemon.signal(signal.SIGINT)
    assert exit_code(daemon) == 130


@pytest.mark.parametrize("loops", [1, 3])
def test_sigterm_ends_what_is_idle_at_once(serve, loops):
    daemon = configured(serve, {"": f'loops = {loops}\ndrain = "1h"', "echo": "", "role": "",
                                "dialogue": "", "chargen": ""})
    with contextlib.ExitStack() as held:
        idle = [held.enter_context(daemon.connect(name))
                for name in ("echo", "dialogue", "role") for _ in range(10)]
        for s in idle[:10]:
            s.sendall(b"x")
            expect(s, "x")
        for s in idle[10:]:
            assert s.recv(1)
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        for s in idle:
            with contextlib.suppress(ConnectionResetError):
                read_all(s)
        assert exit_code(daemon) == 0 and time.monotonic() - began < 5


@pytest.mark.parametrize("loops", [1, 3])
def test_sigterm_lets_unfinished_exchanges_end(serve, loops):
    """A game, half a pickle, an echo that is still on its way: all of them are brought to their
    end; nobody new is let in."""
    daemon = configured(serve, {"": f"loops = {loops}", "guess": "", "sum": "", "echo": ""})
    data = os.urandom(6_000_000)
    with daemon.connect("guess") as game, daemon.connect("sum") as half, \
            daemon.connect("echo") as big:
        game.sendall(b"2\n")
        read_until(game, b"Votre nombre ?\n")
        half.sendall(b"\x0e\0\0\0\x80\x03]q\0(K\x01")
        sender = threading.Thread(target=big.sendall, args=(data,))
        sender.start()
        back = big.recv(1)
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("daemon.stopping")
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", daemon.port("echo"))) != 0,
                   "it to stop accepting")
        back += read_exactly(big, len(data) - 1)
        sender.join(SECONDS)
        assert back == data
        half.sendall(b"K\x02K\x03e.")
        assert read_all(half) == b"\x06\0\0\0"
        game.sendall(b"1\n")
        said = read_until(game, b"\n")
        if said == b"plus\n":
            game.sendall(b"2\n")
            assert read_all(game).endswith("trouvé\n".encode())
    assert exit_code(daemon) == 0


def test_a_request_on_its_way_is_not_idle(serve):
    """What the kernel holds for a connection that the daemon has not read yet is answered."""
    daemon = configured(serve, {"": "loops = 1", "echo": ""})
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(daemon.connect("echo")) for _ in range(50)]
        for s in clients:
            s.sendall(b"x")
            expect(s, "x")
        quiet = time.monotonic() + 0.3  # what moved a moment ago counts as unfinished anyway
        daemon.signal(signal.SIGSTOP)
        wait_until(lambda: time.monotonic() > quiet and process_state(daemon.pid) == "T",
                   "it to be stopped")
        daemon.signal(signal.SIGTERM)  # first, so that it is heard of first
        for s in clients:
            s.sendall(b"on its way")
        daemon.signal(signal.SIGCONT)
        for s in clients:
            expect(s, "on its way")
            assert ended(s)
    assert exit_code(daemon) == 0


def process_state(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2][0]


def test_unfinished_exchanges_get_no_more_than_the_drain(serve):
    daemon = configured(serve, {"": 'drain = "400ms"', "guess": ""})
    with daemon.connect("guess") as game:
        game.sendall(b"1000\n")
        read_until(game, b"Votre nombre ?\n")
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert ended(game)
        assert exit_code(daemon) == 0 and 0.35 < time.monotonic() - began < 5


def test_a_second_sigterm_ends_now(serve):
    daemon = configured(serve, {"": 'drain = "1h"', "guess": ""})
    with daemon.connect("guess") as game:
        game.sendall(b"1000\n")
        read_until(game, b"Votre nombre ?\n")
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("daemon.stopping")
        assert daemon.process.poll() is None
        daemon.signal(signal.SIGTERM)
        assert exit_code(daemon) == 0 and ended(game)


@pytest.mark.parametrize("loops", [1, 2, 4])
@pytest.mark.parametrize("what", ["/api/status", "/api/connections", "all leave"])
def test_a_second_sigterm_while_much_is_to_be_heard(serve, what, loops):
    """More than one turn of the loop takes: nobody looks at a service that is gone."""
    most = 620 if loops == 1 else 700
    daemon = configured(serve, {"": f'loops = {loops}\ndrain = "1h"',
                                "http": f"max_connections = {most}"})
    path = "/api/status" if what == "all leave" else what
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(daemon.connect("http")) for _ in range(620)]
        for client in clients:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode())
        with daemon.connect("http"):  # one too many for one loop
            wait_until(lambda: descriptors(daemon) > 620, "all to be let in")
            daemon.signal(signal.SIGTERM)
            daemon.wait_log("daemon.stopping")
            daemon.signal(signal.SIGSTOP)
            daemon.signal(signal.SIGTERM)
            for client in clients:
                if what == "all leave":
                    client.close()
                else:
                    client.sendall(b"\r\n")
            daemon.signal(signal.SIGCONT)
            assert exit_code(daemon) == 0


def test_sigterm_under_load(serve):
    """Clients that come and go as fast as they can: whoever was let in is answered in full."""
    daemon = configured(serve, {"": "loops = 2", "echo": "", "daytime": ""}, options=["-q"])
    broken, stop = [], threading.Event()

    def client():
        while not stop.is_set():
            try:
                answer = talk(daemon, "daytime")
            except OSError:  # refused, or reset out of the kernel's queue
                continue
            if answer and not answer.endswith(b"-UTC\r\n"):
                broken.append(answer)

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        assert talk(daemon, "echo", data=b"served") == b"served"
    daemon.signal(signal.SIGTERM)
    code = exit_code(daemon)
    stop.set()
    for thread in threads:
        thread.join(SECONDS)
    assert code == 0 and not broken


# systemd.

def notifications(daemon):
    said = []
    with contextlib.suppress(BlockingIOError):
        while True:
            said.append(daemon.notify.recv(4096).decode())
    return said


def test_sd_notify(serve):
    daemon = configured(serve, {"echo": ""}, wait=False)
    said = []

    def heard(word):
        said.extend(notifications(daemon))
        return any(word in one for one in said)

    wait_until(lambda: heard("READY=1"), "READY=1")
    assert talk(daemon, "echo", data=b"ready is ready") == b"ready is ready"
    said.clear()
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: heard("READY=1"), "READY=1 again")
    assert said[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
    said_us = int(said[0].rpartition("=")[2])
    assert 0 <= time.clock_gettime(time.CLOCK_MONOTONIC) - said_us / 1e6 < SECONDS
    said.clear()
    daemon.signal(signal.SIGTERM)
    assert exit_code(daemon) == 0
    assert heard("STOPPING=1")


def test_sd_notify_in_the_abstract_namespace(prise):
    name = f"\0prise-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(name)
        notify.settimeout(SECONDS)
        prise.start("serve", f"echo=127.0.0.1:{free_port()}", env={"NOTIFY_SOCKET": "@" + name[1:]})
        assert notify.recv(100) == b"READY=1"


def handed_over(prise, sockets, names, *arguments):
    """Starts `prise serve` as systemd does: sockets from descriptor 3 on, and what they are
    called."""
    script = ('import os, sys\nfds = [int(fd) for fd in sys.argv[1].split(",")]\n'
              'kept = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]\n'
              'for i, fd in enumerate(kept):\n    os.dup2(fd, 3 + i)\n    os.close(fd)\n'
              'os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)))\n'
              'os.execv(sys.argv[2], sys.argv[2:])\n')
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(prise.directory / "notify"))
    notify.settimeout(SECONDS)
    fds = [s.fileno() for s in sockets]
    process = subprocess.Popen(
        ["/usr/bin/python3", "-c", script, ",".join(map(str, fds)), prise.path, "serve",
         *arguments],
        pass_fds=fds, env={**prise.environment, "LISTEN_FDNAMES": ":".join(names),
                           "NOTIFY_SOCKET": str(prise.directory / "notify")},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        cwd=prise.directory)
    prise.started.append(process)
    return process, notify


@pytest.mark.parametrize("loops", [1, 3])
def test_sockets_from_systemd(prise, loops):
    """Taken by name; whoever connected before the start is served; the port in the file is not
    bound; they outlive a reload."""
    own = free_port()
    path = prise.directory / "listen.conf"
    text = (f'loops = {loops}\necho {{ listen = "{own}" }}\nguess {{ }}\n'
            'upper { listen = "127.0.0.1:0" }\n')
    path.write_text(text, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as stream, socket.socket(socket.AF_UNIX) as local, \
            socket.create_server(("127.0.0.1", 0)) as guess, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        datagram.bind(("127.0.0.1", 0))
        local.bind(str(prise.directory / "echo.sock"))
        local.listen()
        with socket.create_connection(stream.getsockname(), SECONDS) as early:
            early.sendall(b"before it ran")
            process, notify = handed_over(prise, [stream, guess, datagram, local],
                                          ["echo", "guess", "echo", "echo"], "-c", path.name)
            with notify:
                assert notify.recv(100) == b"READY=1"
                expect(early, "before it ran")
                for turn in range(2):
                    with socket.create_connection(guess.getsockname(), SECONDS) as s:
                        expect(s, "Nombre maximum ?\n")
                    with socket.socket(socket.AF_UNIX) as s:
                        s.settimeout(SECONDS)
                        s.connect(local.getsockname())
                        s.sendall(b"unix")
                        expect(s, "unix")
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                        s.settimeout(SECONDS)
                        s.connect(datagram.getsockname())
                        s.send(b"datagram")
                        assert s.recv(100) == b"datagram"
                    with socket.socket() as s:
                        assert s.connect_ex(("127.0.0.1", own)) != 0
                    if turn == 0:
                        path.write_text(text.replace("echo {", "echo { idle = 5m"),
                                        encoding="utf-8")
                        process.send_signal(signal.SIGHUP)
                        assert notify.recv(100).startswith(b"RELOADING=1")
                        assert notify.recv(100) == b"READY=1"
            early.sendall(b"still")
            expect(early, "still")
        before = cpu_of(process.pid)
        select.select([], [], [], 0.2)
        assert cpu_of(process.pid) - before < 0.1
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0, process.stderr.read()


def cpu_of(pid):
    words = pathlib.Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return sum(map(int, words[11:13])) / os.sysconf("SC_CLK_TCK")


def test_a_socket_from_systemd_that_does_not_listen(prise):
    """It is left out with a word, and never spun on."""
    with socket.socket() as idle:
        idle.bind(("127.0.0.1", 0))
        process, notify = handed_over(prise, [idle], ["echo"], f"echo=127.0.0.1:{free_port()}")
        with notify:
            assert notify.recv(100) == b"READY=1"
        before = cpu_of(process.pid)
        select.select([], [], [], 0.2)
        assert cpu_of(process.pid) - before < 0.1, "it spins"


# Its output.

def test_the_log_as_ndjson(serve):
    daemon = configured(serve, {"inbox": "", "sum": "", "dialogue": "",
                                "echo": "max_per_source = 1"},
                        options=["--json", "-v"])
    talk(daemon, "inbox", data="première\n\x1b[31m\"quoted\"\0\xff".encode("latin-1"))
    talk(daemon, "sum", data=b"\x05\0\0\0cos\n.")
    with daemon.connect("echo") as one:
        one.sendall(b"x")
        expect(one, "x")
        with daemon.connect("echo") as two:
            assert ended(two)
    with daemon.connect("dialogue") as s:
        s.sendall(b"bonjour")
        read_until(s, b"bonjour")
    assert daemon.stop() == 0
    events = [json.loads(line) for line in daemon.out_path.read_bytes().splitlines()]
    kinds = {event["type"] for event in events}
    assert {"inbox.message", "conn.open", "conn.close", "dialogue.message",
            "daemon.stopping"} <= kinds
    for event in events:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["time"])
        assert event["host"]


@pytest.mark.parametrize("kind", ["blocked", "closed", "full", "pipe"])
def test_an_output_that_fails(prise, kind):
    """The log has nowhere to go: the services go on, and a signal still ends it with its own
    code."""
    if kind == "full" and not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    port, notify_path = free_port(), prise.directory / "notify"
    reader, writer = os.pipe()
    if kind == "blocked":
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, bytes(65536))
        os.set_blocking(writer, True)
    target = {"blocked": "", "pipe": "", "closed": ">&-", "full": ">/dev/full"}[kind]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(notify_path))
        notify.settimeout(SECONDS)
        process = subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$0" serve -v inbox=127.0.0.1:{port} {target}', prise.path],
            env={**prise.environment, "NOTIFY_SOCKET": str(notify_path)}, stdout=writer,
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=prise.directory)
        prise.started.append(process)
        os.close(writer)
        if kind == "pipe":
            os.close(reader)  # nobody is there to read
        assert notify.recv(100) == b"READY=1"
        for _ in range(300):
            with socket.create_connection(("127.0.0.1", port), SECONDS) as s:
                s.sendall(b"x" * 1000)
                s.shutdown(socket.SHUT_WR)
                assert read_all(s) == b""
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
    if kind != "pipe":
        os.close(reader)


def nothing_waits(port):
    """Whether the kernel holds no datagram for a port of 127.0.0.1."""
    rows = [line.split() for line in pathlib.Path("/proc/net/udp").read_text("ascii").splitlines()]
    return all(row[4].endswith(":00000000") for row in rows if row[1].endswith(f":{port:04X}"))


def test_a_log_that_nobody_reads_for_a_while(prise):
    """More events than are kept: once somebody reads again, a gap tells how many are missing."""
    port, notify_path = free_port(), prise.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(notify_path))
        notify.settimeout(SECONDS)
        process = prise.start("serve", "--json", f"inbox=127.0.0.1:{port}",
                              env={"NOTIFY_SOCKET": str(notify_path)}, stderr=subprocess.DEVNULL)
        assert notify.recv(100) == b"READY=1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", port))
        for _ in range(800):  # it keeps 65,536
            deadline = time.monotonic() + SECONDS
            for _ in range(100):
                s.send(b"x")
            while not nothing_waits(port):
                assert time.monotonic() < deadline
    gap = next(line for line in process.stdout if b'"type":"gap"' in line)
    assert json.loads(gap)["dropped"] > 0
    process.send_signal(signal.SIGTERM)
    rest = process.stdout.read()
    assert process.wait(SECONDS) == 0 and rest.endswith(b"\n")


# What a client is told.

def test_refused_on_this_machines_own_address(serve, prise):
    """Somebody listens on loopback only: the hint says so."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(("192.0.2.1", 9))
            own = s.getsockname()[0]
    except OSError:
        pytest.skip("no address but loopback here")
    daemon = configured(serve, {"daytime": 'listen = "127.0.0.1:PORT"'})
    done = prise("daytime", f"{own}:{daemon.port('daytime')}")
    assert done.code == 4 and "on loopback only" in done.err


def test_the_table_says_who_reaches_what(serve):
    daemon = configured(serve, {"echo": 'listen = "any:PORT"',
                                "daytime": 'listen = "127.0.0.1:PORT"',
                                "inbox": 'listen = "any:PORT"'}, options=["--insecure"])
    log = daemon.log()
    assert re.search(rf"^echo +tcp +0\.0\.0\.0:{daemon.port('echo')} +anyone", log, re.M)
    assert re.search(rf"^echo +udp +0\.0\.0\.0:{daemon.port('echo')} +anyone", log, re.M)
    assert re.search(rf"^daytime +tcp +127\.0\.0\.1:{daemon.port('daytime')} +this machine only",
                     log, re.M)
    assert re.search("INSECURE.*inbox", log) and not re.search("INSECURE.*echo", log)


def test_descriptors_are_raised_to_what_the_system_allows(serve):
    daemon = configured(serve, {"echo": ""})
    soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    assert soft == hard
