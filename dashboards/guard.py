"""Who may reach the dashboard: where it listens, whose word it takes, and what a page may load."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from pipelines.errors import ConfigError
from pipelines.settings.checks import is_loopback

if TYPE_CHECKING:
    from pipelines.settings import Dashboard

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

HEALTH = "/_stcore/health"

HEADERS = {
    # Vega compiles its expressions, hence unsafe-eval; nothing is loaded from anywhere else.
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "worker-src 'self' blob:; frame-ancestors 'none'; object-src 'none'; base-uri 'self'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}


def check(dashboard: Dashboard) -> None:
    """Refuse settings that would show customers to strangers.

    Raises:
        ConfigError: it would listen where nobody is asked who they are, or a setting that signing
            in needs is missing.
    """
    if dashboard.auth == "none":
        if not is_loopback(dashboard.host):
            raise ConfigError(
                f"dashboard.host {dashboard.host!r} is not loopback and nobody would have to sign "
                "in",
                hint='set dashboard.auth = "oidc" or "proxy", or keep host = "127.0.0.1"',
            )
        return
    needed = ["viewers", "proxy_header", "trusted_proxies"]
    if dashboard.auth == "oidc":
        needed = ["viewers", "oidc_metadata_url", "oidc_client_id", "oidc_client_secret"]
        needed += ["oidc_redirect_url", "cookie_secret"]
    missing = [name for name in needed if not getattr(dashboard, name)]
    if missing:
        raise ConfigError(
            f"dashboard.auth = {dashboard.auth!r} needs dashboard.{missing[0]}",
            hint='viewers = ["*"] lets in whoever can sign in'
            if missing[0] == "viewers"
            else "see `doblecheck init`",
        )


def is_listed(viewer: str, entries: Iterable[str]) -> bool:
    """Whether a list of addresses, `@domain`s and `*` names this viewer."""
    name = viewer.strip().lower()
    return bool(name) and any(
        entry == "*"
        or entry.lower() == name
        or (entry.startswith("@") and name.endswith(entry.lower()))
        for entry in entries
    )


def told_by_proxy(
    dashboard: Dashboard, peer: str, headers: Iterable[tuple[bytes, bytes]]
) -> str | None:
    """Who a trusted proxy says it is; None from elsewhere, or when it says two things."""
    if peer not in dashboard.trusted_proxies:
        return None
    name = dashboard.proxy_header.lower().encode()
    values = [value for key, value in headers if key.lower() == name]
    return values[0].decode("latin-1").strip() or None if len(values) == 1 else None


class Guard:
    """ASGI: lets nobody past who is not let in, and tells the browser to load nothing from outside.

    With `oidc` the script itself asks, and shows nothing before the viewer has signed in.
    """

    def __init__(self, app: Application, *, dashboard: Dashboard) -> None:
        self._app, self._dashboard = app, dashboard

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] == HEALTH:
            await self._app(scope, receive, send)
        elif not self._admits(scope):
            await _refuse(scope, send)
        else:
            await self._app(scope, receive, _with_headers(send))

    def _admits(self, scope: Message) -> bool:
        if self._dashboard.auth != "proxy":
            return True
        peer = (scope.get("client") or ("",))[0]
        viewer = told_by_proxy(self._dashboard, peer, scope["headers"])
        return viewer is not None and is_listed(viewer, self._dashboard.viewers)


async def _refuse(scope: Message, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": b"Sign in first.\n"})


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {key.lower() for key, _ in message["headers"]}
            added: Mapping[str, str] = HEADERS
            message["headers"] = [
                *message["headers"],
                *((k.encode(), v.encode()) for k, v in added.items() if k.encode() not in there),
            ]
        await send(message)

    return sent
