"""The ``limelight`` command."""

from __future__ import annotations

import typer

from allinone.cli import (
    demo,
    demo_marketing,
    detect,
    dlq,
    evaluate,
    imports,
    keys,
    marketing_imports,
    runs,
    samples,
    tenants,
    topics,
    up,
    usage,
    users,
)

app = typer.Typer(
    help="Measure how AI assistants talk about brands, and act on it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up")(up.up)
demo.app.command("marketing")(demo_marketing.marketing)
app.add_typer(demo.app, name="demo")
app.command("usage")(usage.usage)
app.command("detect")(detect.detect)
app.add_typer(runs.app, name="runs")
imports.app.command("conversations")(marketing_imports.conversations)
imports.app.command("engagements")(marketing_imports.engagements)
imports.app.command("campaigns")(marketing_imports.campaigns)
app.add_typer(imports.app, name="import")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(dlq.app, name="dlq")
app.add_typer(keys.app, name="keys")
app.add_typer(tenants.app, name="tenants")
app.add_typer(samples.app, name="sample")
app.add_typer(topics.app, name="topics")
app.add_typer(users.app, name="users")
app.command("simulator")(up.simulator)
