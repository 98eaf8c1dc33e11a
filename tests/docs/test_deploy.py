"""What the deploy page hands out: units, image, compose file, deployments."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from pipelines.cli import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "examples"
UNITS = sorted(DEPLOY.glob("*.service"))
COMMANDS = set(get_command(app).commands)  # type: ignore[attr-defined]


def written(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def verify(folder: Path, name: str, text: str) -> str:
    """What systemd says against a unit."""
    (folder / name).write_text(text.replace("/opt/doblecheck/bin/doblecheck", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(folder / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr + ("" if done.returncode == 0 else "refused")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_has_nothing_against_a_unit(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    assert verify(tmp_path, unit.name, unit.read_text()) == ""
    broken = unit.read_text().replace("Type=exec", "Type=nonsense")
    assert verify(tmp_path, unit.name, broken) != ""


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_that_there_is_and_keeps_its_files_to_itself(unit: Path) -> None:
    text = unit.read_text()
    started = re.search(r"^ExecStart=\S+/doblecheck .* (\w+)$", text, re.MULTILINE)
    assert started
    assert started[1] in COMMANDS
    assert {"UMask=0077", "StateDirectoryMode=0700", "ProtectSystem=strict"} <= set(text.split())


def test_the_image_copies_what_there_is() -> None:
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert "pipelines" in names
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    for name in names:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored


def test_compose_opens_ports_on_loopback_only_and_holds_no_secret() -> None:
    compose = written(DEPLOY / "compose.yaml")
    assert {"receiver", "worker", "dashboard", "postgres"} <= compose["services"].keys()
    for name, service in compose["services"].items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
        command = service.get("command")
        if service.get("entrypoint") is None and command:
            assert command[0] in COMMANDS
    empty = (DEPLOY / "example.env").read_text().splitlines()
    assert all(line.startswith("#") or line.endswith("=") for line in empty)


def test_every_deployment_names_a_flow_that_there_is_and_both_pools_have_all() -> None:
    deployments = written(ROOT / "prefect.yaml")["deployments"]
    by_pool: dict[str, list[dict[str, Any]]] = {}
    for deployment in deployments:
        pool = deployment["work_pool"]["name"]
        rest = {k: v for k, v in deployment.items() if k not in ("name", "work_pool")}
        by_pool.setdefault(pool, []).append(rest)
        module, name = deployment["entrypoint"].rsplit(".", 1)
        tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert deployment["concurrency_limit"]["limit"] == 1
    assert set(by_pool) == {"doblecheck-process", "doblecheck-docker"}
    assert by_pool["doblecheck-process"] == by_pool["doblecheck-docker"]
