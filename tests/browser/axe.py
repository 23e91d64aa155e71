"""What axe-core finds wrong with a page for a reader who uses a screen reader, a keyboard, or weak eyes."""

from __future__ import annotations

from typing import Any

from npm import package

VERSION = "4.14.1"
RUN = """async ([within, without]) => {
    const context = {include: within, exclude: without};
    const found = await axe.run(context, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]});
    return found.violations.map(v => [v.impact, v.id, v.help, v.nodes.map(n => [n.target.join(" "), n.html])]);
}"""


def findings(page: Any, within: list[str] | None = None, without: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Serious and critical findings: the rule with its help, and the elements concerned."""
    page.evaluate((package("axe-core", VERSION) / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate(RUN, [within or ["body"], list(without)])
    return [
        (f"{impact}: {rule}: {text}", "\n".join(" ".join(node)[:300] for node in nodes))
        for impact, rule, text, nodes in found
        if impact in ("serious", "critical")
    ]
