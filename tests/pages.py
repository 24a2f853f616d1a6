"""What the tests of the dashboard look at it with: a headless Chromium, and the sites that serve
the page: the mock of tests/e2e/web_mock.py, and `prise serve` once it has the service http."""

import contextlib
import json
import pathlib
import re
import socket
import time

import pytest
from support import SECONDS, wait_until
from web_mock import Mock

try:
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver import ActionChains
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
except ImportError:
    webdriver = None

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
# What a browser says by itself when a server is away or asks for a token: no fault of the page.
EXPECTED = re.compile(r"ERR_CONNECTION|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY|ERR_NETWORK|"
                      r"the server responded with a status of (401|403|421|429)")


class MockSite:
    """The page over the mock."""

    def __init__(self, **options):
        self.mock = Mock(**options).start()
        self.url = self.mock.url

    def say(self, text):
        self.mock.event("inbox.message", "info", "inbox", peer="127.0.0.1:40123", text=text)

    def role_change(self):
        return self.mock.role_change()

    def many(self, number):
        self.mock.set_connections(number)

    def traffic(self):
        row = self.mock.services["echo"]
        row["bytes_in"] += 50000
        row["bytes_out"] += 50000

    def stop(self):
        self.mock.stop()

    def start(self):
        self.mock.start()


class RealSite:
    """The page as `prise serve` serves it."""

    SERVICES = ("http", "echo", "inbox", "role")
    CONFIG = 'role { lease = "60s" }\n'  # its clients never beat again

    def __init__(self, prise, serve):
        self.prise, self.serve = prise, serve
        self.daemon = serve(*self.SERVICES, config=self.CONFIG)
        self.words = [f"{name}=127.0.0.1:{self.daemon.port(name)}" for name in self.SERVICES]
        self.url = f"http://127.0.0.1:{self.daemon.port('http')}/"
        self.sockets = []
        self.line = []

    def say(self, text):
        with self.daemon.connect("inbox") as client:
            client.sendall(text.encode())

    def _join(self, name):
        client = self.daemon.connect("role")
        client.sendall(f"ROLE/1 name={name}\nbeat 1\n".encode())
        self.line.append((name, client))
        assert client.recv(4096)

    def role_change(self):
        names = ["ada", "grace", "katherine"]
        while len(self.line) < 2:
            self._join(names[len(self.line)])
        name, client = self.line.pop(0)
        client.sendall(b"bye\n")
        client.close()
        self._join(name)
        return self.line[0][0]

    def many(self, number):
        self.sockets += [self.daemon.connect("echo") for _ in range(number)]

    def traffic(self):
        with self.daemon.connect("echo") as client:
            client.sendall(bytes(50000))
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass

    def stop(self):
        for client in [*self.sockets, *(client for _, client in self.line)]:
            client.close()
        self.sockets, self.line = [], []
        self.daemon.stop()

    def start(self):
        self.daemon = self.serve(*self.words, config=self.CONFIG)


@pytest.fixture(params=["mock", "real"])
def site(request, page):
    """The page, served: by the mock, and by the program."""
    if request.param == "mock":
        served = MockSite()
        yield served
        page.close()
        served.stop()
        return
    prise = request.getfixturevalue("prise")
    if "no service" in prise("serve", "--check-config", "http").err:
        pytest.skip("this prise has no service http")
    served = RealSite(prise, request.getfixturevalue("serve"))
    yield served
    page.close()
    for client in [*served.sockets, *(client for _, client in served.line)]:
        client.close()


@pytest.fixture
def mocked(page):
    """mocked(connections=50000) is a MockSite; gone at the end."""
    sites = []

    def make(**options):
        sites.append(MockSite(**options))
        return sites[-1]

    yield make
    page.close()
    for one in sites:
        one.stop()


class Page:
    """The dashboard in a browser."""

    def __init__(self, driver):
        self.driver = driver
        self.tolerant = False
        self.found = []  # what the console said
        driver.get("about:blank")
        driver.get_log("browser")
        driver.delete_all_cookies()

    def open(self, url, width=1440, height=900, dark=False, language="en-GB", wait=True):
        self.size(width, height)
        self.prefer("prefers-color-scheme", "dark" if dark else "light")
        self.cdp("Network.setUserAgentOverride", userAgent="test", acceptLanguage=language)
        self.driver.get(url)
        if wait:
            self.wait("document.body.dataset.link === 'live'", "the link to be live")

    def cdp(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def size(self, width, height):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=width < 600)

    def prefer(self, name, value):
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": name, "value": value}])

    def js(self, expression):
        return self.driver.execute_script(f"return {expression}")

    def module(self, name, body):
        """Runs `body` with the exports of a module of the page as `m`; returns what it returns."""
        script = f"""const done = arguments[arguments.length - 1];
            import('./js/{name}.js').then(async (m) => {{ {body} }})
                .then(done, (error) => done({{ error: String(error) }}));"""
        found = self.driver.execute_async_script(script)
        assert not (isinstance(found, dict) and "error" in found), found
        return found

    def wait(self, expression, what, seconds=SECONDS):
        return wait_until(lambda: self.js(expression), what, seconds)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        quoted = json.dumps(selector)
        return self.js(f"[...document.querySelectorAll({quoted})].filter(e => e.offsetParent)"
                       ".map(e => e.textContent)")

    def text(self, selector):
        return (self.texts(selector) or [""])[0]

    def keys(self, *keys):
        actions = ActionChains(self.driver)
        for key in keys:
            actions.send_keys(key)
        actions.perform()

    def focused(self):
        return self.js("(document.activeElement.closest('section') || document.body).id")

    def picture(self, path):
        pathlib.Path(path).write_bytes(self.driver.get_screenshot_as_png())

    def close(self):
        """Leaves the site, before it ends."""
        self.found += self.faults()
        self.driver.get("about:blank")
        self.driver.get_log("browser")

    def faults(self):
        """What the console said, warnings and breaches of the policy included."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] in ("SEVERE", "WARNING")
                and not (self.tolerant and EXPECTED.search(entry["message"]))]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    if webdriver is None or not (pathlib.Path(CHROMIUM).exists()
                                 and pathlib.Path(DRIVER).exists()):
        pytest.skip("no Chromium with selenium here: tools/deps test")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                 f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_page_load_timeout(SECONDS)
    driver.set_script_timeout(2 * SECONDS)
    yield driver
    with contextlib.suppress(WebDriverException):
        driver.quit()


@pytest.fixture
def page(chromium):
    """A Page; at the end of the test the console must have stayed silent."""
    one = Page(chromium)
    yield one
    one.close()
    assert not one.found, "\n".join(one.found)


def took(look, what, seconds=SECONDS):
    """How long, in seconds, until look() is true."""
    began = time.monotonic()
    wait_until(look, what, seconds)
    return time.monotonic() - began


__all__ = ["MockSite", "Page", "chromium", "mocked", "page", "site", "took"]
