"""``rmt-lab``: the library from a terminal.

Exit codes: 0 all went well, 1 the source or an option is wrong (a line on stderr says what), 2 the command line cannot
be understood, 3 the table or the list is complete, but a layer could not be analysed, or a checkpoint or a file of the
atlas could not be read, 130 stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP. A stopped run leaves no file
half-written, and ``analyze`` says how many layers are done.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from . import __version__
from ._files import cache_folder, check_output, written_whole
from ._repr import printable
from .ensembles.matrices import NULLS
from .spectrum.solvers import METHODS
from .tails.fingers import RULES

_COMPARED = (
    *("name", "relative_change", "change_rank", "left_overlap", "left_null", "left_p"),
    *("num_intruders", "spectral_distance"),
)
_STEPS = ("step", "name", "N", "M", "alpha", "sigma", "D", "num_pl_spikes", "num_spikes", "stable_rank")
_EXAMPLES = """examples:
  rmt-lab analyze minilm --fix-fingers clip_xmax         a model of the atlas, no download
  rmt-lab analyze model.safetensors --out details.csv    a file of yours
  rmt-lab analyze gpt2 --split-qkv --randomize           a model of the Hugging Face hub: downloads it
  rmt-lab describe model.safetensors                     what it holds and what it takes, before anything is read
  rmt-lab report gpt2 --out report.html                  one page to hand in
  rmt-lab compare base.safetensors tuned.safetensors     what fine-tuning changed, layer by layer
  rmt-lab series run --out run.csv                       every checkpoint of a training, one table
  rmt-lab atlas add bert-base-uncased                    keep the spectra of a model in your cache folder
  rmt-lab flipbook spike --out spike.html                one slider over pictures, in a page that needs no kernel
  rmt-lab demo --out demo                                the main results, as a table and figures
"""

_OTHER_TABLES = (".json", ".parquet", ".xlsx", ".xls", ".html", ".pdf")  # what a CSV must not be called


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # it was closed before the program began: what is told goes nowhere
            setattr(sys, stream, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    args = _parser().parse_args(argv)
    with _stopped_by_signals():
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        code = command(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader (head, less) has gone
        _close_output()
        return 0
    except KeyboardInterrupt:
        print("rmt-lab: stopped; no file is half-written", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"rmt-lab: {printable(str(error))}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # a full disk
            _close_output()
        return 1


def _close_output() -> None:
    """Let what is still to be printed go nowhere: the interpreter would try once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let signals end the program by SystemExit, so that half-written files are removed.

    Afterwards they do what they did before: processes that are forked later would inherit this, and a worker that waits
    for work can miss the signal by which its pool ends it.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:  # a closed terminal sends the second
            before[number] = signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


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
    p.add_argument("--base", metavar="OTHER", help="what training began with: the table is that of the changes")
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
    p.add_argument(
        "--erg", action="store_true", help="also the ERG tail (product of eigenvalues one) and its gap to the power law"
    )
    _add_choice(p)
    p.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write the whole table: FILE.csv whole or not at all, or FILE.jsonl row by row, as they are finished",
    )
    p.add_argument("--plots", type=Path, metavar="DIR", help="write one figure per layer")
    p.add_argument("--json", action="store_true", help="print JSON instead of a table")
    p.add_argument("--method", default="gram", help=f"how eigenvalues are computed, one of {', '.join(METHODS)}")
    p.add_argument("--device", default="cpu", help="where: cpu, or a GPU as torch names it, such as cuda")
    _add_jobs(p)
    p.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep every finished spectrum there, so that a run that was stopped goes on where it was",
    )
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
    _add_split(a)
    a.set_defaults(command=_atlas_add)

    _add_describe(commands)
    _add_report(commands)
    _add_compare(commands)
    _add_series(commands)

    _add_flipbook(commands)

    p = commands.add_parser("demo", help="the main results: both models of the atlas against noise")
    p.add_argument(
        "--out", type=Path, default=Path("demo"), metavar="DIR", help="folder for the figures (default: demo)"
    )
    p.set_defaults(command=_demo)
    return parser


def _add_describe(commands: Any) -> None:
    p = commands.add_parser("describe", help="what a source holds and what an analysis takes, before a tensor is read")
    p.add_argument("source", help="atlas name, checkpoint file or folder, or hub name (downloads it)")
    p.add_argument("--split-qkv", action="store_true", help="count fused query-key-value matrices as three")
    p.set_defaults(command=_describe)


def _add_report(commands: Any) -> None:
    p = commands.add_parser("report", help="one page to hand in: verdicts in words, figures against noise, the table")
    p.add_argument("source", help="atlas name, checkpoint file or folder, or hub name (downloads it)")
    p.add_argument("--out", type=Path, metavar="FILE", help="FILE.html or FILE.pdf (default: report.html)")
    p.add_argument(
        "--format",
        choices=["html", "pdf"],
        help="pdf needs the package typst (default: by the ending of FILE, or html)",
    )
    p.add_argument(
        "--fix-fingers", metavar="RULE", default="clip_xmax", help=f"{', '.join(RULES)} (default: %(default)s)"
    )
    _add_split(p)
    _add_jobs(p)
    p.set_defaults(command=_report)


def _add_flipbook(commands: Any) -> None:
    p = commands.add_parser("flipbook", help="an explorer's pictures along one parameter, as a page with a slider")
    p.add_argument("explorer", help="such as bulk, spike or heavy-tail")
    p.add_argument("parameter", nargs="?", help="as the explorer's model names it (default: what suits its idea)")
    p.add_argument("--out", type=Path, metavar="FILE", help="FILE.html (default: EXPLORER.html)")
    p.set_defaults(command=_flipbook)


def _add_compare(commands: Any) -> None:
    p = commands.add_parser("compare", help="what changed from one checkpoint to another, one row per layer")
    p.add_argument("base", help="what training began with: checkpoint file or folder, or hub name (downloads it)")
    p.add_argument("tuned", help="what training ended with, or the folder of a LoRA adapter of BASE")
    p.add_argument("--json", action="store_true", help="print JSON instead of a table")
    _add_choice(p)
    _add_file(p)
    p.set_defaults(command=_compare)


def _add_series(commands: Any) -> None:
    p = commands.add_parser("series", help="the checkpoints of one training, one row per step and layer")
    p.add_argument("folder", help="a folder of checkpoints, or a pattern of their paths in quotes; names hold the step")
    _add_choice(p)
    _add_file(p)
    p.set_defaults(command=_series)


def _add_split(p: argparse.ArgumentParser) -> None:
    p.add_argument("--split-qkv", action="store_true", help="split fused query-key-value matrices in three")


def _add_choice(p: argparse.ArgumentParser) -> None:
    _add_split(p)
    p.add_argument(
        "--layers",
        action="append",
        metavar="LAYER",
        help="only this layer or these: an id, a name, a role or a part of long names; may be given several times",
    )


def _add_jobs(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--jobs", type=int, metavar="N", help="layers at a time (default: 1; -1: as many as there are cores)"
    )


def _add_file(p: argparse.ArgumentParser) -> None:
    p.add_argument("--out", type=Path, metavar="FILE", help="write the whole table: FILE.csv, whole or not at all")


def _analyze(args: argparse.Namespace) -> int:
    from .analysis import Options, rows_of, table_of
    from .report import json_line, plot_layers, summary, table

    if args.out:
        check_output(args.out)
        if args.out.suffix.lower() in _OTHER_TABLES:
            raise ValueError(f"--out {args.out}: a table is written as .csv, or as .jsonl row by row")
    for folder in (args.plots, args.cache):
        if folder:
            check_output(folder, folder=True)
    options = Options(
        fix_fingers=args.fix_fingers,
        randomize=args.null or args.randomize,
        verdict=args.verdict,
        split_qkv=args.split_qkv,
        layers=_layers(args),
        method=args.method,
        device=args.device,
        base=args.base,
        erg=args.erg,
    )
    coming = rows_of(args.source, options, args.jobs, args.cache)  # an error here must not cost an older file
    rows: list[dict[str, Any]] = []
    by_row = _by_row(args.out)
    with args.out.open("w", encoding="utf-8") if by_row else nullcontext() as lines:
        try:
            for row in coming:
                rows.append(row)
                if lines:
                    lines.write(json_line(row))
                    lines.flush()
        except (KeyboardInterrupt, SystemExit):
            _tell_what_is_done(rows, args)
            if rows and not args.json:
                print(table(table_of(rows, args.source, options)))
            raise
    details = table_of(rows, args.source, options)
    if args.json:
        _print_json(details)
    else:
        print(table(details))
        print(summary(details))
    code = _write_csv(details, None if by_row else args.out)
    if args.plots:
        plot_layers(args.source, details, args.plots, args.cache)
    return code


def _layers(args: argparse.Namespace) -> list[int | str] | None:
    return [int(x) if x.isascii() and x.isdigit() else x for x in args.layers] if args.layers else None


def _print_json(details: Any) -> None:
    records = json.loads(details.to_json(orient="records", double_precision=15))
    print(json.dumps({**details.attrs, "layers": records}, indent=1))


def _by_row(out: Path | None) -> bool:
    return out is not None and out.suffix.lower() == ".jsonl"


def _check_csv(out: Path | None) -> None:
    if out:
        check_output(out)
        if out.suffix.lower() in (*_OTHER_TABLES, ".jsonl"):
            raise ValueError(f"--out {out}: this table is written as .csv")


def _write_csv(details: Any, out: Path | None) -> int:
    """Write the table to a file, if one is named. Returns the exit code: 3 if a row has no figures."""
    from .report import csv

    if out:
        with written_whole(out) as file:
            file.write(csv(details).encode())
    return 0 if (details["status"] == "success").all() else 3


def _compare(args: argparse.Namespace) -> int:
    from .comparison import compare
    from .report import table

    _check_csv(args.out)
    details = compare(args.base, args.tuned, _layers(args), args.split_qkv)
    if args.json:
        _print_json(details)
    else:
        print(table(details, _COMPARED))
    return _write_csv(details, args.out)


def _series(args: argparse.Namespace) -> int:
    from .comparison import analyze_series
    from .report import table

    _check_csv(args.out)
    details = analyze_series(args.folder, layers=_layers(args), split_qkv=args.split_qkv)
    failed = details["status"] != "success"
    named = details["source"].map(os.path.basename) + " " + details["name"]  # a failed row is shown without its step
    print(table(details.assign(name=details["name"].mask(failed, named.str.strip())), _STEPS))
    return _write_csv(details, args.out)


def _tell_what_is_done(rows: Sequence[object], args: argparse.Namespace) -> None:
    where = []
    if args.cache:
        where.append(f"their spectra are in {args.cache}, and the same command goes on from there")
    if _by_row(args.out):
        where.append(f"their rows are in {args.out}")
    kept = "; ".join(where) or "nothing of them is kept; with --cache DIR it is"
    print(f"rmt-lab: {len(rows)} {'layer' if len(rows) == 1 else 'layers'} done; {kept}", file=sys.stderr)


def _atlas_list(_: argparse.Namespace) -> int:
    from . import atlas

    code = 0
    for name in atlas.names():
        try:
            model = atlas.load(name)
        except ValueError as error:  # one broken file must not hide the others
            print(f"rmt-lab: {printable(' '.join(str(error).split()))}", file=sys.stderr)
            code = 3
        else:
            print(printable(f"{name:16} {len(model):4} layers  {model.provenance.get('model', '')}"))
    return code


def _atlas_show(args: argparse.Namespace) -> int:
    from . import atlas

    model = atlas.load(args.name)
    facts = dict(model.provenance)
    left_out = facts.pop("left_out", {})
    for key, value in facts.items():
        print(printable(f"{key}: {value}"))
    for x in model:
        print(printable(f"{x.layer_id:4} {x.name:32} {x.spectrum.N:6} x {x.spectrum.M:<5} {x.longname}"))
    for longname, why in left_out.items():
        print(printable(f"left out: {longname}: {why}"))
    return 0


def _atlas_add(args: argparse.Namespace) -> int:
    from . import atlas

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = atlas.add(args.source, name=args.name, split_qkv=args.split_qkv)
    for warning in said:
        print(f"rmt-lab: {printable(str(warning.message))}", file=sys.stderr)
    print(f"{model.name}: {len(model)} layers kept in {cache_folder('atlas')}")
    return 3 if "left_out" in model.provenance else 0


def _describe(args: argparse.Namespace) -> int:
    from .report.description import describe, in_words

    held = describe(args.source, args.split_qkv)
    shapes = [" x ".join(map(str, shape)) for shape in held["shape"]]
    names = held["longname"].map(printable)
    shown = held.assign(longname=names, shape=shapes, skipped=held["skipped"].map(printable))
    columns = ["layer_id", "longname", "role", "shape", "dtype", "bytes", "skipped"]
    print(shown[columns].to_string(index=False, na_rep=""))
    print(in_words(held))
    return 0


def _report(args: argparse.Namespace) -> int:
    from .report import write_page

    out = args.out or Path(f"report.{args.format or 'html'}")
    if args.format and out.suffix != f".{args.format}":
        raise ValueError(f"--out {out} does not end in .{args.format}, the format that was asked for")
    write_page(args.source, out, fix_fingers=args.fix_fingers, split_qkv=args.split_qkv, n_jobs=args.jobs)
    print(f"{out}: written")
    return 0


def _flipbook(args: argparse.Namespace) -> int:
    from .explorers.gallery import KINDS
    from .explorers.words import title

    kinds = {title(kind).replace(" ", "-"): kind for kind in KINDS}
    if args.explorer not in kinds:
        raise ValueError(f"explorer {args.explorer!r}; one of {', '.join(kinds)}")
    explorer = kinds[args.explorer]()
    out = args.out or Path(f"{args.explorer}.html")
    explorer.flipbook(args.parameter or explorer.model.swept, out)
    print(f"{out}: written")
    return 0


def _demo(args: argparse.Namespace) -> int:
    from .report.demo import demo

    demo(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
