"""`workflow-ray deploy` and `run` with changed code: what restarts, what is refused (E15, U7)."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.end_to_end.conftest import CommandLine

SOURCE = """
from typing import Literal
from pydantic import BaseModel
from workflow_ray import Run, Status, Workflow
from {helper} import LABEL

class Note(BaseModel):
    label: str = ""

class At(Status):
    NEW, DONE = 1, 2

notes = Workflow("{name}", Note, At)

@notes.step(At.NEW)
async def write(run: Run[Note, At]) -> Literal[At.DONE]:
    run.data.label = LABEL
    return At.DONE
"""
MODULES = {"memos": "memos", "letters_out": "letters", "letters_too": "letters"}
"""Modules, and the workflow in each."""


class Project:
    """The folder of a user, with a package and its helpers."""

    def __init__(self, folder: Path, cli: CommandLine) -> None:
        path = os.pathsep.join([str(folder), cli.environment.get("PYTHONPATH", "")])
        self.cli = replace(
            cli, environment={**cli.environment, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        )
        self._folder = folder
        for module, name in MODULES.items():
            (folder / f"{module}.py").write_text(SOURCE.format(name=name, helper=f"{module}_texts"))
            self.edit(module, "v1")

    def edit(self, module: str, label: str) -> None:
        """Change the helper of a module, and nothing else."""
        (self._folder / f"{module}_texts.py").write_text(f"LABEL = {label!r}\n")

    def run(self, module: str, key: str, *options: str, expect: int = 0) -> str:
        """Run a job of one line in a new process. Returns what it writes on stderr."""
        line = f'{{"foreign_id": "{key}", "data": {{}}}}\n'
        arguments = ("run", f"{module}:notes", "--runtime", "local", "--input", "-", *options)
        return self.cli(*arguments, given=line, expect=expect).stderr

    def deploy(self, *modules: str, expect: int = 0) -> str:
        """Deploy modules. Returns what the command prints."""
        arguments = [f"{module}:notes" if module in MODULES else module for module in modules]
        done = self.cli("deploy", *arguments, expect=expect)
        return done.stderr if expect else done.stdout

    def label(self, key: str) -> str:
        (run,) = self.cli.json("runs", "list", "letters", "--foreign-id", key)
        label: str = self.cli.json("runs", "show", run["run_id"])["data"]["label"]
        return label

    def pids(self) -> Mapping[str, int]:
        return {actor["name"]: actor["pid"] for actor in self.cli.roles()}


@pytest.fixture
def project(tmp_path: Path, cli: CommandLine) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder, cli)


def one_line(said: str) -> str:
    """Return the one error that a command prints, after what it says at its start."""
    *before, line = said.splitlines()
    assert before in ([], ["Starting letters."])
    assert line.startswith("workflow-ray: ")
    return line


@pytest.mark.timeout(180)  # it runs a dozen commands
def test_a_local_job_with_older_code_runs_it_and_leaves_the_newer_deployed(
    project: Project,
) -> None:
    for version in ("v1", "v2"):
        project.edit("letters_out", version)
        assert "replaced" not in project.run("letters_out", version)
    project.edit("letters_out", "v1")
    assert "workflow 'letters': other code has replaced this process's" in project.run(
        "letters_out", "late"
    )
    assert "replaced" in project.run("letters_out", "still late")
    assert "replaced" not in project.run("letters_out", "back", "--rollback")
    assert "replaced" not in project.run("letters_out", "at home")
    assert [project.label(key) for key in ("v1", "v2", "late", "back")] == ["v1", "v2", "v1", "v1"]


def test_a_job_of_another_workflow_of_the_name_is_refused_in_one_line(project: Project) -> None:
    project.run("letters_out", "first")
    error = one_line(project.run("letters_too", "second", expect=2))
    assert "is deployed here from letters_out:notes (" in error
    assert "letters_out.py:13), and this is letters_too:notes (" in error
    assert project.cli.json("runs", "list", "letters", "--foreign-id", "second") == []
    project.run("letters_too", "second", "--replace")
    assert project.label("second") == "v1"


def test_two_workflows_of_one_name_in_one_deploy_are_refused_in_one_line(project: Project) -> None:
    error = one_line(project.deploy("letters_out", "letters_too", expect=2))
    assert "two workflows have the name 'letters': letters_out:notes (" in error
    assert "and letters_too:notes (" in error
    assert not Path(project.cli.records.removeprefix("sqlite:///")).exists()


@pytest.mark.timeout(300)
def test_a_deploy_restarts_the_workflows_whose_code_has_changed_and_says_so(
    project: Project,
) -> None:
    memos, letters = (f"{name}-1-consumer-1-of-1" for name in ("memos", "letters"))
    where = f"Running on {project.cli.records}.\n"
    try:
        assert (
            project.deploy("memos", "letters_out")
            == f"memos: started, 3 roles.\nletters: started, 3 roles.\n{where}"
        )
        first = project.pids()
        assert (
            project.deploy("memos", "letters_out")
            == f"memos: unchanged, 3 roles.\nletters: unchanged, 3 roles.\n{where}"
        )
        assert project.pids() == first

        project.edit("letters_out", "v2")
        assert project.deploy("memos", "letters_out") == (
            "memos: unchanged, 3 roles.\n"
            f"letters: restarted, 3 roles, its code has changed.\n{where}"
        )
        second = project.pids()
        assert {name for name in first if first[name] != second[name]} == {
            letters,
            "letters-bulk-1-of-1",
            "letters-data-1-of-1",
        }

        (restarted,) = json.loads(project.deploy("memos", "--restart", "--json"))["workflows"]
        assert restarted == {
            "workflow": "memos",
            "change": "restarted",
            "roles": [memos, "memos-bulk-1-of-1", "memos-data-1-of-1"],
            "why": "as asked for",
        }
        third = project.pids()
        assert {name for name in second if second[name] != third[name]} == {
            memos,
            "memos-bulk-1-of-1",
            "memos-data-1-of-1",
        }

        project.edit("letters_out", "v1")
        error = one_line(project.deploy("memos", "letters_out", expect=2))
        assert "'letters': the code of letters_out:notes (" in error
        assert "replaced by other code one deploy ago" in error
        assert "'letters' is deployed here from" in one_line(
            project.deploy("letters_too", expect=2)
        )
        assert project.pids() == third
        assert "letters: restarted" in project.deploy("letters_out", "--rollback")
    finally:
        project.cli("down")
