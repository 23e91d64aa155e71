"""``rmt-lab``: the library from a terminal.

Exit codes: 0 all went well, 1 the source or an option is wrong (a line on stderr says what), 2 the command line cannot
be understood, 3 the table is complete but at least one layer could not be analysed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .fingers import RULES

if TYPE_CHECKING:
    import pandas as pd

_EXAMPLES = """examples:
  rmt-lab analyze minilm --fix-fingers clip_xmax         a model of the atlas, no download
  rmt-lab analyze model.safetensors --out details.csv    a file of yours
  rmt-lab analyze gpt2 --split-qkv --randomize           a model of the Hugging Face hub: downloads it
  rmt-lab atlas add bert-base-uncased                    keep the spectra of a model in your cache folder
  rmt-lab demo --out demo                                the main results, as a table and figures
"""
_SHOWN = [
    "name",
    "N",
    "M",
    "alpha",
    "sigma",
    "D",
    "num_pl_spikes",
    "raw_alpha",
    "num_fingers",
    "num_spikes",
    "stable_rank",
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        code = command(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"rmt-lab: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rmt-lab",
        description="Random matrix theory for deep networks: one row a layer, against noise.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True)

    p = commands.add_parser(
        "analyze",
        help="the table of a model's layers",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("source", help="atlas name, checkpoint file or folder, or hub name (downloads it)")
    p.add_argument("--fix-fingers", metavar="RULE", help=f"one of {', '.join(RULES)}")
    p.add_argument("--randomize", action="store_true", help="also each layer with its entries shuffled")
    p.add_argument("--verdict", action="store_true", help="also judge each power law in a word; a second a layer")
    p.add_argument("--split-qkv", action="store_true", help="split fused query-key-value matrices in three")
    p.add_argument("--layers", nargs="+", metavar="LAYER", help="only these: ids, names, roles or parts of long names")
    p.add_argument("--out", type=Path, metavar="FILE.csv", help="write the whole table")
    p.add_argument("--plots", type=Path, metavar="DIR", help="write a figure a layer")
    p.add_argument("--json", action="store_true", help="print JSON instead of a table")
    p.set_defaults(command=_analyze)

    p = commands.add_parser("atlas", help="models whose spectra are at hand")
    actions = p.add_subparsers(title="actions", required=True)
    a = actions.add_parser("list", help="what is there")
    a.set_defaults(command=_atlas_list)
    a = actions.add_parser("show", help="where a model comes from, and its layers")
    a.add_argument("name")
    a.set_defaults(command=_atlas_show)
    a = actions.add_parser("add", help="compute the spectra of a model and keep them in the cache folder")
    a.add_argument("source", help="checkpoint file or folder, or hub name (downloads it)")
    a.add_argument("--name", help="under which to keep it")
    a.add_argument("--split-qkv", action="store_true", help="split fused query-key-value matrices in three")
    a.set_defaults(command=_atlas_add)

    p = commands.add_parser("demo", help="the main results: both models of the atlas against noise")
    p.add_argument(
        "--out", type=Path, default=Path("demo"), metavar="DIR", help="folder for the figures (default: demo)"
    )
    p.set_defaults(command=_demo)
    return parser


def _analyze(args: argparse.Namespace) -> int:
    from .analysis import analyze

    layers = [int(x) if x.isdigit() else x for x in args.layers] if args.layers else None
    details = analyze(
        args.source,
        fix_fingers=args.fix_fingers,
        randomize=args.randomize,
        verdict=args.verdict,
        split_qkv=args.split_qkv,
        layers=layers,
    )
    if args.json:
        rows = json.loads(details.to_json(orient="records", double_precision=15))
        print(json.dumps({**details.attrs, "layers": rows}, indent=1))
    else:
        print(table(details))
        print(summary(details))
    if args.out:
        _write_text(args.out, details.to_csv(index=False))
    if args.plots:
        from .demo import plot_layers

        plot_layers(args.source, details, args.plots)
    return 0 if (details["status"] == "success").all() else 3


def table(details: pd.DataFrame) -> str:
    """The columns that fit a terminal, one row a layer; a failed layer shows its status."""
    shown = [c for c in [*_SHOWN, "verdict"] if c in details]
    shown = [c for c in shown if not details[c].isna().all() or c in ("alpha", "name")]
    ok = details["status"] == "success"
    lines = details.loc[ok, shown].to_string(float_format=lambda v: f"{v:.3g}" if abs(v) < 1 else f"{v:.2f}")
    failed = [f"{row['name']}: {row['status']}" for _, row in details[~ok].iterrows()]
    return "\n".join([*([lines] if ok.any() else []), *failed])


def summary(details: pd.DataFrame) -> str:
    """Two sentences about the alphas of a table."""
    ok = details[details["status"] == "success"]
    if ok.empty:
        return f"None of {len(details)} layers could be analysed."
    text = f"{len(ok)} of {len(details)} layers analysed; mean alpha {ok['raw_alpha'].mean():.2f}, "
    text += f"{(ok['raw_alpha'] > 8).sum()} above 8."
    if ok["num_fingers"].notna().any():
        fixed = ok[ok["num_fingers"] > 0]
        text += (
            f" Fingers fixed: mean alpha {ok['alpha'].mean():.2f}, {(ok['alpha'] > 8).sum()} above 8; "
            f"{ok['num_fingers'].sum()} eigenvalues dropped in {len(fixed)} layers, "
            f"to a better fit in {(fixed['clipping'] == 'better fit').sum()} of them."
        )
    return text


def _atlas_list(_: argparse.Namespace) -> int:
    from . import atlas

    for name in atlas.names():
        model = atlas.load(name)
        print(f"{name:16} {len(model):4} layers  {model.provenance.get('model', '')}")
    return 0


def _atlas_show(args: argparse.Namespace) -> int:
    from . import atlas

    model = atlas.load(args.name)
    for key, value in model.provenance.items():
        print(f"{key}: {value}")
    for x in model:
        print(f"{x.layer_id:4} {x.name:32} {x.spectrum.N:6} x {x.spectrum.M:<5} {x.longname}")
    return 0


def _atlas_add(args: argparse.Namespace) -> int:
    from . import atlas

    model = atlas.add(args.source, name=args.name, split_qkv=args.split_qkv)
    print(f"{model.name}: {len(model)} layers kept in {atlas.cache_folder()}")
    return 0


def _demo(args: argparse.Namespace) -> int:
    from .demo import demo

    demo(args.out)
    return 0


def _write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    handle, part = tempfile.mkstemp(dir=path.resolve().parent, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as f:
            f.write(text)
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    sys.exit(main())
