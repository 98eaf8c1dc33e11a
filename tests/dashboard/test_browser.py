"""The dashboard as a browser meets it, and the screenshots of the README.

`DOBLECHECK_SCREENSHOTS=<folder>` writes pictures of every page, theme, size and language into the
folder, and those of the README into `docs/images`; without it none is kept. See `make screenshots`.
"""

from __future__ import annotations

import asyncio
import csv
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright import sync_api

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: apt-get install chromium"
)

PAGES = {
    "now": "",
    "response": "response-time",
    "windows": "windows",
    "team": "team",
    "delivery": "delivery",
    "calls": "calls",
    "contacts": "contacts",
    "conversation": "conversation",
    "health": "health",
}
SIZES = {"phone": (390, 844), "desktop": (1440, 900), "wide": (1920, 1080)}
PICTURES = os.environ.get("DOBLECHECK_SCREENSHOTS")
SLOW = 30_000
READY = "[data-testid=lead], .dc-note-box"
DRAWN = "[data-testid=stVegaLiteChart] :is(canvas, svg)"
CONFIG = """\
data_dir = "{folder}"
timezone = "America/Argentina/Buenos_Aires"
[dashboard]
stale_after_minutes = 1000000
{more}
"""


def started(folder: Path, data: Path, port: int, more: str = "") -> subprocess.Popen[str]:
    """The command, as a process; ready when it answers."""
    config = folder / "doblecheck.toml"
    config.write_text(CONFIG.format(folder=data, more=more))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DOBLECHECK_", "STREAMLIT_"))}
    command = [sys.executable, "-m", "pipelines.cli", "--config", str(config), "dashboard"]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        env=clean,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
                return process
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise AssertionError(process.stderr.read() if process.stderr else "")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(frozen=True)
class Served:
    url: str
    port: int
    process: subprocess.Popen[str]


@pytest.fixture(scope="module")
def served(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    port = free_port()
    process = started(tmp_path_factory.mktemp("served"), shop, port)
    yield Served(f"http://127.0.0.1:{port}", port, process)
    process.terminate()
    process.wait(10)


@dataclass
class Visit:
    """A tab, and all that it asked of anybody."""

    page: sync_api.Page
    asked: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)

    def open(self, url: str) -> sync_api.Page:
        self.page.goto(url)
        self.page.wait_for_selector(READY, timeout=SLOW)
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until the script has run to its end."""
        self.page.wait_for_timeout(250)
        self.page.wait_for_function(
            "document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
            " && !document.querySelector('[data-stale=true]')",
            timeout=SLOW,
        )

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.page.url).query)

    @property
    def lead(self) -> str:
        return self.page.locator("[data-testid=lead]").inner_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


def visit(
    browser: sync_api.Browser, size: str = "desktop", theme: str = "light", locale: str = "es-AR"
) -> Visit:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, locale=locale
    )
    made = Visit(context.new_page())
    made.page.on("request", lambda request: made.asked.append(request.url))
    made.page.on("websocket", lambda socket_: made.asked.append(socket_.url))
    made.page.on("dialog", lambda dialog: (made.alerts.append(dialog.message), dialog.dismiss()))
    return made


def outside(asked: list[str]) -> list[str]:
    """Requests that would leave this machine."""
    return [
        url
        for url in asked
        if urlsplit(url).hostname != "127.0.0.1" and not url.startswith(("data:", "blob:"))
    ]


@pytest.mark.parametrize("width", [390, 800, 1100, 1280, 1440])
def test_a_number_stands_inside_its_tile(
    width: int, served: Served, browser: sync_api.Browser
) -> None:
    tab = visit(browser)
    tab.page.set_viewport_size({"width": width, "height": 800})
    for path in ("", "response-time", "windows", "delivery"):
        page = tab.open(f"{served.url}/{path}?lang=es")
        page.locator(".dc-value").first.wait_for(timeout=SLOW)
        wider = page.evaluate(
            "[...document.querySelectorAll('.dc-value')]"
            ".filter(v => v.scrollWidth > v.clientWidth).map(v => v.innerText)"
        )
        assert wider == [], path


@pytest.mark.parametrize("width", [390, 1280])
def test_a_definition_stands_within_the_screen(
    width: int, served: Served, browser: sync_api.Browser
) -> None:
    tab = visit(browser)
    tab.page.set_viewport_size({"width": width, "height": 800})
    for name, path in PAGES.items():
        page = tab.open(f"{served.url}/{path}?lang=es")
        page.locator(".dc-hint").first.wait_for(timeout=SLOW)
        outside_ = page.evaluate(
            "[...document.querySelectorAll('.dc-hint')].filter(hint => {"
            " hint.focus(); const tip = hint.firstElementChild.getBoundingClientRect();"
            " return tip.width < 80 || tip.left < 0 || tip.right > innerWidth })"
            ".map(hint => hint.innerText)"
        )
        assert outside_ == [], name


@pytest.mark.parametrize("size", ["phone", "wide"])
def test_every_page_draws_within_the_screen_and_asks_nobody_outside(
    size: str, served: Served, browser: sync_api.Browser
) -> None:
    tab = visit(browser, size, "dark" if size == "phone" else "light")
    for name, path in PAGES.items():
        page = tab.open(f"{served.url}/{path}")
        page.wait_for_selector("[class*=st-key-card-]", timeout=SLOW)
        wider = page.evaluate(
            "(m => m.scrollWidth - m.clientWidth)(document.querySelector('[data-testid=stMain]'))"
        )
        assert wider <= 0, name
        assert page.locator("[data-testid=stException]").count() == 0
        if name in ("response", "windows", "delivery", "calls", "contacts"):
            page.wait_for_selector(DRAWN, timeout=SLOW)
    assert len(tab.asked) > 20
    assert outside(tab.asked) == []
    assert outside(["https://fonts.example/x.woff", "wss://elsewhere.example/"]) != []


def test_a_view_is_shared_by_its_url(served: Served, browser: sync_api.Browser) -> None:
    tab = visit(browser)
    page = tab.open(f"{served.url}/response-time")
    page.get_by_text("Personas", exact=True).first.click()
    page.wait_for_url("**scope=human**", timeout=SLOW)
    page.get_by_text("Comparar con el período anterior").click()
    page.wait_for_url("**compare=1**", timeout=SLOW)
    tab.settle()
    shared, said = page.url, tab.lead
    other = visit(browser, locale="es-AR")
    other.open(shared)
    assert other.lead == said
    assert other.page.url == shared
    page.get_by_text("Ventanas", exact=True).first.click()
    page.wait_for_url("**/windows?**scope=human**", timeout=SLOW)
    assert tab.query == other.query
    tab.settle()
    assert is_closed(page, "scope")  # a window is answered by anybody
    assert not is_closed(page, "grain")
    page.go_back()
    page.wait_for_url("**/response-time?**", timeout=SLOW)
    tab.settle()
    assert tab.lead == said
    assert not is_closed(page, "scope")


def is_closed(page: sync_api.Page, filter_: str) -> bool:
    """Whether a filter takes no click."""
    style = "element => getComputedStyle(element).pointerEvents"
    return bool(page.locator(f".st-key-f-{filter_}").evaluate(style) == "none")


def test_the_language_is_the_browsers_until_one_is_chosen(
    served: Served, browser: sync_api.Browser
) -> None:
    tab = visit(browser, locale="en-GB")
    page = tab.open(f"{served.url}/?scope=human&period=90d")
    assert tab.lead.startswith("We answer")
    page.get_by_text("Español", exact=True).click()
    page.wait_for_url("**lang=es**", timeout=SLOW)
    page.wait_for_function(
        "document.querySelector('[data-testid=lead]').innerText.startsWith('Resp')"
    )
    tab.settle()
    assert tab.query == {"scope": ["human"], "period": ["90d"], "lang": ["es"]}


def test_a_click_leads_from_a_chart_to_its_turns_to_the_thread(
    served: Served, browser: sync_api.Browser
) -> None:
    tab = visit(browser)
    page = tab.open(f"{served.url}/response-time?lang=en")
    page.wait_for_selector(DRAWN, timeout=SLOW)
    tab.settle()
    box = page.locator("[data-testid=stVegaLiteChart]").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + 60)
    about = page.locator(".st-key-card-response_turns .dc-legend")
    page.wait_for_function(
        "document.querySelector('.st-key-card-response_turns .dc-legend')"
        ".innerText.startsWith('Turns of')",
        timeout=SLOW,
    )
    assert re.match(r"Turns of \d+ \w+ 2026", about.inner_text().replace("\xa0", " "))
    page.locator(".st-key-card-response_turns a").first.click()
    page.wait_for_selector(".dc-bubble", timeout=SLOW)
    assert "/conversation?" in page.url
    assert re.fullmatch(r"[0-9a-f]{32}", tab.query["thread"][0])
    assert page.locator(".dc-mark.turn").count() > 0


def test_the_file_of_a_chart_has_the_raw_seconds(served: Served, browser: sync_api.Browser) -> None:
    tab = visit(browser)
    page = tab.open(f"{served.url}/response-time?lang=en")
    with page.expect_download(timeout=SLOW) as download:
        page.locator(".st-key-csv-response_trend button").first.click()
    text = Path(download.value.path()).read_text("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    shown = page.locator("[data-tile=answered] .dc-note").inner_text()
    assert len(rows) == int(re.sub(r"\D", "", shown))
    assert all(row["response_seconds"] or row["outcome"] != "answered" for row in rows)


def test_it_listens_on_loopback_only(served: Served) -> None:
    table = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    listening = [
        line.split()[1].split(":")
        for line in table.splitlines()
        if len(line.split()) > 3 and line.split()[3] == "0A"
    ]
    mine = [address for address, port in listening if int(port, 16) == served.port]
    assert mine == ["0100007F"]


def test_nothing_tells_where_the_code_is(served: Served) -> None:
    for path in (
        "/docs",
        "/openapi.json",
        "/_stcore/metrics",
        "/../../etc/passwd",
        "/x?thread=%00",
    ):
        try:
            with urllib.request.urlopen(served.url + path, timeout=10) as answer:
                body = answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            body = error.read().decode("utf-8", "replace")
        assert "Traceback" not in body
        assert "/dashboards/" not in body


@contextmanager
def proxy(port: int, header: str) -> Iterator[str]:
    """A proxy that says who the viewer is, on every request and on the WebSocket."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).replace(b"keep-alive", b"close")
            line, rest = head.split(b"\r\n", 1)
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
            up_writer.write(line + b"\r\n" + header.encode() + b"\r\n" + rest)
            await asyncio.gather(pipe(reader, up_writer), pipe(up_reader, writer))

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    starting = asyncio.start_server(handle, "127.0.0.1", 0)
    server = asyncio.run_coroutine_threadsafe(starting, loop).result(10)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)


def test_a_proxy_has_to_name_the_viewer(
    shop: Path, tmp_path: Path, browser: sync_api.Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    port = free_port()
    more = 'auth = "proxy"\nviewers = ["@example.com"]\nproxy_header = "X-Email"\n'
    more += 'personal_data_viewers = ["ana@example.com"]'
    process = started(tmp_path, shop, port, more)
    try:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10)
        assert refused.value.code == 401
        names = {}
        for who in ("ana", "leo"):
            told = f"X-Email: {who}@example.com\r\nX-Forwarded-For: 203.0.113.9"
            with proxy(port, told) as url:
                tab = visit(browser)
                tab.open(f"{url}/?lang=en")
                names[who] = tab.page.locator(".dc-table a").first.inner_text()
        assert names["leo"].startswith("Contact ")
        assert not names["ana"].startswith("Contact ")
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.matrix
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["es", "en"])
def test_screenshots(
    language: str,
    theme: str,
    size: str,
    served: Served,
    browser: sync_api.Browser,
    tmp_path: Path,
) -> None:
    folder = Path(PICTURES or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    tab = visit(browser, size, theme)
    width, height = SIZES[size]
    for name, path in PAGES.items():
        page = tab.open(f"{served.url}/{path}?lang={language}")
        if name == "conversation":
            page.locator(".dc-table a").nth(3).click()
            page.wait_for_selector(".dc-bubble", timeout=SLOW)
        page.wait_for_timeout(500)
        tall = page.evaluate("document.querySelector('.block-container').scrollHeight")
        page.set_viewport_size({"width": width, "height": min(max(height, tall + 60), 6000)})
        page.wait_for_timeout(500)
        page.screenshot(path=folder / f"{name}-{language}-{theme}-{size}.png")
        page.set_viewport_size({"width": width, "height": height})


README_PICTURES = {
    "dashboard-response": ("response-time", "es", "light", (1440, 1280)),
    "dashboard-windows": ("windows", "en", "dark", (1440, 900)),
    "dashboard-phone": ("", "es", "light", (390, 844)),
}
WIDEST = 1100
"""Pixels of a picture of the README."""


@pytest.mark.matrix
@pytest.mark.parametrize("name", README_PICTURES)
def test_screenshots_of_the_readme(
    name: str, served: Served, browser: sync_api.Browser, tmp_path: Path
) -> None:
    folder = Path(__file__).parents[2] / "docs" / "images" if PICTURES else tmp_path
    path, language, theme, (width, height) = README_PICTURES[name]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=min(1, WIDEST / width),
        color_scheme=theme,
    )
    page = Visit(context.new_page()).open(f"{served.url}/{path}?lang={language}")
    page.wait_for_timeout(500)
    page.screenshot(path=folder / f"{name}.png")
