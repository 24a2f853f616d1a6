"""What the tests of TLS share: a local authority, servers of Python's and openssl's, a client that
itself decides how its bytes are cut."""

import socket
import ssl
import subprocess

import pytest
from support import SECONDS, free_port
from talk import need, wait_listening


def openssl(*arguments, cwd):
    need("openssl")
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True,
                   timeout=SECONDS, cwd=cwd)


class Authority:
    """A root certificate, and what it signs."""

    def __init__(self, directory, name="root"):
        self.directory, self.name = directory, name
        self.file = directory / f"{name}.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj",
                f"/CN={name}", cwd=directory)

    def sign(self, name, days=2, names="DNS:localhost,IP:127.0.0.1"):
        """A certificate with its key in one file; days < 0: it ran out that long ago."""
        self.directory.joinpath(f"{name}.ext").write_text(f"subjectAltName={names}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}",
                cwd=self.directory)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey",
                f"{self.name}.key", "-CAcreateserial", "-out", f"{name}.crt", "-extfile",
                f"{name}.ext", "-days", str(days), cwd=self.directory)
        pem = self.directory / f"{name}.both"
        pem.write_bytes(b"".join(self.directory.joinpath(f"{name}.{part}").read_bytes()
                                 for part in ("key", "crt")))
        return pem


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def server_context(pem):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def client_context(pem=None, least=ssl.TLSVersion.TLSv1_3):
    """A client that believes anybody, and shows `pem`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = least
    if pem:
        context.load_cert_chain(pem)
    return context


class Cut:
    """A client whose ciphertext goes out in pieces of `size` bytes, each a segment of its own."""

    def __init__(self, port, size=None, context=None):
        self.size = size
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = (context or client_context()).wrap_bio(self.incoming, self.outgoing)
        self._do(self.object.do_handshake)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def flush(self):
        data = self.outgoing.read()
        size = self.size or len(data)
        for at in range(0, len(data), size or 1):
            self.socket.sendall(data[at:at + size])

    def _do(self, step, *arguments):
        while True:
            try:
                result = step(*arguments)
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                got = self.socket.recv(65536)
                if got:
                    self.incoming.write(got)
                else:
                    self.incoming.write_eof()

    def write(self, data):
        """As one record, which stays here until flush."""
        self.object.write(data)

    def send(self, data):
        self.write(data)
        self.flush()

    def receive(self, size=65536):
        """What one record holds; b"" at close_notify; SSLEOFError where there was none."""
        try:
            return self._do(self.object.read, size)
        except ssl.SSLZeroReturnError:
            return b""

    def receive_exactly(self, size):
        got = b""
        while len(got) < size:
            piece = self.receive(size - len(got))
            assert piece, f"ended after {len(got)} of {size}"
            got += piece
        return got

    def receive_all(self):
        got = b""
        while piece := self.receive():
            got += piece
        return got

    def end(self):
        """Our close_notify, and our half."""
        try:
            self.object.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()


def s_server(peer, pem, *options):
    """`openssl s_server` that says a page to whoever asks; returns its port."""
    port = free_port()
    peer("openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(pem), "-key", str(pem),
         "-www", "-quiet", *options)
    wait_listening(port)
    return port
