"""`doblecheck dashboard`: Streamlit on one address, with everything it could tell others off."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashboards import guard, state
from pipelines.errors import UsageError
from pipelines.settings.places import resolve

if TYPE_CHECKING:
    from pydantic import SecretStr

    from pipelines.settings import Dashboard, Settings

SCRIPT = Path(__file__).with_name("app.py")

LIGHT = {
    "primaryColor": "#0b6e5f",
    "backgroundColor": "#f7f8f7",
    "secondaryBackgroundColor": "#ffffff",
    "textColor": "#16211e",
    "borderColor": "#dde3e0",
}
DARK = {
    "primaryColor": "#3fb8a1",
    "backgroundColor": "#101614",
    "secondaryBackgroundColor": "#18201d",
    "textColor": "#e6ecea",
    "borderColor": "#2c3733",
}


def check(settings: Settings) -> None:
    """Whether the settings are enough to serve, and safe.

    Raises:
        ConfigError: they would show customers to strangers, or a secret is missing.
    """
    guard.check(settings.dashboard)
    _secrets(settings.dashboard)


def serve(settings: Settings, warehouse: Any) -> None:
    """Serve until stopped.

    Raises:
        ConfigError: the settings would show customers to strangers.
        UsageError: the port is taken.
    """
    check(settings)
    dashboard = settings.dashboard
    port = _free_port(dashboard.host, dashboard.port)
    if dashboard.cookie_secret:
        os.environ["STREAMLIT_SERVER_COOKIE_SECRET"] = _secret(
            dashboard.cookie_secret, "cookie_secret"
        )
    # Else the server takes what X-Forwarded-For says for who asks, before the guard looks.
    os.environ["FORWARDED_ALLOW_IPS"] = ""
    from starlette.middleware import Middleware
    from streamlit.starlette import App

    state.use(site(settings, warehouse))
    app = App(
        SCRIPT,
        secrets=_secrets(dashboard),
        middleware=[Middleware(guard.Guard, dashboard=dashboard)],
    )
    name = f"[{dashboard.host}]" if ":" in dashboard.host else dashboard.host
    sys.stderr.write(f"dashboard: http://{name}:{port}   (Ctrl-C stops it)\n")
    app.run(config=options(dashboard, port))


def site(settings: Settings, warehouse: Any) -> state.Site:
    """What the script shows."""
    hours = settings.business_hours.get("default")
    return state.Site(
        warehouse=warehouse,
        dashboard=settings.dashboard,
        data_path=settings.data_path,
        timezone=hours.timezone if hours else settings.timezone,
        pepper=state.pepper(settings.data_path),
    )


def options(dashboard: Dashboard, port: int) -> dict[str, Any]:
    """Streamlit's options; whatever a file of the user's says about them does not count."""
    themes = {
        f"theme.{name}.{key}": value
        for name, colours in (("light", LIGHT), ("dark", DARK))
        for key, value in colours.items()
    }
    return {
        "server.address": dashboard.host,
        "server.port": port,
        "server.headless": True,
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,
        # A page elsewhere must not reach a dashboard on loopback through a name of its own.
        "server.allowedHosts": ["localhost", "127.0.0.1", "::1"]
        if dashboard.auth == "none"
        else [],
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "server.maxUploadSize": 1,
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.toolbarMode": "viewer",
        "client.disableDataExport": True,  # its CSV would let formulas through; ours does not
        "runner.magicEnabled": False,
        "logger.level": "warning",
        "logger.hideWelcomeMessage": True,
        **themes,
    }


def _free_port(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            raise UsageError(
                f"can't listen on {host} port {port} ({error.strerror})",
                hint="name another one: doblecheck dashboard --port 8502",
            ) from None
        return int(probe.getsockname()[1])


def _secret(value: SecretStr | None, key: str) -> str:
    return resolve(value, what=f"{key} of the dashboard", key=key, section="[dashboard]")


def _secrets(dashboard: Dashboard) -> dict[str, Any]:
    """What `st.login` needs."""
    if dashboard.auth != "oidc":
        return {}
    return {
        "auth": {
            "redirect_uri": dashboard.oidc_redirect_url,
            "cookie_secret": _secret(dashboard.cookie_secret, "cookie_secret"),
            "client_id": dashboard.oidc_client_id,
            "client_secret": _secret(dashboard.oidc_client_secret, "oidc_client_secret"),
            "server_metadata_url": dashboard.oidc_metadata_url,
        }
    }
