"""Pages that are made from the code: all commands with their options, names of columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

INTRODUCTION = """# Commands

`rcrnn COMMAND --help` shows the same in a terminal. Every command ends with 0 if all went well,
with 1 if some recordings failed and the rest was done, and with 2 if it was used wrongly;
[Errors](errors.md) has the rarer codes.
"""


def write_commands(path: Path) -> None:
    """Write the page, unless it is there and the same."""
    import typer

    from sklearn_rcrnn.cli import COMMANDS
    from sklearn_rcrnn.cli._common import app

    group: Any = typer.main.get_command(app)
    context = group.make_context("rcrnn", [], resilient_parsing=True)
    text = INTRODUCTION + "".join(section(group.get_command(context, c), context) for c in COMMANDS)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_columns(path: Path) -> None:
    """Write the table of the names that columns may have."""
    from sklearn_rcrnn.annotations.columns import MEANINGS, NAMES

    rows = [f"| {m} | {', '.join(f'`{name}`' for name in NAMES[m])} |" for m in MEANINGS]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["| meaning | names |", "|---|---|", *rows, ""]), encoding="utf-8")


def section(command: Any, parent: Any) -> str:
    """Usage, text, arguments and options of one command."""
    context = command.make_context(command.name, [], parent=parent, resilient_parsing=True)
    usage = " ".join(["rcrnn", command.name, *command.collect_usage_pieces(context)])
    paragraphs, example = split_help(command.help or "")
    lines = [f"\n## rcrnn {command.name}\n", f"```text\n{usage}\n```\n", *paragraphs]
    if example:
        lines.append(f"```bash\n{example}\n```\n")
    rows = [row(parameter, context) for parameter in command.params if not hidden(parameter)]
    lines += ["| option | meaning |\n|---|---|", *rows, ""]
    return "\n".join(lines)


def split_help(text: str) -> tuple[list[str], str]:
    """Paragraphs of a help text, and its examples, which a line with a backspace announces."""
    text, _, example = text.partition("\b")
    paragraphs = [" ".join(p.split()) + "\n" for p in text.strip().split("\n\n") if p.strip()]
    return paragraphs, "\n".join(line.strip() for line in example.strip().splitlines())


def hidden(parameter: Any) -> bool:
    return bool(getattr(parameter, "hidden", False)) or parameter.name == "help"


def row(parameter: Any, context: Any) -> str:
    names = [*parameter.opts, *parameter.secondary_opts]
    name = ", ".join(f"`{n}`" for n in names)
    if parameter.param_type_name == "argument":
        name = f"`{parameter.name.upper()}`"
    text = (getattr(parameter, "help", "") or "").replace("|", "\\|")
    default = parameter.get_default(context, call=False)
    shown = getattr(default, "value", default)
    if shown and not isinstance(shown, bool) and not callable(shown):
        text += f" Default: `{shown}`."
    return f"| {name} | {text} |"
