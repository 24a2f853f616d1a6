"""Parts of the dashboard that want a daemon in a state of its own, which the mock has, and the pure
parts of the page, run in the browser."""

import json
import re

import pytest
from pages import chromium, mocked, page  # noqa: F401
from support import ROOT, wait_until

WEB = ROOT / "web"


def log_rows(page):
    return page.texts("#log .rows .row:not([hidden])")


def set_value(page, selector, value, event="input"):
    page.driver.execute_script("""const element = document.querySelector(arguments[0]);
        element.value = arguments[1]; element.dispatchEvent(new Event(arguments[2]));""",
                               selector, value, event)


# The dictionary

def test_every_word_in_both_languages(page, mocked):
    """No key is missing in one language, none that is used is missing in both, and the values that
    a sentence takes are the same."""
    page.open(mocked().url)
    words = page.module("words", "return m.words")
    assert list(words["en"]) == list(words["fr"])
    for key, text in words["en"].items():
        names = re.compile(r"\{(\w+)\}")
        assert set(names.findall(text)) == set(names.findall(words["fr"][key])), key
        assert text and words["fr"][key], key
    sources = "\n".join(path.read_text() for path in sorted(WEB.rglob("*.*"))
                        if path.suffix in (".js", ".html") and path.name != "words.js")
    used = set(re.findall(r"\bt\('([\w.]+)'", sources))
    used |= set(re.findall(r"data-t(?:-\w+)?[\"']?\s*[=:]\s*[\"']([\w.]+)[\"']", sources))
    used |= set(re.findall(r"(?:label|title): '([\w.]+)'", sources))
    used |= set(re.findall(r"choice\('([\w.]+)'", sources))
    used |= set(re.findall(r"\? '(\w+\.[\w.]+)' : '(?:\w+\.[\w.]+)'", sources))
    assert len(used) > 60
    assert used <= set(words["en"])
    services = re.findall(r"^SERVICE\((\w+),", (ROOT / "src/service/service.def").read_text(), re.M)
    assert {f"about.{name}" for name in services} <= set(words["en"])


def test_what_is_shown_is_a_word_and_not_its_key(page, mocked):
    for language in ("en", "fr"):
        page.open(mocked().url, language=language)
        page.keys("?")
        shown = page.js("document.body.innerText + [...document.querySelectorAll('[title], "
                        "[placeholder], [aria-label]')].map(e => e.title + ' ' + (e.placeholder "
                        "|| '') + ' ' + e.ariaLabel).join(' ')")
        keys = page.module("words", "return Object.keys(m.words.en)")
        assert [key for key in keys if "." in key
                and re.search(rf"(?<![\w.]){re.escape(key)}(?![\w.])", shown)] == []
        assert not re.search(r"\{\w+\}|undefined|NaN|null\b(?! )", shown)


# The pure parts

def test_server_sent_events_however_cut(page, mocked):
    page.open(mocked().url)
    stream = ("\ufeff: hello\r\nid: 7-ab\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n"
              "event: status\ndata:{}\n\nevent: x\n\nretry: 9\rdata: é\rid\r\rdata: cut off")
    expected = [{"name": "message", "id": "7-ab", "data": "{\"a\":\n1}"},
                {"name": "status", "id": None, "data": "{}"},
                {"name": "message", "id": "", "data": "é"}]
    found = page.module("stream", f"""
        const text = {json.dumps(stream[1:])};
        const cut = (size) => {{
            const events = [];
            const feed = m.sse_parser((event) => events.push(event));
            for (let i = 0; i < text.length; i += size)
                feed(text.slice(i, i + size));
            return events;
        }};
        return [1, 2, 3, 5, 7, 1000].map(cut);""")
    assert found == [expected] * 6


def test_integers_stay_exact(page, mocked):
    page.open(mocked().url)
    text = ('{"a":18446744073709551615,"b":-9223372036854775807,"c":"12345678901234567890",'
            '"d":1.5,"e":[12345678901234567,1],"f":"\\"9999999999999999999"}')
    found = page.module("format", f"return m.parse({json.dumps(text)})")
    assert found == {"a": "18446744073709551615", "b": "-9223372036854775807",
                     "c": "12345678901234567890", "d": 1.5, "e": ["12345678901234567", 1],
                     "f": '"9999999999999999999'}


def test_numbers_as_people_read_them(page, mocked):
    page.open(mocked().url)
    found = page.module("format", """return [0, 999, 999.6, 1000, 12345, 99949, 99951, 999600, 2e15]
        .map((n) => m.size(n).join(' ')).concat([0, 59e3, 60e3, 3.7e6, 90061e3]
        .map((n) => m.duration(n).replaceAll('\\u00a0', ' ')), m.duration(1500, true))""")
    assert found[:9] == ["0 B", "999 B", "1.0 kB", "1.0 kB", "12.3 kB", "99.9 kB", "100 kB",
                         "1.0 MB", "2.0 PB"]
    assert found[9:] == ["0 s", "59 s", "1 min", "1 h 1 min", "1 d 1 h", "1,500\u00a0ms"]


def test_places(page, mocked):
    page.open(mocked().url)
    listen = [["127.0.0.1:7", "[::1]:7"], ["0.0.0.0:7", "[::]:7"], ["127.0.0.1:7"],
              ["127.0.0.1:7", "[::1]:8"], ["10.0.0.1:7", "[::1]:7", "127.0.0.1:7"], ["unix:/x"]]
    found = page.module("services", f"""return {json.dumps(listen)}.map((all) =>
        m.places_of(all.map((address) => ({{ transport: 'tcp', address }}))).join(' '))""")
    assert found == ["localhost:7", "*:7", "127.0.0.1:7", "127.0.0.1:7 [::1]:8",
                     "localhost:7 10.0.0.1:7", "unix:/x"]


def test_levels_of_events_without_one(page, mocked):
    page.open(mocked().url)
    types = {"error": 4, "daemon.reload_failed": 4, "conn.refused": 3, "gap": 3, "role.lost": 3,
             "daemon.stopping": 2, "conn.open": 0, "inbox.message": 1, "role.change": 1}
    found = page.module("events", f"""return {json.dumps(list(types))}.map((type) =>
        m.event_of({{ type }}).rank)""")
    assert found == list(types.values())


# The link

def test_it_asks_for_a_token(page, mocked):
    page.tolerant = True
    site = mocked(token="s3same")
    page.open(site.url, wait=False)
    page.wait("!document.querySelector('#login').hidden", "the form")
    assert page.js("document.activeElement.id") == "token"
    assert page.texts("#nav a") == []
    page.keys("wrong", "\ue007")
    refusal = "document.querySelector('#login-error').textContent"
    page.wait(f"{refusal} === 'This is not a token that the daemon knows.'", "the refusal")
    page.keys("from afar", "\ue007")
    page.wait(f"{refusal}.startsWith('a proxy sends another Host')", "the page's own origin")
    site.mock.wrong = 5
    page.keys("wrong", "\ue007")
    page.wait(f"{refusal} === 'Too many wrong tokens: wait a moment.'", "the other refusal")
    page.keys("s3same", "\ue007")
    page.wait("document.body.dataset.link === 'live'", "the link to be live")
    assert not page.find("#login").is_displayed()
    assert page.js("document.querySelector('#token').value") == ""
    assert page.js("location.search") == ""


def test_it_goes_on_where_it_was(page, mocked):
    """The same run of the daemon after a broken link: the stream is asked for from the last id."""
    page.tolerant = True
    site = mocked()
    page.open(site.url)
    site.say("before")
    page.wait("document.querySelector('#log').textContent.includes('before')", "an event")
    site.mock.lively = False
    number = site.mock.seq
    site.stop()
    page.wait("document.body.dataset.link === 'waiting'", "the link to be given up")
    site.say("meanwhile")
    site.mock.start(same_run=True)
    page.wait("document.body.dataset.link === 'live'", "the link to be live")
    page.wait("document.querySelector('#log').textContent.includes('meanwhile')", "what it missed")
    assert site.mock.last_ids[0] is None
    assert int(site.mock.last_ids[-1].split("-")[0]) == number
    shown = [text for text in log_rows(page) if "before" in text]
    assert len(shown) == 1


def test_a_new_run_begins_anew(page, mocked):
    page.tolerant = True
    site = mocked()
    page.open(site.url)
    for number in range(300):
        site.say(f"old {number}")
    page.wait("document.querySelector('#log').textContent.includes('old 299')", "events")
    site.stop()
    page.wait("document.body.dataset.link === 'waiting'", "the link to be given up")
    site.start()
    page.wait("document.body.dataset.link === 'live'", "the link to be live")
    site.say("new")
    page.wait("document.querySelector('#log').textContent.includes('text=new')", "events")
    assert not any("old" in text for text in log_rows(page))
    assert any("the daemon started anew" in text for text in log_rows(page))


def test_a_silent_link_is_given_up(page, mocked):
    """No status for five seconds, though the connection stands: a peer that vanished."""
    site = mocked()
    page.open(site.url)
    streams = site.mock.stream_count
    site.mock.silent = True
    page.wait("document.body.dataset.link !== 'live'", "the link to be given up")
    wait_until(lambda: site.mock.stream_count > streams, "another try")


def test_what_was_dropped_and_missed_is_said(page, mocked):
    site = mocked()
    page.open(site.url)
    assert page.texts(".facts .warn") == []
    site.mock.dropped = 17
    site.mock.publish("gap", {"from": 5, "to": 24})
    page.wait("document.querySelectorAll('.facts .warn:not([hidden])').length === 2", "the counts")
    assert page.texts(".facts .warn dd") == ["17", "20"]
    page.wait("document.querySelector('#log').textContent.includes('missed: 20 events (5 to 24)')",
              "the gap in the log")


def test_sections_appear_with_their_service(page, mocked):
    site = mocked(services=["echo", "http"])
    page.open(site.url)
    page.wait("document.querySelectorAll('#nav a').length === 3", "the sections")
    assert page.texts("#nav a") == ["Services", "Connections", "Log"]
    assert not page.find(".tile-principal").is_displayed()
    with site.mock.lock:
        from web_mock import service_row
        site.mock.services["role"] = service_row("role")
    page.wait("document.querySelectorAll('#nav a:not([hidden])').length === 4", "roles")
    assert page.texts("#nav a") == ["Services", "Connections", "Roles", "Log"]
    page.wait("document.querySelector('.roles .row.principal .name')?.textContent === 'alpha'",
              "the principal")
    with site.mock.lock:
        del site.mock.services["role"]
    page.wait("document.querySelector('#roles').hidden", "roles to go")
    assert page.texts("#nav a") == ["Services", "Connections", "Log"]


# Much of everything

def test_the_page_holds_so_many_events_and_no_more(page, mocked):
    site = mocked()
    site.mock.lively = False
    page.open(site.url)
    site.say("the one to keep")
    for number in range(9000):
        site.mock.event("conn.open", "debug", "echo", peer=f"127.0.0.1:{number}")
    wait_until(lambda: page.module("model", f"return m.model.log.last >= {site.mock.seq}"),
               "all to come")
    assert page.module("model", "return m.model.log.size") < 5500
    page.wait("document.querySelector('#log').textContent.includes('the one to keep')",
              "what a flood of details must not wash away")
    assert page.js("document.querySelectorAll('#log .row').length") < 100


def test_a_flood_of_events_leaves_the_page_alive(page, mocked):
    site = mocked()
    page.open(site.url)
    for burst in range(5):
        for number in range(1000):
            site.say(f"burst {burst} event {number}")
        page.wait(f"document.querySelector('#log').textContent.includes('burst {burst} event 999')",
                  "the burst", seconds=5)


def test_older_events_come_when_one_scrolls_down(page, mocked):
    site = mocked()
    site.mock.lively = False
    for number in range(2500):
        site.say(f"event number {number}")
    page.open(site.url)
    page.wait("document.querySelector('#log').textContent.includes('number 2499')", "events")
    page.keys("gl", "G")
    page.wait("document.querySelector('#log .note').textContent.startsWith('2,0')", "older ones")
    wait_until(lambda: page.keys("G") or any("number 20" in text for text in log_rows(page)),
               "the older ones in sight")


def test_no_older_events_are_asked_for_before_the_first_ones_came(page, mocked):
    site = mocked()
    site.mock.lively = False
    for number in range(3):
        site.say(f"event number {number}")
    site.mock.log_goes.clear()
    page.open(site.url, wait=False)
    page.wait("document.querySelector('#link-text').textContent.includes('live')", "the link")
    page.module("link", "m.ask_older(); return true;")
    site.mock.log_goes.set()
    page.wait("document.querySelector('#log').textContent.includes('number 2')", "events")
    asked = [path for path in site.mock.asked if path.startswith("/api/log")]
    assert asked and not [path for path in asked if "before" in path]


def test_what_matches_is_looked_for_beneath_a_flood_of_details(page, prise, serve):
    """With -v the newest thousand events may all be connections that open and close."""
    daemon = serve("http", "inbox", "daytime", options=["-v"])
    with daemon.connect("inbox") as s:
        s.sendall(b"the one that is looked for\n")
        daemon.wait_log("the one that is looked for")
    for _ in range(700):
        with daemon.connect("daytime") as s:
            while s.recv(100):
                pass
    page.open(f"http://127.0.0.1:{daemon.port('http')}/")
    page.wait("document.querySelector('#log').textContent.includes('the one that is looked for')",
              "it among the rest")
    page.close()


def test_a_name_that_is_not_the_daemons(page, serve):
    page.tolerant = True
    daemon = serve("http")
    page.open(f"http://prise.localhost.:{daemon.port('http')}/", wait=False)
    page.wait("document.querySelector('#link-text').textContent.includes('hosts = in http')",
              "why", seconds=10)


def test_who_scrolled_down_goes_on_seeing_the_same(page, mocked):
    site = mocked()
    site.mock.lively = False
    for number in range(200):
        site.say(f"event number {number} ")
    page.open(site.url)
    page.wait("document.querySelector('#log').textContent.includes('number 199')", "events")
    page.driver.execute_script("document.querySelector('.list.log').scrollTop = 1000")
    page.wait("!document.querySelector('#log').textContent.includes('number 199')", "the scroll")
    where = """(() => { const list = document.querySelector('.list.log');
        const { left, top } = list.getBoundingClientRect();
        return document.elementFromPoint(left + 50, top + 200).closest('.row')
            .querySelector('.fields').textContent; })()"""
    seen = page.js(where)
    for number in range(50):
        site.say(f"another {number} ")
    page.wait("document.querySelector('#log .news').textContent.includes('50')", "the news")
    assert page.js(where) == seen
    page.find("#log .news").click()
    page.wait("document.querySelector('#log').textContent.includes('another 49')", "the newest")


@pytest.mark.parametrize("number", [100000])
def test_a_hundred_thousand_connections_are_sorted_and_searched(page, mocked, number):
    site = mocked(connections=number)
    page.open(site.url)
    first = ".connections .rows .row:not([hidden])"
    page.wait("document.querySelector('#connections .note').textContent === '100,000 open'", "all")
    asked = [path for path in site.mock.asked if "connections" in path]
    assert len(asked) < 10  # only what is in sight
    page.find("#connections .head .out button").click()
    page.wait("document.querySelector('#connections .head .out').ariaSort === 'descending'",
              "the order")
    most = max(one["bytes_out"] for one in site.mock.connections)
    peers = [one["peer"] for one in site.mock.connections if one["bytes_out"] == most]
    wait_until(lambda: page.js(f"""[...document.querySelectorAll('{first}')].some(row =>
        row.getAttribute('aria-rowindex') === '2' && {json.dumps(peers)}.includes(
            row.querySelector('.peer').textContent))"""), "the one that was sent most", 60)
    peer = site.mock.connections[77777]["peer"]
    set_value(page, "#connections .filter", peer)
    page.wait("document.querySelector('#connections .note').textContent === '1 of 100,000'",
              "the one found", 60)
    assert page.text(f"{first} .peer") == peer
    set_value(page, "#connections .filter", "")
    set_value(page, "#connections select", "echo", "change")
    page.wait(f"[...document.querySelectorAll('{first} .service')].every(e => e.textContent === "
              "'echo')", "one service")


# Manners

TIMERS = """window.timers = new Set();
for (const kind of ['Timeout', 'Interval']) {
    const set = window[`set${kind}`], clear = window[`clear${kind}`];
    window[`set${kind}`] = (call, ms) => {
        const id = set(() => { if (kind === 'Timeout') timers.delete(id); call(); }, ms);
        timers.add(id);
        return id;
    };
    window[`clear${kind}`] = (id) => { timers.delete(id); clear(id); };
}
window.frames_asked = 0;
const ask = window.requestAnimationFrame;
window.requestAnimationFrame = (call) => { window.frames_asked++; return ask(call); };"""


def test_nothing_ticks_while_the_page_is_hidden(page, mocked):
    script = page.cdp("Page.addScriptToEvaluateOnNewDocument", source=TIMERS)["identifier"]
    try:
        site = mocked()
        page.open(site.url)
        page.wait("window.timers.size > 0", "the tick")
        page.driver.execute_script("""window.is_hidden = true;
            Object.defineProperty(document, 'hidden', { get: () => window.is_hidden });
            document.dispatchEvent(new Event('visibilitychange'));
            window.frames_asked = 0;""")
        assert page.js("window.timers.size") == 0
        site.say("while nobody looks")
        wait_until(lambda: page.module("model", f"return m.model.log.last >= {site.mock.seq}"),
                   "the event")
        assert page.js("window.frames_asked") == 0
        page.driver.execute_script("""window.is_hidden = false;
            document.dispatchEvent(new Event('visibilitychange'));""")
        page.wait("document.querySelector('#log').textContent.includes('while nobody looks')",
                  "the page to catch up")
        assert page.js("window.timers.size") > 0
    finally:
        page.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_motion_is_reduced_when_asked(page, mocked):
    site = mocked()
    page.open(site.url)
    page.wait("document.querySelector('.roles .row.principal')", "roles")
    for reduce, name in (("no-preference", "changed"), ("reduce", "none")):
        page.prefer("prefers-reduced-motion", reduce)
        site.role_change()
        page.wait("document.querySelector('#roles.changed')", "the mark of the change")
        assert page.js("getComputedStyle(document.querySelector('#roles')).animationName") == name


def test_the_grids_are_named_and_counted(page, mocked):
    page.open(mocked(connections=1234).url)
    page.wait("document.querySelector('.list.connections').ariaRowCount === '1235'", "the count")
    for name in ("services", "connections", "roles", "log"):
        grid = page.find(f".list.{name}")
        assert grid.get_attribute("role") == "grid"
        assert grid.get_attribute("aria-label")
        assert grid.get_attribute("tabindex") == "0"
    assert page.js("""[...document.querySelectorAll('input, select, button')].every((e) =>
        !e.offsetParent || e.labels?.length || e.ariaLabel || e.textContent.trim())""")
    assert page.js("document.querySelectorAll('h1').length") == 1
    assert page.find("#live").get_attribute("aria-live") == "polite"
