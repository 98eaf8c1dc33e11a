"""The wheel alone, in an empty environment of each Python: `make wheel`."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MINORS = (11, 12, 13)

pytestmark = pytest.mark.matrix


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """What a command printed; it ran as if this repository were not there."""
    ours = ("PYTHON", "DOBLECHECK_", "KAPSO_", "WASPY_", "VIRTUAL_ENV")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def pythons(minor: int) -> Iterator[Path]:
    """Interpreters of a version that are installed: on the path, and pyenv's."""
    if found := shutil.which(f"python3.{minor}"):
        yield Path(found)
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(home.glob(f"versions/3.{minor}.*/bin/python"))


def works(python: Path) -> bool:
    """pyenv puts names on the path behind which there is nothing."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, and the wheel that is built from it."""
    if not shutil.which("uv"):
        pytest.skip("needs uv")
    folder = tmp_path_factory.mktemp("dist")
    run("uv", "build", "-q", "--out-dir", folder, ROOT)
    return folder


def test_the_archives_hold_what_they_should(dist: Path) -> None:
    (wheel,), (source,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in tops if not name.endswith(".dist-info")} == {
        "dashboards",
        "flows",
        "models",
        "pipelines",
    }
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = ("Makefile", "requirements.txt", "tests/conftest.py", "docs/README.md", "SECURITY.md")
    assert set(wanted) <= names


@pytest.mark.parametrize("minor", MINORS)
def test_the_demo_runs_from_the_wheel(minor: int, dist: Path, tmp_path: Path) -> None:
    python = next((python for python in pythons(minor) if works(python)), None)
    if python is None:
        pytest.skip(f"no Python 3.{minor}")
    inside = tmp_path / "environment" / "bin"
    run("uv", "venv", "-q", "--python", python, inside.parent)
    (wheel,) = dist.glob("*.whl")
    run("uv", "pip", "install", "-q", "--python", inside / "python", wheel)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    told = run(inside / "doblecheck", "demo", "--days", "30", folder=elsewhere)
    assert "parts add up" in told
    assert (elsewhere / "data" / "demo" / "analytics.duckdb").exists()
