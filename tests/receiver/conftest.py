"""The receiver under test: settings with one made-up account of each kind, and what signs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pipelines.failpoint import arm
from pipelines.receiver.signatures import sign
from pipelines.settings import Account, Receiver, Settings

SECRET = b"CANARY-secret-of-the-shop"


def account(name: str = "shop", **given: Any) -> Account:
    given = {"webhook_secrets": [SecretStr(SECRET.decode())]} | given
    return Account(provider="kapso", name=name, **given)


def settings_of(folder: Path, *accounts: Account, **receiver: Any) -> Settings:
    chosen = Receiver(**({"port": 0, "metrics_port": 0} | receiver))
    return Settings(folder=folder, accounts=list(accounts) or [account()], receiver=chosen)


def signed(body: bytes, secret: bytes = SECRET) -> dict[str, str]:
    return {"X-Webhook-Signature": sign(body, secret).decode()}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture(autouse=True)
def disarmed() -> Any:
    yield
    arm("")
