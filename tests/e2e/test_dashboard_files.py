"""The dashboard's room for changes of watched directories, and /api/files behind it, over the
program itself."""

import http.client
import json
import time
import urllib.parse

import pytest
from feeding import Feed, changes, plain, record
from pages import chromium  # noqa: F401
from pages import page as bare_page  # noqa: F401
from support import SECONDS, wait_until

ROW = "#files .rows .row:not([hidden]):not(.unknown)"


@pytest.fixture
def daemon(serve):
    return serve("collect", "http")


@pytest.fixture
def page(bare_page, daemon):  # noqa: F811
    """Left before the daemon ends."""
    yield bare_page
    bare_page.close()


def fill(daemon, number=3000, host="far"):
    with Feed(daemon.port("collect"), host=host) as feed:
        for at in range(0, number, 1000):
            feed.send(*changes(min(1000, number - at), at))
        feed.wait_acknowledged()
        return feed.instance.hex()


def ask(daemon, place, **query):
    """(status, what it says)"""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port("http"), timeout=SECONDS)
    connection.request("GET", f"{place}?{urllib.parse.urlencode(query)}")
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


def asked(daemon, **query):
    status, found = ask(daemon, "/api/files", **query)
    assert status == 200, found
    return found


# The API

def test_pages_of_files(daemon):
    fill(daemon)
    first = asked(daemon)
    assert first["newest"] == 3000 and len(first["files"]) == 200 and not first["end"]
    rows, before = [], 0
    while True:
        found = asked(daemon, limit=1000, **({"before": before} if before else {}))
        rows += [one["row"] for one in found["files"]]
        before = found["at"]
        if found["end"]:
            break
    assert rows == list(range(3000, 0, -1))
    newest = first["files"][0]
    assert (newest["path"], newest["type"], newest["seq"]) == ("/tree/2999", "watch.create", 3000)
    later = asked(daemon, after=2990, limit=4)
    assert [one["row"] for one in later["files"]] == [2991, 2992, 2993, 2994]
    assert later["at"] == 2994 and asked(daemon, after=3000)["files"] == []


def test_filters_of_files(daemon):
    now = time.time_ns() // 1000
    with Feed(daemon.port("collect"), host="a b&c") as feed:
        feed.send(record("create", "/x/é %.conf", when_us=now - 7200_000_000),
                  record("delete", "/x/b", when_us=now))
        feed.wait_acknowledged()
    plain(daemon.port("collect"), b"CREATE:/y\n")
    wait_until(lambda: asked(daemon)["newest"] == 3, "all three")

    def paths(**query):
        return [one["path"] for one in asked(daemon, **query)["files"]]

    assert paths(text="É %.c") == []  # cases of ASCII alone
    assert paths(text="é %.C") == paths(path="/x/*.conf") == paths(until="1h") == ["/x/é %.conf"]
    assert paths(client="a b&c") == ["/x/b", "/x/é %.conf"]
    assert paths(client="127.0.0.1", type="create,gap") == ["/y"]
    assert paths(client="127.0.0.", type="create,gap") == ["/y", "/x/é %.conf"]
    assert paths(until="1970-01-01T00:00:00Z") == []
    assert paths(since="10m", type="delete") == ["/x/b"]
    status, found = ask(daemon, "/api/clients")
    assert status == 200 and sorted(c["name"] for c in found["clients"]) == ["", "a b&c"]


@pytest.mark.parametrize("query", [{"type": "bad"}, {"since": "soon"}, {"text": "a\0b"},
                                   {"path": "x" * 2000}, {"before": "abc"}, {"before": "-1"},
                                   {"after": "9" * 20}, {"limit": "many"}])
def test_queries_that_are_none(daemon, query):
    status, found = ask(daemon, "/api/files", **query)
    assert status == 400 and found["error"] == "query"


def test_no_store(serve):
    daemon = serve("http")
    assert ask(daemon, "/api/files")[0] == 404
    assert ask(daemon, "/api/clients")[0] == 404


# The page

def open_page(page, daemon, **how):
    page.open(f"http://127.0.0.1:{daemon.port('http')}/", **how)


def shown(page):
    return page.js(f"[...document.querySelectorAll('{ROW}')].sort((a, b) =>"
                   " a.getAttribute('aria-rowindex') - b.getAttribute('aria-rowindex'))"
                   ".map(r => r.querySelector('.path').textContent)")


def set_value(page, selector, value, event):
    page.driver.execute_script("""const element = document.querySelector(arguments[0]);
        element.value = arguments[1]; element.dispatchEvent(new Event(arguments[2]));""",
                               f"#files {selector}", value, event)


def test_all_of_a_long_store(page, daemon):
    fill(daemon)
    open_page(page, daemon)
    wait_until(lambda: shown(page)[:2] == ["/tree/2999", "/tree/2998"], "the newest")
    assert page.text("#files .note") == "3,000 changes kept"
    assert len(page.all("#files .rows .row")) < 100  # windowed
    page.driver.execute_script("const list = document.querySelector('#files .list');"
                               "list.scrollTop = list.scrollHeight")
    wait_until(lambda: shown(page)[-1:] == ["/tree/0"], "the oldest")


def test_it_is_live(page, daemon):
    fill(daemon, 10)
    open_page(page, daemon)
    wait_until(lambda: len(shown(page)) == 10, "what was there")
    plain(daemon.port("collect"), b"DELETE:gone\n")
    wait_until(lambda: shown(page)[:1] == ["gone"], "the change")
    fill(daemon, 5000)  # more than a page, more than the stream tells
    wait_until(lambda: shown(page)[:1] == ["/tree/4999"], "the newest")
    wait_until(lambda: page.text("#files .note") == "5,011 changes kept", "their number")


def test_it_asks_for_nothing_while_nothing_happens(page, daemon):
    fill(daemon, 30)
    open_page(page, daemon)
    wait_until(lambda: len(shown(page)) > 5, "the changes")

    def requests():
        return page.js("performance.getEntriesByType('resource')"
                       ".filter(e => e.name.includes('api/files')).length")

    def statuses():
        return page.module("model", "return m.model.status.time")

    seen = set()
    wait_until(lambda: seen.add(statuses()) or len(seen) > 2, "the page to settle")
    before = requests()
    seen.clear()
    wait_until(lambda: seen.add(statuses()) or len(seen) > 3, "more statuses")
    assert requests() - before <= 1


def test_filters_of_the_page(page, daemon):
    fill(daemon, 2500, host="far")
    fill(daemon, 3, host="near")
    plain(daemon.port("collect"), b"DELETE:one.conf\n")
    open_page(page, daemon)
    wait_until(lambda: len(shown(page)) > 5, "the changes")
    page.keys("g", "f")
    assert page.focused() == "files"
    page.keys("/")
    page.keys(*"/tree/24")
    wait_until(lambda: page.text("#files .note") == "111 found", "the text")
    set_value(page, ".filter", "*/tree/249[0-4]", "input")
    wait_until(lambda: page.text("#files .note") == "5 found", "the pattern")
    set_value(page, ".filter", "", "input")
    set_value(page, "select[aria-label=Type]", "delete", "change")
    wait_until(lambda: shown(page) == ["one.conf"], "the type")
    plain(daemon.port("collect"), b"CREATE:two\nDELETE:three\n")
    wait_until(lambda: shown(page) == ["three", "one.conf"], "what comes and matches")
    set_value(page, "select[aria-label=Type]", "", "change")
    near = page.js("[...document.querySelectorAll('#files select[aria-label=Client] option')]"
                   ".find(o => o.textContent === 'near').value")
    set_value(page, "select[aria-label=Client]", near, "change")
    wait_until(lambda: shown(page) == ["/tree/2", "/tree/1", "/tree/0"], "the client")
    set_value(page, "select[aria-label=Time]", "10m", "change")
    wait_until(lambda: page.text("#files .note") == "3 found", "the time")
    set_value(page, ".filter", "nothing", "input")
    page.wait("document.querySelector('#files .empty').offsetParent", "that nothing matches")
    assert page.text("#files .empty") == "No change matches."


def test_a_change_in_full(page, daemon):
    with Feed(daemon.port("collect"), host="far") as feed:
        feed.send(record("move", b"/t/\xff\xe2\x80\xaegnp.exe", source=b"/t/a", size=1500000))
        feed.wait_acknowledged()
    open_page(page, daemon)
    wait_until(lambda: shown(page), "the change")
    assert shown(page) == ["/t/a → /t/\ufffd\\u202egnp.exe"]
    assert page.text(f"{ROW} .size") == "1.5\u00a0MB" and page.text(f"{ROW} .client") == "far"
    page.keys("g", "f", "j", "\ue007")
    assert page.text("#files .details h3") == "watch.move"
    assert "path_b64" in page.text("#files .details-fields")
    page.keys("\ue00c")
    assert not page.texts("#files .details h3")


@pytest.mark.parametrize("dark", [False, True])
def test_narrow_and_in_french(page, daemon, dark):
    fill(daemon, 50)
    open_page(page, daemon, width=400, height=800, dark=dark, language="fr-FR")
    page.driver.execute_script("document.querySelector('#files').scrollIntoView()")
    wait_until(lambda: len(shown(page)) > 3, "the changes")
    assert page.text("#files h2") == "Fichiers"
    assert page.text("#files .note") == "50 changements gardés"
    assert page.js("document.documentElement.scrollWidth <= 400")
