"""How results show themselves in a notebook."""

from html import escape


def html_table(title: str, rows: dict[str, str]) -> str:
    """A small two-column table with a caption, readable by a screen reader."""
    body = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(k)}</th>'
        f'<td style="text-align:right">{escape(v)}</td></tr>'
        for k, v in rows.items()
    )
    return f'<table><caption style="text-align:left"><b>{escape(title)}</b></caption><tbody>{body}</tbody></table>'
