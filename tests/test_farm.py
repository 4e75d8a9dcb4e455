"""What farms are given to run fits the command line."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_batch import lines_of, rows

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


OPENJD = shutil.which("openjd", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


@pytest.mark.skipif(OPENJD is None, reason="needs openjd-cli")
def test_the_open_job_description_is_valid_and_runs(tmp_path):
    subprocess.run([OPENJD, "check", TEMPLATE], check=True)
    lines_of(tmp_path, 5)
    (tmp_path / "m.csv").write_text("audio\n" + "".join(f"line{number}.wav\n" for number in range(5)))
    program = tmp_path / "kmtalk"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m stand_ins.batch_work "$@"\n')
    program.chmod(0o755)
    given = {"Manifest": tmp_path / "m.csv", "Out": tmp_path / "out", "Shards": 2, "ShardRange": "1-2"}
    words = [word for name, value in {**given, "Command": program}.items() for word in ("-p", f"{name}={value}")]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    for step in ("Lines", "Gather"):
        done = subprocess.run(
            [OPENJD, "run", TEMPLATE, "--step", step, *words],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": paths},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        if step == "Lines":
            assert {path.name for path in (tmp_path / "out").glob("report.*.csv")} == {
                "report.1-of-2.csv",
                "report.2-of-2.csv",
            }
    assert [row["status"] for row in rows(tmp_path / "out")] == ["skipped"] * 5


def test_the_manual_calls_what_there_is():
    manual = (ROOT / "docs" / "farm.md").read_text(encoding="utf-8")
    calls = re.findall(r"^kmtalk (batch .*)$", manual, re.MULTILINE)
    assert len(calls) >= 3
    for call in calls:
        cli.build_parser().parse_args(call.split())


# Flamenco's own objects, as its manual describes them.
FLAMENCO = """
const vm = require("vm"), fs = require("fs");
const author = {
  Task: (name, type) => ({name, type, commands: [], after: [],
    addCommand(command) { this.commands.push(command); }, addDependency(task) { this.after.push(task.name); }}),
  Command: (name, parameters) => ({name, parameters}),
};
const job = {settings: JSON.parse(process.argv[2]), tasks: [], addTask(task) { this.tasks.push(task); }};
const context = vm.createContext({author, job});
const script = fs.readFileSync(process.argv[1], "utf8");
vm.runInContext(script + "; compileJob(job); result = JSON.stringify([JOB_TYPE, job.tasks])", context);
console.log(context.result);
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_job_type_of_flamenco_calls_what_there_is():
    settings = {"manifest": "m.csv", "out": "out", "shards": 3, "workers": 2, "kmtalk": "{kmtalk}"}
    script = ROOT / "tools" / "farm" / "kmtalk-batch.js"
    said = subprocess.check_output(["node", "-e", FLAMENCO, script, json.dumps(settings)], text=True)
    kind, tasks = json.loads(said)
    assert {entry["key"] for entry in kind["settings"]} == settings.keys()
    commands = [command for task in tasks for command in task["commands"]]
    assert {(command["name"], command["parameters"]["exe"]) for command in commands} == {("exec", "{kmtalk}")}
    options = [cli.build_parser().parse_args(command["parameters"]["args"]) for command in commands]
    assert [option.shard and option.shard.label for option in options] == ["1-of-3", "2-of-3", "3-of-3", None]
    assert all(option.resume and option.workers == 2 for option in options)
    assert tasks[-1]["after"] == [task["name"] for task in tasks[:-1]]
