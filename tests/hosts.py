"""Hosts of a test's own: network namespaces on one switch (another namespace with a bridge), each
with 10.77.0.N and fd77::N. What is started inside `with host:` runs on that host, sockets made
there too.

    net = Network(); a = net.host(1); b = net.host(2)
    with a: daemon = serve("echo=any:7777")
    b.cut()                          the cable is out: nobody is told
    b.filter("ip saddr 10.77.0.1 drop")
                                     a rule on what comes in; b.heal() takes cable and rules back
"""

import ctypes
import os
import shutil
import subprocess

import pytest

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def system(*words):
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


class Host:
    def __init__(self, network, name, number):
        self.network, self.name, self.number = network, name, number
        self.v4, self.v6 = f"10.77.0.{number}", f"fd77::{number}"
        self.home = []

    def __enter__(self):
        self.home.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        result = LIBC.setns(there, CLONE_NEWNET)
        os.close(there)
        assert result == 0, os.strerror(ctypes.get_errno())
        return self

    def __exit__(self, *_):
        here = self.home.pop()
        result = LIBC.setns(here, CLONE_NEWNET)
        os.close(here)
        assert result == 0, os.strerror(ctypes.get_errno())

    def run(self, *words):
        system("ip", "netns", "exec", self.name, *words)

    def address(self, address):
        self.run("ip", "address", "add", address, "dev", "eth0", *["nodad"] * (":" in address))

    def cut(self):
        system("ip", "-n", self.network.switch, "link", "set", f"port{self.number}", "down")

    def filter(self, rule, hook="input"):
        """Adds a rule on what comes in (or, with hook="output", goes out)."""
        self.run("nft", "add table inet test")
        self.run("nft", f"add chain inet test {hook} {{ type filter hook {hook} priority 0; }}")
        self.run("nft", f"add rule inet test {hook} {rule}")

    def heal(self):
        self.run("nft", "flush ruleset")
        system("ip", "-n", self.network.switch, "link", "set", f"port{self.number}", "up")


class Network:
    def __init__(self):
        self.names = []
        self.switch = self._namespace("switch")
        system("ip", "-n", self.switch, "link", "add", "bridge", "type", "bridge",
               "mcast_snooping", "0")
        system("ip", "-n", self.switch, "link", "set", "bridge", "up")

    def _namespace(self, name):
        name = f"prise-{os.getpid()}-{name}"
        system("ip", "netns", "add", name)
        self.names.append(name)
        system("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def host(self, number):
        host = Host(self, self._namespace(str(number)), number)
        system("ip", "-n", self.switch, "link", "add", f"port{number}", "type", "veth", "peer",
               "name", "eth0", "netns", host.name)
        system("ip", "-n", self.switch, "link", "set", f"port{number}", "master", "bridge", "up")
        host.run("ip", "link", "set", "eth0", "up")
        host.address(f"{host.v4}/24")
        host.address(f"{host.v6}/64")
        return host

    def end(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture
def net():
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for program in ("ip", "nft"):
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            pytest.skip(f"no {program} here")
    network = None
    try:
        network = Network()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no namespaces here: {error.stderr.decode()}")
    yield network
    network.end()
