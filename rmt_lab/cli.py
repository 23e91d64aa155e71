"""``rmt-lab``: the library from a terminal.

Exit codes: 0 all went well, 1 the source or an option is wrong (a line on stderr says what), 2 the command line cannot
be understood, 3 the table is complete but at least one layer could not be analysed, 130 stopped by Ctrl-C and 143 by
SIGTERM, with nothing half-written.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from . import __version__
from ._files import cache_folder, check_output, written_whole
from .ensembles.matrices import NULLS
from .tails.fingers import RULES

_EXAMPLES = """examples:
  rmt-lab analyze minilm --fix-fingers clip_xmax         a model of the atlas, no download
  rmt-lab analyze model.safetensors --out details.csv    a file of yours
  rmt-lab analyze gpt2 --split-qkv --randomize           a model of the Hugging Face hub: downloads it
  rmt-lab atlas add bert-base-uncased                    keep the spectra of a model in your cache folder
  rmt-lab demo --out demo                                the main results, as a table and figures
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = _parser().parse_args(argv)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)  # so that files that are half-written are removed
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        code = command(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("rmt-lab: stopped; no file is half-written", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"rmt-lab: {error}", file=sys.stderr)
        return 1


def _stop(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rmt-lab",
        description="Random matrix theory for deep networks: one row per layer, against noise.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rmt-lab {__version__}")
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
    p.add_argument(
        "--null",
        choices=NULLS,
        help="also each layer randomised so: its entries shuffled (as by --randomize), its "
        "signs flipped at random, or its entries shuffled within the scales of rows and columns",
    )
    p.add_argument(
        "--verdict",
        nargs="?",
        const=True,
        default=False,
        choices=["quick"],
        help="also judge each power law in a word: half a second per layer, or milliseconds by `--verdict quick`",
    )
    p.add_argument("--split-qkv", action="store_true", help="split fused query-key-value matrices in three")
    p.add_argument(
        "--layers",
        action="append",
        metavar="LAYER",
        help="only this layer or these: an id, a name, a role or a part of long names; may be given several times",
    )
    p.add_argument("--out", type=Path, metavar="FILE.csv", help="write the whole table")
    p.add_argument("--plots", type=Path, metavar="DIR", help="write one figure per layer")
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
    from .report import csv, plot_layers, summary, table

    if args.out:
        check_output(args.out)
    if args.plots:
        check_output(args.plots, folder=True)
    layers = [int(x) if x.isdigit() else x for x in args.layers] if args.layers else None
    details = analyze(
        args.source,
        fix_fingers=args.fix_fingers,
        randomize=args.null or args.randomize,
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
        with written_whole(args.out) as file:
            file.write(csv(details).encode())
    if args.plots:
        plot_layers(args.source, details, args.plots)
    return 0 if (details["status"] == "success").all() else 3


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
    print(f"{model.name}: {len(model)} layers kept in {cache_folder('atlas')}")
    return 0


def _demo(args: argparse.Namespace) -> int:
    from .demo import demo

    demo(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
