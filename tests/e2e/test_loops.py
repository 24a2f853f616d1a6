"""Several loops at once, each with clients of every kind; also run with ThreadSanitizer."""

import concurrent.futures
import signal
import socket

import pytest
from support import SECONDS, free_port, wait_until

pytestmark = pytest.mark.thread


@pytest.fixture
def daemon(serve):
    """Four loops; a spread service (echo), a homed one (role), and one that speaks first."""
    names = ("echo", "daytime", "guess", "role", "chargen")
    ports = {name: free_port() for name in names}
    blocks = "".join(f'{name} {{ listen = "127.0.0.1:{port}" }}\n' for name, port in ports.items())
    started = serve(config=f"loops = 4\nsandbox = no\n{blocks}")
    started.ports.update(ports)
    return started


def echo_once(daemon, number):
    data = b"%d " % number * 5000
    with daemon.connect("echo") as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        back = b"".join(iter(lambda: s.recv(65536), b""))
    assert back == data


def udp_once(daemon, number):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(SECONDS)
        s.connect(("127.0.0.1", daemon.port("echo")))
        s.send(b"%d" % number)
        assert s.recv(100) == b"%d" % number


def daytime_once(daemon, _):
    with daemon.connect("daytime") as s:
        assert s.recv(100).endswith(b"-UTC\r\n")


def role_once(daemon, _):
    with daemon.connect("role") as s:
        assert s.recv(100).startswith((b"principal", b"secondaire"))  # a promotion may be behind


def leave_chargen(daemon, _):
    with daemon.connect("chargen") as s:
        s.recv(10000)


def test_every_kind_of_client_on_every_loop(daemon):
    works = [echo_once, udp_once, daytime_once, role_once, leave_chargen]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        done = [pool.submit(works[n % len(works)], daemon, n) for n in range(300)]
        for one in done:
            one.result(SECONDS)


def test_reload_and_drain_with_clients_on_every_loop(daemon):
    clients = [daemon.connect("echo") for _ in range(40)]
    roles = [daemon.connect("role") for _ in range(8)]
    for client in clients:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    daemon.signal(signal.SIGHUP)
    daemon.wait_ready()
    echo_once(daemon, 1)
    for client in clients:
        client.sendall(b"y")
        assert client.recv(1) == b"y", "a reload leaves connections alone"
    daemon.signal(signal.SIGTERM)
    wait_until(lambda: daemon.process.poll() is not None, "serve to end")
    assert daemon.process.returncode == 0
    for client in clients + roles:
        client.close()
