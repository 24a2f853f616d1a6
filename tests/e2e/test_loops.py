"""Several loops at once, each with clients of every kind; also run with ThreadSanitizer."""

import concurrent.futures
import contextlib
import signal
import socket
import time

import pytest
from support import SECONDS, free_port, wait_until
from talking import burst, configured, datagrams

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


def own_address():
    """Of this machine, and not loopback: what is sent from it to loopback comes from beyond."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
        except OSError as error:
            pytest.skip(f"no address but loopback: {error}")
        return s.getsockname()[0]


def test_a_source_has_one_bucket_for_all_loops(serve):
    """Its ports are spread over the loops; what it gets is a burst, then so much a second."""
    rate, most, source = 5, 100, own_address()
    daemon = configured(serve, {"": "loops = 4", "http": "",
                                "echo": f"udp_rate = {rate}\nudp_burst = {most}"})
    with contextlib.ExitStack() as held:
        senders = [held.enter_context(datagrams(daemon, "echo", source=(source, 0)))
                   for _ in range(60)]
        began = time.monotonic()
        answered = burst(daemon, "echo", senders)
        counted = time.monotonic()
        assert answered == len(senders)
        while answered < most + 3:
            sending = time.monotonic()
            assert sending < began + SECONDS, "the bucket does not fill again"
            answered += burst(daemon, "echo", senders)
        taken = time.monotonic() - began
    assert most + rate * (sending - counted) - 1 <= answered <= most + rate * taken + 1
