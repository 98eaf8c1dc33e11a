"""The published cases: worked out by hand, computed by this installation."""

import json
import shutil
from importlib import resources
from pathlib import Path

from typer.testing import CliRunner

from pipelines.cli import app

PUBLISHED = Path(str(resources.files("models"))) / "verification"
WRONG = {
    "name": "wrong",
    "rule": "This one is wrong on purpose.",
    "raw": {"raw_kapso.messages": [{"kapso_direction": "inbound", "timestamp": "1772452800"}]},
    "expect": {"fct_turns": [{"scope": "any", "requests": 2}, {"scope": "human", "requests": 1}]},
}


def test_every_published_case_matches_and_a_wrong_one_is_told(tmp_path):
    folder = tmp_path / "cases"
    shutil.copytree(PUBLISHED, folder)
    (folder / "wrong.json").write_text(json.dumps([WRONG]))
    result = CliRunner().invoke(app, ["verify", "--json", "--cases", str(folder)])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert [mismatch["case"] for mismatch in found["mismatches"]] == ["wrong"]
    assert found["mismatches"][0]["actual"][0]["requests"] == 1
    assert found["matched"] == found["total"] - 1 > 35
    assert found["values"] > 150


def test_every_case_says_which_rule_it_is_about():
    files = [file for file in PUBLISHED.glob("*.json") if file.name != "defaults.json"]
    cases = [case for file in files for case in json.loads(file.read_text())]
    names = [case["name"] for case in cases]
    assert len(set(names)) == len(names)  # each is an account of its own
    assert all(case["rule"].endswith(".") and case["expect"] for case in cases)
