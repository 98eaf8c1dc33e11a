"""On the way to PostgreSQL: whom we talk to, and what a transaction pooler must never be asked."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from place import Place
from real_postgres import PASSWORD, Server, hand_over
from waiting import wait_until
from wire import Door, door

from pipelines.building.dbt_start import load_dbt
from pipelines.errors import WarehouseError
from pipelines.loading.sync import Order, sync_account
from pipelines.providers import find
from pipelines.settings import Account
from pipelines.simulation import Clock, serve
from pipelines.warehouse import postgres_connecting
from pipelines.warehouse.postgres import PostgresWarehouse
from pipelines.world import make_world

NOW = datetime(2026, 3, 20, 21, 0, tzinfo=UTC)


def certificate(folder: Path, name: x509.GeneralName) -> Path:
    """A file with a key and a certificate of its own making, for one name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop")])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{made.serial_number}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def behind(server: Server, file: Path) -> Iterator[Door]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    with door(server.port, tls) as made:
        yield made


HERE = x509.IPAddress(ip_address("127.0.0.1"))
ELSEWHERE = x509.DNSName("db.example")
CASES = {
    "known and named": (HERE, True, ""),
    "of another host": (ELSEWHERE, True, "for another host"),
    "of an unknown authority": (HERE, False, "can't be verified"),
}


@pytest.mark.parametrize("name", CASES)
def test_who_answers_is_verified(postgres: Server, tmp_path: Path, name: str) -> None:
    shown, is_known, told = CASES[name]
    file = certificate(tmp_path, shown)
    known = file if is_known else certificate(tmp_path, shown)
    for opened in behind(postgres, file):
        url = postgres.url().replace(str(postgres.port), str(opened.port))
        url += f"?sslmode=verify-full&sslrootcert={known}"
        warehouse = PostgresWarehouse(url, tmp_path)
        if not told:
            with warehouse.connect() as connection:
                assert connection.execute("select 1").fetchall() == [(1,)]
            continue
        with pytest.raises(WarehouseError, match=told) as caught, warehouse.connect():
            pass
        assert caught.value.hint
        assert PASSWORD not in str(caught.value) + caught.value.hint


def test_a_server_without_tls_is_not_spoken_to_where_it_is_asked_for(
    postgres: Server, tmp_path: Path
) -> None:
    url = f"{postgres.url()}?sslmode=verify-full"
    with (
        pytest.raises(WarehouseError, match="speak TLS"),
        PostgresWarehouse(url, tmp_path).connect(),
    ):
        pass


OF_A_SESSION = re.compile(
    rb"^\s*(set (?!local |transaction |session authorization default)|listen |prepare "
    rb"|declare .* with hold|select pg_(try_)?advisory_lock)",
    re.IGNORECASE,
)


def synced(warehouse: PostgresWarehouse) -> int:
    """Messages, after one sync of both rooms and one without news."""
    world = make_world(seed=5, ends_at=NOW, days=2, conversations_per_day=4)
    with warehouse.lock():
        warehouse.ensure_raw_tables(find())
        for room in (*find(), *find()):
            with serve(room.simulate(world, api_key="k", clock=Clock(now=NOW))) as url:
                settings = {"provider": room.name, "name": "shop", "api_key": "k"}
                account = Account.model_validate(
                    {**settings, **dict.fromkeys(room.base_urls, url)}
                    | {"requests_per_minute": 1_000_000}
                )
                order = Order(resources=frozenset(room.resources), now=NOW)
                assert sync_account(warehouse, room, account, order).is_ok
    return len(world.messages)


def test_nothing_is_asked_that_outlives_a_transaction(postgres: Server, tmp_path: Path) -> None:
    with door(postgres.port) as listening:
        url = postgres.database().replace(str(postgres.port), str(listening.port))
        assert synced(PostgresWarehouse(url, tmp_path)) > 10
    prepared = [content for kind, content in listening.asked if kind == "P"]
    assert len(prepared) > 100
    assert {content.split(b"\0")[0] for content in prepared} == {b""}
    said = [content for kind, content in listening.asked if kind == "Q"]
    said += [content.split(b"\0")[1] for content in prepared]
    assert [sql[:60] for sql in said if OF_A_SESSION.match(sql)] == []
    assert OF_A_SESSION.match(b"set search_path to raw")  # it would have been noticed


@contextmanager
def pooling(server: Server, database: str) -> Iterator[int]:
    """The port of a PgBouncer that gives every transaction whichever connection is free."""
    folder = server.folder / f"bouncer-{database}"
    folder.mkdir()
    with door(0) as free:
        port = free.port
    secret = PASSWORD.replace("'", "''")
    users, settings, log = folder / "users.txt", folder / "bouncer.ini", folder / "log"
    users.write_text(f'"postgres" "{PASSWORD}"\n')
    settings.write_text(
        f"[databases]\n{database} = host=127.0.0.1 port={server.port} user=postgres "
        f"password='{secret}'\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir = {folder}\nauth_type = plain\nauth_file = {users}\n"
        "pool_mode = transaction\nserver_round_robin = 1\n"
        "ignore_startup_parameters = extra_float_digits,options\n"
    )
    hand_over(folder, server.user)
    with log.open("w") as said:
        pooler = subprocess.Popen(["pgbouncer", str(settings)], user=server.user, stderr=said)
    try:
        wait_until(lambda: _answers(port) or pooler.poll() is not None)
        assert pooler.poll() is None, log.read_text()
        yield port
    finally:
        pooler.terminate()
        pooler.wait()


@pytest.mark.skipif(not shutil.which("pgbouncer"), reason="there is no pgbouncer here")
def test_everything_works_behind_a_transaction_pooler(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_dbt()
    from dbt.adapters.postgres.connections import PostgresConnectionManager

    direct, sessions = postgres.database(), []
    opened = PostgresConnectionManager.open

    def counted(_: Any, connection: Any) -> Any:
        sessions.append(connection.name)
        return opened(connection)

    with pooling(postgres, direct.rsplit("/", 1)[1]) as port:
        place = Place(tmp_path, direct.replace(str(postgres.port), str(port)))
        warehouse = PostgresWarehouse(str(place.url), tmp_path)
        messages = synced(warehouse)
        monkeypatch.setattr(PostgresConnectionManager, "open", classmethod(counted))
        with warehouse.lock():
            for is_full in (True, False):
                assert place.build(as_of=NOW).is_full == is_full
        assert 2 <= len(sessions) < 20  # of some two hundred models and tests
        sql = "select count(*) as n from marts.fct_messages"
        assert warehouse.answer(sql).rows() == [(len(find()) * messages,)]


def test_who_gave_the_lock_back_can_take_it_at_once(postgres: Server, tmp_path: Path) -> None:
    with door(postgres.port) as slow:
        slow.lingers = 0.5
        url = postgres.database().replace(str(postgres.port), str(slow.port))
        warehouse = PostgresWarehouse(url, tmp_path)
        for _ in range(2):
            with suppress(KeyError), warehouse.lock():
                raise KeyError  # a run that ends without the look at its tables, which takes time


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_server_that_is_too_old_is_told(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connecting, "OLDEST", 990_000)
    with pytest.raises(WarehouseError, match=r"is PostgreSQL [0-9]+$") as caught:
        PostgresWarehouse(postgres_url, tmp_path).ensure_raw_tables(find())
    assert caught.value.hint == "doblecheck needs 99 or newer"
