"""What is under way over HTTP while the daemon reloads, and when it stops."""

import contextlib
import re
import signal
import threading

from support import free_port

ASK = b"GET /api/connections?limit=50 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_reloads_while_connections_are_listed(serve):
    """A service that goes is not looked at any more by who had asked before."""
    ports = {name: free_port() for name in ("http", "echo", "inbox")}

    def config(turn):
        keys = f"idle = {10 + turn % 5}s"
        blocks = "".join(f'{name} {{ listen = "127.0.0.1:{ports[name]}" {keys} }}\n'
                         for name in ("echo", "inbox"))
        return f'loops = 1\nhttp {{ listen = "127.0.0.1:{ports["http"]}" }}\n{blocks}'

    daemon = serve(config=config(0))
    daemon.ports.update(ports)
    over = threading.Event()

    def ask():
        while not over.is_set():
            with contextlib.suppress(OSError), daemon.connect("http") as s:
                s.sendall(ASK * 20)
                answers = 0
                while answers < 20 and (part := s.recv(65536)):
                    answers += part.count(b"HTTP/1.1 200")

    askers = [threading.Thread(target=ask) for _ in range(6)]
    for asker in askers:
        asker.start()
    try:
        for turn in range(10_000):
            if len(re.findall("daemon.reloaded", daemon.log())) >= 40:
                break
            daemon.config_path.write_text(config(turn), encoding="utf-8")
            daemon.signal(signal.SIGHUP)
            with daemon.connect("http") as s:
                s.sendall(ASK)
                assert s.recv(65536)
    finally:
        over.set()
        for asker in askers:
            asker.join()
