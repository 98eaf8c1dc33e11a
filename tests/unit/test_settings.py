"""Settings: where they come from, which win, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.errors import ConfigError
from pipelines.providers import find
from pipelines.settings import Settings, load
from pipelines.warehouse import open_warehouse

pytestmark = pytest.mark.usefixtures("clean_environment")

FILE = """
data_dir = "store"
timezone = "America/Bogota"
[[accounts]]
provider = "kapso"
name = "shop"
api_key = "env:SHOP_KEY"
requests_per_minute = 500
[[accounts]]
provider = "waspy"
api_key = "wspy_literal"
[business_hours.default]
timezone = "America/Bogota"
monday = ["09:00-13:00", "14:00-18:00"]
exceptions = { "2026-12-25" = [] }
[business_hours."shop/123"]
timezone = "America/Lima"
[sla]
first_response_seconds = 600
[sla."shop"]
clock = "calendar"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(folder: Path, text: str = FILE) -> Settings:
    path = folder / "doblecheck.toml"
    path.write_text(text)
    return load(path, find())


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    return str(caught.value)


def test_a_file_is_read_and_completed_with_the_rooms_defaults(folder: Path) -> None:
    settings = loaded(folder)
    shop, other = settings.accounts
    assert (shop.requests_per_minute, other.requests_per_minute) == (500, 120)
    assert shop.base_url == "https://api.kapso.ai"
    assert shop.legacy_base_url == "https://app.kapso.ai"
    assert other.name == "default"
    assert other.resources == ["conversations", "messages", "contacts", "templates", "channels"]
    assert settings.business_hours["default"].monday == ["09:00-13:00", "14:00-18:00"]


def test_a_policy_starts_from_the_default_one(folder: Path) -> None:
    sla = loaded(folder).sla
    assert sla["shop"].first_response_seconds == 600
    assert (sla["default"].clock, sla["shop"].clock) == ("business", "calendar")


def test_a_channels_policy_starts_from_its_accounts(folder: Path) -> None:
    of_channels = '[sla."shop/1"]\nresponse_seconds = 1800\n[sla."other/1"]\nclock = "calendar"\n'
    sla = loaded(folder, f"{FILE}{of_channels}").sla
    channel = sla["shop/1"]
    assert (channel.first_response_seconds, channel.response_seconds) == (600, 1800)
    assert (channel.clock, sla["other/1"].clock) == ("calendar", "calendar")
    assert sla["other/1"].response_seconds == 3600


def test_relative_paths_start_at_the_files_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(folder)
    monkeypatch.chdir("/")
    assert settings.data_path == folder / "store"
    assert open_warehouse(settings).path == folder / "store" / "warehouse.duckdb"


@pytest.mark.parametrize("name", ["account=zzz", "it's", "a%20b", "a#b", "a?b", "a\\b"])
def test_a_data_folder_whose_name_is_more_than_a_name_is_refused(folder: Path, name: str) -> None:
    """Rows that go through a folder account=zzz came out as that account's."""
    with pytest.raises(ConfigError, match="data_dir: a folder with"):
        loaded(folder, f"data_dir = {json.dumps(name)}")
    (folder / name).mkdir()
    with pytest.raises(ConfigError, match="data_dir: a folder with") as caught:
        loaded(folder / name)
    assert "set data_dir to one without any of" in caught.value.hint
    assert sorted(path.name for path in (folder / name).iterdir()) == ["doblecheck.toml"]


def test_other_names_of_folders_are_taken(folder: Path) -> None:
    name = 'Año 1 "b", {c} [d*]; $e~ & 日本'
    assert loaded(folder, f"data_dir = {json.dumps(name)}").data_path == folder / name


@pytest.mark.parametrize("url", ["duckdb:///a#b/w.duckdb", "duckdb:///a?b/w.duckdb"])
def test_a_file_that_a_url_cannot_name_is_refused(folder: Path, url: str) -> None:
    settings = loaded(folder, f'[warehouse]\nurl = "{url}"')
    with pytest.raises(ConfigError, match=r"ends at \? and #"):
        open_warehouse(settings)


def test_where_paths_start_is_not_set_by_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOBLECHECK_FOLDER", "/nowhere")
    assert loaded(folder).data_path == folder / "store"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("duckdb:///x/w.duckdb", "x/w.duckdb"),
        ("duckdb:////abs/w.duckdb", "/abs/w.duckdb"),
    ],
)
def test_three_slashes_are_relative_and_four_absolute(folder: Path, url: str, path: str) -> None:
    settings = loaded(folder, f'[warehouse]\nurl = "{url}"')
    assert open_warehouse(settings).path == folder / path


def test_the_environment_wins_also_inside_an_account(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOBLECHECK_TIMEZONE", "America/Lima")
    monkeypatch.setenv("DOBLECHECK_SLA__FIRST_RESPONSE_SECONDS", "60")
    monkeypatch.setenv("DOBLECHECK_ACCOUNTS__1__API_KEY", "wspy_other")
    monkeypatch.setenv("DOBLECHECK_ACCOUNTS__0__CONCURRENCY", "3")
    settings = loaded(folder)
    assert settings.timezone == "America/Lima"
    assert settings.sla["default"].first_response_seconds == 60
    assert settings.accounts[1].key == "wspy_other"
    assert (settings.accounts[0].name, settings.accounts[0].concurrency) == ("shop", 3)


@pytest.mark.parametrize(
    "written",
    ["contacts, messages", '["contacts", "messages"]', "contacts,messages,"],
)
def test_the_environment_writes_a_list_between_commas_or_as_json(
    folder: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    named = {"[": '["%s-key", "%s-key"]', "c": "%s-key,%s-key"}[written[0]] % ("a" * 20, "b" * 20)
    monkeypatch.setenv("DOBLECHECK_ACCOUNTS__0__RESOURCES", written)
    monkeypatch.setenv("DOBLECHECK_ACCOUNTS__0__WEBHOOK_SECRETS", named)
    monkeypatch.setenv("DOBLECHECK_ACCOUNTS__0__REQUIRED_HEADERS", '{"X-Proxy": "b"}')
    monkeypatch.setenv("DOBLECHECK_DASHBOARD__VIEWERS", written)
    monkeypatch.setenv("DOBLECHECK_BUSINESS_HOURS__DEFAULT__MONDAY", "09:00-13:00")
    settings = loaded(folder)
    shop = settings.accounts[0]
    assert shop.resources == settings.dashboard.viewers == ["contacts", "messages"]
    assert [secret.get_secret_value()[0] for secret in shop.webhook_secrets] == ["a", "b"]
    assert shop.required_headers["X-Proxy"].get_secret_value() == "b"
    assert settings.business_hours["default"].monday == ["09:00-13:00"]
    assert settings.business_hours["default"].timezone == "America/Bogota"


def test_accounts_can_come_whole_from_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOBLECHECK_ACCOUNTS", '[{"provider": "kapso", "api_key": "k"}]')
    assert [a.provider for a in load(None, find()).accounts] == ["kapso"]


def test_without_a_file_the_providers_variables_make_an_account_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAPSO_API_KEY", "k")
    monkeypatch.setenv("KAPSO_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("KAPSO_WEBHOOK_SECRET", "s" * 20)
    monkeypatch.setenv("KAPSO_REQUESTS_PER_MINUTE", "600")
    monkeypatch.setenv("WASPY_API_KEY", "w")
    kapso, waspy = load(None, find()).accounts
    assert (kapso.requests_per_minute, waspy.requests_per_minute) == (600, 120)
    assert (kapso.name, kapso.key, kapso.base_url) == ("default", "k", "http://127.0.0.1:9")
    assert kapso.legacy_base_url == "http://127.0.0.1:9"
    assert len(kapso.webhook_secrets) == 1
    assert waspy.base_url == "https://api.waspytech.com"


@pytest.mark.parametrize("quota", ["many", "-1", "6e2", "²"])
def test_a_quota_in_the_environment_that_is_no_number_is_told_by_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, quota: str
) -> None:
    monkeypatch.setenv("KAPSO_API_KEY", "k")
    monkeypatch.setenv("KAPSO_REQUESTS_PER_MINUTE", quota)
    with pytest.raises(ConfigError, match="KAPSO_REQUESTS_PER_MINUTE is not a whole number"):
        load(None, find())


def test_the_file_may_be_named_by_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "other.toml").write_text(FILE)
    monkeypatch.setenv("DOBLECHECK_CONFIG", str(folder / "other.toml"))
    assert load(None, find()).timezone == "America/Bogota"
    monkeypatch.setenv("DOBLECHECK_CONFIG", str(folder / "none.toml"))
    with pytest.raises(ConfigError):
        load(None, find())


def test_a_key_is_never_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(folder)
    assert "wspy_literal" not in repr(settings) + str(settings) + settings.model_dump_json()
    assert "wspy_literal" not in refused(folder, FILE.replace('"wspy_literal"', '["wspy_literal"]'))


def test_a_missing_key_tells_where_it_was_looked_for(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _ = loaded(folder).accounts[0].key
    assert "SHOP_KEY" in str(caught.value)
    assert str(folder / "doblecheck.toml") in caught.value.hint


@pytest.mark.parametrize("key", ["clave-ñ", "line\nbreak", "tab\there"])
def test_a_key_that_no_header_can_carry_is_told_without_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("SHOP_KEY", key)
    with pytest.raises(ConfigError) as caught:
        _ = loaded(folder).accounts[0].key
    assert "kapso account 'shop'" in str(caught.value)
    assert key not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data_dir = ", "not valid TOML"),
        ("colour = 1", "'colour'"),
        ('folder = "/nowhere"', "unknown setting 'folder'"),
        ('timezone = "Mars/Base"', "timezone"),
        ('timezone = "localtime"', "timezone"),
        ("[receiver]\nport = 70000", "receiver.port"),
        ("[sla]\nspeed = 1", "sla"),
        ('[[accounts]]\nprovider = "telegram"', "telegram"),
        ('[[accounts]]\nprovider = "kapso"\nresources = ["cats"]', "cats"),
        ('[[accounts]]\nprovider = "kapso"\nkey = "x"', "key"),
        ('[[accounts]]\nprovider = "kapso"\n[[accounts]]\nprovider = "kapso"', "two kapso"),
        ('schedule = { every = "99999999999999 days" }', "schedule.every: is more than"),
        ("receiver = { keep_days = inf }", "receiver.keep_days"),
        ("receiver = { keep_days = 1e9 }", "receiver.keep_days"),
        ("receiver = { keep_days = nan }", "receiver.keep_days"),
        ("retention = { rejected_days = 1e9 }", "retention.rejected_days"),
        ("alerts = { silent_minutes = 1e300 }", "alerts.silent_minutes"),
        ('dashboard = { viewers = "[ana" }', "dashboard.viewers: is not JSON"),
    ],
)
def test_nonsense_is_refused_in_one_line(folder: Path, text: str, told: str) -> None:
    message = refused(folder, text)
    assert told in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ACCOUNTS", "abc", "accounts: Input should be a valid list"),
        ("ACCOUNTS", "[abc", "accounts: Input should be a valid list"),
        ("ACCOUNTS__0__CONCURRENCY", "many", "accounts.0.concurrency: Input should be"),
        ("RECEIVER", "abc", "receiver: Input should be"),
        ("WAREHOUSE", "duckdb:///x", "warehouse: Input should be"),
        ("DASHBOARD__VIEWERS", "[a@x", "dashboard.viewers: is not JSON"),
        ("BUSINESS_HOURS__DEFAULT__MONDAY", "{", "business_hours.default.monday: is not JSON"),
    ],
)
def test_nonsense_in_the_environment_is_told_with_its_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(f"DOBLECHECK_{name}", value)
    assert refused(folder, FILE).startswith(f"DOBLECHECK_{name}: {told}")


def test_a_warehouse_and_alerts_that_are_no_address_are_refused(folder: Path) -> None:
    settings = loaded(
        folder, '[warehouse]\nurl = "postgresql://[::1"\n[alerts]\nurl = "https://[x"'
    )
    with pytest.raises(ConfigError, match="is not a URL"):
        open_warehouse(settings)
    with pytest.raises(ConfigError, match="not an https address"):
        _ = settings.alerts.target


def test_a_file_that_cannot_be_looked_for_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read: File name too long"):
        load(folder / ("n" * 300), find())


@pytest.mark.parametrize(
    "url",
    [
        "http://api.kapso.ai",
        "https://[::1",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:abc",
        "https://api.kapso.ai.evil.example",
        "https://api.kapso.ai@evil.example",
        "https://evil.example",
        "http://169.254.169.254",
        "http://[fe80::1]",
        "http://0x7f000001",
        "http://2130706433",
        "http://127.1",
        "file:///etc/passwd",
        "gopher://api.kapso.ai",
        "//api.kapso.ai",
        "https://api.kapso.ai?x=1",
        "https://api.kapso.ai\\r\\nX: y",
        "api.kapso.ai",
    ],
)
def test_a_base_url_that_could_take_the_key_elsewhere_is_refused(folder: Path, url: str) -> None:
    refused(folder, f'[[accounts]]\nprovider = "kapso"\napi_key = "k"\nbase_url = "{url}"')


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:80", "http://localhost:8400", "http://[::1]:9", "https://api.kapso.ai"],
)
def test_loopback_and_the_providers_own_host_are_allowed(folder: Path, url: str) -> None:
    loaded(folder, f'[[accounts]]\nprovider = "kapso"\nbase_url = "{url}"')


def test_another_host_is_allowed_when_it_is_meant(folder: Path) -> None:
    text = (
        '[[accounts]]\nprovider = "kapso"\nbase_url = "http://proxy.example"\nallow_base_url = true'
    )
    assert loaded(folder, text).accounts[0].base_url == "http://proxy.example"
