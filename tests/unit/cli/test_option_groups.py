"""Options that are declared once appear in each command that asks for them."""

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from workflow_ray.cli.option_groups import grouped


@dataclass(frozen=True, kw_only=True)
class Post:
    urgent: Annotated[bool, typer.Option("--urgent")] = False
    to: Annotated[list[str] | None, typer.Option("--to")] = None


def test_a_command_gets_the_dataclass_made_of_its_options() -> None:
    app = typer.Typer()

    @app.command()
    @grouped
    def send(post: Post, letter: str, copies: int = 1) -> None:
        typer.echo(f"{letter} {copies} {post}")

    run = CliRunner().invoke(app, ["hello", "--to", "ann", "--to", "bob", "--copies", "2"])
    assert run.stdout == f"hello 2 {Post(to=['ann', 'bob'])}\n"
    assert CliRunner().invoke(app, ["hello"]).stdout == f"hello 1 {Post()}\n"
    assert "--urgent" in CliRunner().invoke(app, ["--help"]).stdout
