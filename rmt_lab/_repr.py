"""How results, and the work on them, show themselves, in a notebook and in a terminal."""

import os
from collections.abc import Iterable
from html import escape
from typing import Any


def html_table(title: str, rows: dict[str, str]) -> str:
    """A small two-column table with a caption, readable by a screen reader."""
    body = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(k)}</th>'
        f'<td style="text-align:right">{escape(v)}</td></tr>'
        for k, v in rows.items()
    )
    return f'<table><caption style="text-align:left"><b>{escape(title)}</b></caption><tbody>{body}</tbody></table>'


def reason(error: BaseException) -> str:
    """Why something failed, on one line. The type is told where the message alone does not say enough.

    Examples
    --------
    >>> reason(ValueError("it has no layers")), reason(KeyError("layers"))
    ('it has no layers', "KeyError: 'layers'")
    """
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {text}"


def printable(text: str) -> str:
    """A text from a file with its control characters written out, so that no terminal obeys them.

    Examples
    --------
    >>> printable("block 0\\x1b[2J query")
    'block 0\\\\x1b[2J query'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def progress(items: Iterable[Any] | None = None, *, desc: str, unit: str, total: int | None = None) -> Any:
    """A progress bar that comes up after ten seconds: none for a short run.

    ``TQDM_DISABLE=1`` in the environment turns it off. tqdm's bars for notebooks do not look there by themselves.
    """
    from tqdm.auto import tqdm

    off = os.environ.get("TQDM_DISABLE", "").lower() not in ("", "0", "false")
    return tqdm(items, desc=desc, unit=f" {unit}", total=total, delay=10, disable=off)
