"""Role between hosts: partitions, of both sides and of one only. At no moment do two commands
run."""

import time

import pytest
from reigns import Reigns

pytestmark = pytest.mark.root
LEASE_S = 2


@pytest.fixture
def scene(net, prise, serve):
    """A server and two hosts; a is principal and works, b waits."""
    server, first, second = net.host(1), net.host(2), net.host(3)
    with server:
        daemon = serve(config='role { listen = "any:9001" lease = "2s" }',
                       options=["--insecure"])
    reigns = Reigns(prise)
    with first:
        reigns.client("a", f"{server.v4}:9001")
    reigns.wait_for("a")
    with second:
        reigns.client("b", f"[{server.v6}]:9001")
    daemon.wait_log("name=b")
    return server, first, second, reigns


def test_the_principal_is_cut_off(scene):
    """Its command stops by itself before the other's begins; back again, it is second."""
    _, first, _, reigns = scene
    first.cut()
    reigns.wait_for("b")
    first.heal()
    reigns.wait_for("b", time.time() + 2 * LEASE_S)
    assert reigns.check() == ["a", "b"]


def test_the_principal_is_not_heard(scene):
    """What the server says still arrives; what the principal says does not."""
    _, first, _, reigns = scene
    first.filter("tcp dport 9001 drop", hook="output")
    reigns.wait_for("b")
    first.heal()
    reigns.wait_for("b", time.time() + 2 * LEASE_S)
    assert reigns.check() == ["a", "b"]


def test_the_principal_hears_nothing(scene):
    """What it says arrives at first; no answer does. Its lease is one it cannot know of: it
    stops."""
    _, first, _, reigns = scene
    first.filter("tcp sport 9001 drop")
    reigns.wait_until_still("a")
    reigns.wait_for("b")
    first.heal()
    reigns.wait_for("b", time.time() + LEASE_S)
    assert reigns.check() == ["a", "b"]


def test_the_server_is_cut_off(scene):
    """Nobody works without a lease; when it is back, one goes on with a greater epoch."""
    server, _, _, reigns = scene
    server.cut()
    reigns.wait_until_still("a")
    before = time.time()
    server.heal()
    reigns.wait_for("[ab]", before)
    reigns.check()
