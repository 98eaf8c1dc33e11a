"""Who may reach the dashboard."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dashboards import guard
from dashboards.serve import options
from pipelines.errors import ConfigError
from pipelines.settings import Dashboard

OIDC = {
    "host": "0.0.0.0",
    "auth": "oidc",
    "viewers": ["@example.com"],
    "oidc_metadata_url": "https://id.example.com/.well-known/openid-configuration",
    "oidc_client_id": "dashboard",
    "oidc_client_secret": SecretStr("s"),
    "oidc_redirect_url": "https://whatsapp.example.com/oauth2callback",
    "cookie_secret": SecretStr("x" * 32),
}
PROXY = {"host": "0.0.0.0", "auth": "proxy", "viewers": ["*"], "proxy_header": "X-Email"}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_nobody_to_sign_in(host: str) -> None:
    guard.check(Dashboard(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "example.com", "", "localhost.evil"])
def test_another_address_is_refused_without_authentication(host: str) -> None:
    with pytest.raises(ConfigError, match="not loopback"):
        guard.check(Dashboard(host=host))


@pytest.mark.parametrize("given", [OIDC, PROXY], ids=["oidc", "proxy"])
def test_authentication_opens_other_addresses_when_all_of_it_is_there(
    given: dict[str, Any],
) -> None:
    guard.check(Dashboard.model_validate(given))
    for name in given.keys() - {"host", "auth"}:
        with pytest.raises(ConfigError, match=name):
            guard.check(Dashboard.model_validate({k: v for k, v in given.items() if k != name}))


@pytest.mark.parametrize(
    ("viewer", "entries", "may"),
    [
        ("ana@example.com", ["@example.com"], True),
        ("Ana@Example.com", ["ana@example.com"], True),
        ("ana@example.com.evil", ["@example.com"], False),
        ("eve@notexample.com", ["@example.com"], False),
        ("", ["*"], False),
        ("anybody", ["*"], True),
        ("ana", [], False),
    ],
)
def test_a_list_names_addresses_domains_or_everybody(
    viewer: str, entries: list[str], may: bool
) -> None:
    assert guard.is_listed(viewer, entries) is may


async def passed(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


def asked(dashboard: Dashboard, peer: str, headers: list[tuple[bytes, bytes]], **scope: Any) -> Any:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    app = guard.Guard(passed, dashboard=dashboard)
    given = {"type": "http", "path": "/", "client": (peer, 1), "headers": headers, **scope}
    asyncio.run(app(given, None, send))  # type: ignore[arg-type]
    return sent[0]


def test_only_a_trusted_proxy_is_believed() -> None:
    dashboard = Dashboard.model_validate(PROXY | {"viewers": ["@example.com"]})
    ana = [(b"x-email", b"ana@example.com")]
    assert asked(dashboard, "127.0.0.1", ana)["status"] == 200
    refused = [
        ("10.0.0.9", ana),
        ("127.0.0.1", []),
        ("127.0.0.1", [(b"x-email", b"")]),
        ("127.0.0.1", [(b"x-email", b"eve@evil.example")]),
        ("127.0.0.1", [*ana, (b"X-Email", b"ana@example.com")]),
    ]
    for peer, headers in refused:
        for path in ("/", "/_stcore/stream", "/docs", "/openapi.json", "/_stcore/upload_file/x"):
            assert asked(dashboard, peer, headers, path=path)["status"] == 401
        closed = asked(dashboard, peer, headers, type="websocket", path="/_stcore/stream")
        assert closed["type"] == "websocket.close"
    assert asked(dashboard, "10.0.0.9", [], path=guard.HEALTH)["status"] == 200


def test_the_browser_is_told_to_load_nothing_from_elsewhere() -> None:
    headers = dict(asked(Dashboard(), "127.0.0.1", [])["headers"])
    policy = headers[b"content-security-policy"].decode()
    assert policy.startswith("default-src 'self'")
    assert "http" not in policy
    assert headers[b"x-content-type-options"] == b"nosniff"


def test_streamlit_tells_nobody_anything() -> None:
    chosen = options(Dashboard(), 8501)
    assert chosen["server.address"] == "127.0.0.1"
    assert chosen["client.showErrorDetails"] == "none"
    assert chosen["client.toolbarMode"] == "viewer"
    assert chosen["browser.gatherUsageStats"] is False
    assert chosen["server.enableXsrfProtection"] is True
    assert "localhost" in chosen["server.allowedHosts"]


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DOBLECHECK_")}
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "dashboard", *arguments],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_refuses_to_listen_for_strangers(tmp_path: Path) -> None:
    done = command(tmp_path, "--host", "0.0.0.0", "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = command(tmp_path, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert done.stderr.startswith("error: can't listen on 127.0.0.1")
