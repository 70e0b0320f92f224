"""Options that name the columns of a table, the same for every command that reads one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

# The names of columns by their meaning, as a command receives them.
Columns = dict[str, str | None] | None

_HELP = {
    "file": "Column of the recordings' names.",
    "onset": "Column of the seconds at which events begin.",
    "offset": "Column of the seconds at which events end.",
    "duration": "Column of the seconds that events last.",
    "label": "Column of the labels.",
    "score": 'Column of the scores; "" for none.',
}


def with_columns(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that takes `table_columns` options for them: ``--label-column`` etc."""

    @functools.wraps(command)
    def with_options(*args: Any, **kwargs: Any) -> Any:
        named = {meaning: kwargs.pop(f"{meaning}_column") for meaning in _HELP}
        columns = {key: name or None for key, name in named.items() if name is not None}
        return command(*args, table_columns=columns, **kwargs)

    signature = inspect.signature(command, eval_str=True)
    kept = [p for name, p in signature.parameters.items() if name != "table_columns"]
    options = [
        inspect.Parameter(
            f"{meaning}_column",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(help=text, rich_help_panel="Columns that have names of their own"),
            ],
        )
        for meaning, text in _HELP.items()
    ]
    with_options.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*kept, *options]
    )
    with_options.__annotations__ = {
        name: hint for name, hint in command.__annotations__.items() if name != "table_columns"
    } | {option.name: option.annotation for option in options}
    return with_options
