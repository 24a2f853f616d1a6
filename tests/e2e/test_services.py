"""`prise services` against the table as Python sees it (getservbyname), and without a table."""

import os
import shutil
import socket
import subprocess

import pytest


def rows(done):
    return [tuple(line.split()[:2]) for line in done.out.splitlines()]


@pytest.mark.parametrize("name", ["daytime", "http", "ssh", "domain"])
def test_by_name_as_getservbyname(prise, name):
    done = prise("services", name)
    assert done.code == 0
    assert (name, f"{socket.getservbyname(name, 'tcp')}/tcp") in rows(done)


def test_by_number_alias_and_protocol(prise):
    assert ("http", "80/tcp") in rows(prise("services", "80"))
    assert ("http", "80/tcp") in rows(prise("services", "www"))
    assert rows(prise("services", "53/udp")) == [("domain", "53/udp")]
    assert rows(prise("services", "domain/UDP")) == [("domain", "53/udp")]


def test_everything(prise):
    listed = rows(prise("services"))
    with open("/etc/services", encoding="utf-8") as table:
        lines = [line.split("#")[0].split() for line in table]
    assert listed == [(words[0], words[1]) for words in lines if len(words) >= 2]


def test_what_the_table_lacks(prise):
    done = prise("services", "dytime", "http")
    assert done.code == 1
    assert rows(done) == [("http", "80/tcp")]
    assert "did you mean daytime?" in done.err
    assert prise("services", "99999").code == 1


def test_json(prise):
    done = prise("services", "--json", "http", "nosuchname")
    assert done.code == 1
    entry, missing = done.events
    assert entry["type"] == "services.entry" and entry["port"] == 80 and entry["protocol"] == "tcp"
    assert "www" in entry["aliases"]
    assert missing["type"] == "services.missing" and missing["name"] == "nosuchname"


def without_a_table(prise, *words):
    """A command of prise where /etc/services is empty."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare")
    empty = prise.directory / "empty"
    empty.touch()
    script = f"mount --bind {empty} /etc/services && exec {prise.path} {' '.join(words)}"
    done = subprocess.run(["unshare", "--mount", "--net", "sh", "-c", script],
                          capture_output=True, text=True, check=False,
                          env={**os.environ, **prise.environment})
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr}")
    return done


@pytest.mark.root
def test_without_a_table_names_are_ports_all_the_same(prise):
    for words in (("daytime", "127.0.0.1:daytime"), ("connect", "-z", "127.0.0.1", "www")):
        done = without_a_table(prise, *words)
        assert done.returncode != 2 and "no service" not in done.stderr
    assert "127.0.0.1:80" in done.stderr
    done = without_a_table(prise, "daytime", "127.0.0.1:nosuch")
    assert done.returncode == 2 and "there is no service nosuch" in done.stderr


@pytest.mark.root
def test_without_a_table_the_built_in_one(prise):
    done = without_a_table(prise, "services", "daytime", "7")
    assert done.returncode == 0
    assert "built-in" in done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["daytime", "13/tcp"], ["daytime", "13/udp"], ["echo", "7/tcp"], ["echo", "7/udp"]]
