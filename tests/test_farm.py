"""What farms are given to run fits the command line."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kmtalk_core.command import cli

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "tools" / "farm" / "openjd.yaml"
VALUES = {"Param.Workers": "1", "Param.Shards": "8", "Task.Param.Shard": "3"}


def test_the_open_job_description_calls_what_there_is():
    text = TEMPLATE.read_text(encoding="utf-8")
    calls = re.findall(r"args:\n((?: +- .*\n)+)", text)
    assert len(calls) == 2
    shards = []
    for call in calls:
        words = [word.strip().removeprefix("- ").strip('"') for word in call.splitlines()]
        words = [re.sub(r"\{\{(.*?)\}\}", lambda match: VALUES.get(match[1], "x"), word) for word in words]
        options = cli.build_parser().parse_args(words)
        assert options.resume and options.workers == 1
        shards.append(options.shard and options.shard.label)
    assert shards == ["3-of-8", None]


@pytest.mark.skipif(shutil.which("openjd") is None, reason="needs openjd-cli")
def test_the_open_job_description_is_valid():
    subprocess.run(["openjd", "check", TEMPLATE], check=True)


def test_the_manual_calls_what_there_is():
    manual = (ROOT / "docs" / "farm.md").read_text(encoding="utf-8")
    calls = re.findall(r"^kmtalk (batch .*)$", manual, re.MULTILINE)
    assert len(calls) >= 3
    for call in calls:
        cli.build_parser().parse_args(call.split())
