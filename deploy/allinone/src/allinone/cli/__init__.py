"""The ``limelight`` command."""

from __future__ import annotations

import typer

from allinone.cli import demo, dlq, keys, topics, up

app = typer.Typer(
    help="Measure how AI assistants talk about brands, and act on it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up")(up.up)
app.command("demo")(demo.demo)
app.add_typer(dlq.app, name="dlq")
app.add_typer(keys.app, name="keys")
app.add_typer(topics.app, name="topics")
app.command("simulator")(up.simulator)
