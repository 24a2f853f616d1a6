"""The dashboard (docs/dashboard.md) in Chromium: over the mock of its API, and over `prise serve`.
The fixture `page` fails a test during which the console said anything."""

import re

import pytest
from pages import chromium, mocked, page, site, took  # noqa: F401
from support import ROOT, wait_until

LOG_ROW = "#log .rows .row:not([hidden])"
CONNECTION_ROW = "#connections .rows .row:not([hidden])"
ENTER, ESCAPE, TAB = "\ue007", "\ue00c", "\ue004"  # as WebDriver writes them
POLICY = ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
          "img-src 'self' data:", "base-uri 'none'", "form-action 'none'",
          "frame-ancestors 'none'"]


def open_and_log(page, site, **how):
    page.open(site.url, **how)
    site.say("the first word")
    page.wait("document.querySelector('#log').textContent.includes('the first word')",
              "an event in the log")


def set_filter(page, section, text):
    page.driver.execute_script("""const input = document.querySelector(arguments[0]);
        input.value = arguments[1]; input.dispatchEvent(new Event('input'));""",
                               f"#{section} .filter", text)


def test_it_loads(page, site):
    page.open(site.url)
    page.wait("document.querySelector('#services .rows .name')?.textContent", "a service")
    names = page.texts("#services .rows .row:not([hidden]) .name")
    assert {"echo", "inbox", "role", "http"} <= set(names)
    status = page.driver.execute_async_script(
        "const done = arguments[0]; fetch('api/status').then(a => a.json()).then(done)")
    assert page.text("#host") == status["host"] == page.js("document.title").split(" · ")[0]
    assert page.text("#version") == status["version"]
    assert page.text("#uptime")
    assert page.text("#link-text") == "live"
    assert page.texts(".facts .warn") == []
    assert page.texts("#nav a") == ["Services", "Connections", "Roles", "Log"]


def test_the_policy_stands(page, site):
    """The header is the strict one, and the browser holds it."""
    page.open(site.url)
    header = page.driver.execute_async_script(
        "const done = arguments[0];"
        "fetch('.').then(a => done(a.headers.get('content-security-policy')))")
    assert {part.strip() for part in header.split(";") if part.strip()} == set(POLICY)
    page.driver.execute_script("""window.ran = false;
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);""")
    assert page.js("window.ran") is False
    assert len(page.faults()) == 1  # the browser's complaint about that script, and no other


def test_nothing_from_outside():
    for path in sorted((ROOT / "web").rglob("*.*")):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.[a-z]", text), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b",
                             text), path
        assert path.suffix != ".html" or not re.search(r"\sstyle=|\son\w+=|<style", text)


def test_numbers_move(page, site):
    page.open(site.url)
    page.wait("document.querySelector('#services .row .spark .line')", "a sparkline")

    def busy():
        site.traffic()
        return page.module("model", "return m.model.services.get('echo').rate.out > 0")

    wait_until(busy, "the rate of echo")
    page.wait("[...document.querySelectorAll('#services .rows .row')].some(r => r.querySelector("
              "'.name').textContent === 'echo' && r.querySelector('.spark .line')"
              ".getAttribute('d').includes('L'))", "a curve")
    uptime = page.module("model", "return Date.parse(m.model.status.time)")
    wait_until(lambda: page.module("model", "return Date.parse(m.model.status.time)") > uptime,
               "another status")


def test_a_role_change_appears_within_a_second(page, site):
    page.open(site.url)
    site.role_change()
    page.wait("document.querySelector('.roles .row.principal .name')", "a principal")
    seconds = []
    for _ in range(5):
        name = site.role_change()
        seconds.append(took(lambda name=name: page.text(".roles .row.principal .name") == name,
                            f"{name} to be principal"))
        assert page.text(".tile-principal .figure") == name
    assert min(seconds) < 1, seconds
    assert page.texts(".roles .rows .row:not([hidden]) .position")[0] == "1"
    page.wait("document.querySelector('#live').textContent.includes('principal')",
              "the live region")


def test_what_a_peer_sends_is_text(page, site):
    open_and_log(page, site)
    nasty = "<img src=x onerror=\"document.title='broken'\"><b>bold</b>\u202egpj.exe\x1b[31m"
    site.say(nasty)
    page.wait("document.querySelector('#log').textContent.includes('<b>bold</b>')", "the text")
    shown = next(text for text in page.texts(".log .fields") if "<b>" in text)
    assert "\\u202egpj.exe\\x1b[31m" in shown
    assert not page.all(".log .fields img, .log .fields b")
    set_filter(page, "log", "<b>bold")
    page.wait("document.querySelector('#log .note').textContent.startsWith('1 of ')", "one match")
    page.keys("gl", "j", ENTER)
    page.wait("document.querySelector('.details dd')", "its details")
    assert any("<b>bold</b>" in text for text in page.texts(".details dd"))
    assert not page.all(".details img, .details b")
    assert "broken" not in page.js("document.title")


def test_the_log_is_filtered(page, site):
    open_and_log(page, site)
    site.say("needle in the hay")
    page.wait("document.querySelector('#log').textContent.includes('needle')", "the event")
    set_filter(page, "log", "NEEDLE")
    page.wait("document.querySelector('#log .note').textContent.startsWith('1 of ')", "one match")
    assert len(page.texts(LOG_ROW)) == 1
    set_filter(page, "log", "no such thing")
    page.wait("!document.querySelector('#log .empty').hidden", "nothing to match")
    assert page.text("#log .empty") == "No event matches."
    set_filter(page, "log", "")
    page.driver.execute_script("""const [service] = document.querySelectorAll('#log select');
        service.value = 'inbox'; service.dispatchEvent(new Event('change'));""")
    page.wait("new Set([...document.querySelectorAll('.log .rows .row:not([hidden]) .service')]"
              ".map(e => e.textContent)).size === 1", "one service")


def test_the_log_is_held_and_goes_on(page, site):
    open_and_log(page, site)
    page.keys("p")
    page.wait("document.querySelector('#log.paused')", "the pause")
    first = page.text(LOG_ROW)
    site.say("while it is held")
    page.wait("!document.querySelector('#log .news').hidden", "the count of new events")
    assert page.text(LOG_ROW) == first
    assert re.match(r"↑ \d+ new events?$", page.text("#log .news"))
    page.keys("p")
    page.wait("document.querySelector('#log').textContent.includes('while it is held')",
              "the event")
    assert not page.find("#log .news").is_displayed()


def test_the_keyboard(page, site):
    open_and_log(page, site)
    for letter, section in (("s", "services"), ("c", "connections"), ("r", "roles"), ("l", "log")):
        page.keys("g", letter)
        assert page.focused() == section
    page.keys("j", "j", "k")
    page.wait("document.querySelector('.log .row.chosen')", "the chosen row")
    assert page.js("document.getElementById(document.activeElement.getAttribute("
                   "'aria-activedescendant')).getAttribute('aria-selected')") == "true"
    page.keys(ENTER)
    assert page.find(".details").is_displayed()
    page.keys(ESCAPE)
    assert not page.find(".details").is_displayed()
    page.keys("/", "jkg?")
    assert page.js("document.activeElement.value") == "jkg?"  # letters, while one types
    page.keys(ESCAPE)
    assert page.js("document.activeElement.value") == ""
    page.keys(ESCAPE, "?")
    assert page.find("dialog").is_displayed()
    assert len(page.texts("#keys-list dt")) == len(page.texts("#keys-list dd")) >= 12
    page.keys(ESCAPE)
    assert not page.find("dialog").is_displayed()
    page.keys("gsj", ENTER)  # a service's connections
    page.wait("document.activeElement.closest('section')?.id === 'connections'", "connections")
    assert page.js("document.querySelector('#connections select').value")


def test_focus_is_seen_and_main_can_be_skipped_to(page, site):
    page.open(site.url)
    page.keys(TAB)
    assert page.js("document.activeElement.className") == "skip"
    assert page.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.js("document.activeElement.getBoundingClientRect().top") >= 0
    page.keys(ENTER)
    assert page.js("document.activeElement.id") == "main"


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("width", [320, 400, 768, 1024, 1440, 2560])
def test_no_width_scrolls_sideways(page, mocked, width, language):
    site = mocked()
    site.mock.dropped = 12345
    page.open(site.url, width=width, height=800, language=language)
    page.wait("document.querySelector('#connections .rows .row:not(.unknown) .peer')?.textContent",
              "connections")
    assert page.js("document.documentElement.scrollWidth") <= width
    wide = page.js("""[...document.querySelectorAll('.list, .panel-head, .bar, .tile')]
        .filter(e => e.scrollWidth > e.clientWidth + 1 && !e.matches('.tile'))
        .map(e => e.className)""")
    assert not wide
    assert page.js("""[...document.querySelectorAll('button, select, input')]
        .filter(e => e.offsetParent && e.getBoundingClientRect().right > innerWidth).length""") == 0


def test_dark_and_light(page, site):
    ground = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    page.open(site.url, dark=True)
    assert max(page.js(ground)) < 64
    page.prefer("prefers-color-scheme", "light")
    page.wait(f"{ground}[0] > 192", "light")
    page.keys("t")
    assert max(page.js(ground)) < 64
    page.open(site.url)  # what was chosen holds
    assert max(page.js(ground)) < 64
    page.driver.execute_script("localStorage.clear()")


def test_contrast(page, mocked):
    """WCAG AA for each ink on each ground, in both themes."""
    site = mocked()
    for dark in (False, True):
        page.open(site.url, dark=dark)
        for ink in ("text", "dim", "faint", "accent", "warn", "bad"):
            for ground in ("ground", "panel"):
                ratio = page.driver.execute_script(CONTRAST, f"--{ink}", f"--{ground}")
                assert ratio >= 4.5, (dark, ink, ground, ratio)


CONTRAST = """const style = getComputedStyle(document.documentElement);
const light = (name) => {
    const hex = style.getPropertyValue(name).trim().slice(1);
    const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
        .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const [a, b] = [light(arguments[0]), light(arguments[1])].sort((x, y) => y - x);
return (a + 0.05) / (b + 0.05);"""


def test_french(page, site):
    page.open(site.url, language="fr-FR")
    assert page.js("document.documentElement.lang") == "fr"
    assert page.text("#link-text") == "en direct"
    page.wait("document.querySelectorAll('#nav a').length === 4", "the sections")
    assert page.texts("#nav a") == ["Services", "Connexions", "Rôles", "Journal"]
    page.find("#language").click()
    page.wait("document.querySelector('#log .note').textContent.includes(' ')", "the log")
    assert page.text("#link-text") == "live"
    assert page.texts("#nav a") == ["Services", "Connections", "Roles", "Log"]
    page.open(site.url, language="fr-FR")  # what was chosen holds
    assert page.js("document.documentElement.lang") == "en"
    page.driver.execute_script("localStorage.clear()")


def test_it_comes_back(page, site):
    page.tolerant = True
    open_and_log(page, site)
    site.stop()
    page.wait("document.body.dataset.link === 'waiting'", "the link to be given up")
    page.wait("/reconnecting in \\d+ s/.test(document.querySelector('#link-text').textContent)",
              "the seconds until the next try")
    assert page.find("#retry").is_displayed()
    assert page.js("document.title").startswith("✕ ")
    page.wait("document.querySelector('#link-text').textContent.startsWith('lost since ')", "lost")
    site.start()
    page.find("#retry").click()
    page.wait("document.body.dataset.link === 'live'", "the link to be live again")
    site.say("after the restart")
    page.wait("document.querySelector('#log').textContent.includes('after the restart')", "events")
    assert not page.js("document.title").startswith("✕ ")
    assert page.text("#missed dd") == ""


def test_many_connections(page, site):
    number = 50000 if hasattr(site, "mock") else 200
    site.many(number)
    page.open(site.url)
    page.wait(f"document.querySelector('#connections .note').textContent.replace(/\\D/g, '') >= "
              f"{number}", "all of them")
    page.wait("document.querySelector('.connections .row:not(.unknown) .peer')?.textContent",
              "rows")

    def is_smooth():
        report = page.driver.execute_async_script(SCROLL)
        print(report)
        assert report["rows"] < 100
        return report["median"] < 40 and report["late"] <= 3  # ms a frame

    assert any(is_smooth() for _ in range(3))  # whatever else this machine does
    page.wait("[...document.querySelectorAll('.connections .rows .row:not([hidden])')].some(r => "
              "r.getAttribute('aria-rowindex') > 100 && !r.classList.contains('unknown'))",
              "the last rows")


# Scrolls from end to end in 60 frames and looks at how long each took.
SCROLL = """const done = arguments[arguments.length - 1];
const list = document.querySelector('.list.connections');
const frames = [];
let before;
const step = (now) => {
    if (before !== undefined)
        frames.push(now - before);
    before = now;
    if (frames.length < 60) {
        list.scrollTop = list.scrollHeight * frames.length / 60;
        requestAnimationFrame(step);
        return;
    }
    list.scrollTop = list.scrollHeight;
    frames.sort((a, b) => a - b);
    done({ median: frames[30], late: frames.filter((ms) => ms > 200).length,
        rows: list.querySelectorAll('.row').length });
};
requestAnimationFrame(step);"""
