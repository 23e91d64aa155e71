"""The whole way from a hub name to a table, with three models under their own names, and what can go wrong on it."""

import json
import os
import subprocess
from collections import Counter

import hub_models
import pytest
from hub_server import HubServer

for package in ("huggingface_hub", "safetensors", "torch"):
    pytest.importorskip(package, reason=f"needs {package}")
termios = pytest.importorskip("termios", reason="needs a pseudo-terminal")

pytestmark = pytest.mark.slow  # every run imports everything anew

BLOCKS = hub_models.BLOCKS
PIECE = 10 * 2**20  # what huggingface_hub keeps of a transfer comes in such pieces
WHOLE = 1 << 40
STATES = {"bert-base-uncased": hub_models.bert, "openai-gpt": hub_models.openai_gpt, "gpt2": hub_models.gpt2}
FILES = {
    "bert-base-uncased": ["pytorch_model.bin"],
    "openai-gpt": ["model.safetensors.index.json", *(f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3))],
    "gpt2": ["model.safetensors"],
}
IN_A_GPT = ("qkv", "attention output", "feed-forward in", "feed-forward out")
IN_A_BERT = ("query", "key", "value", *IN_A_GPT[1:])
OF_A_GPT = {"embedding": 1, "position embedding": 1} | dict.fromkeys(IN_A_GPT, BLOCKS)
#: How many matrices each model has, by their role.
ROLES = {
    "bert-base-uncased": {"embedding": 1, "position embedding": 1, "token-type embedding": 1, "pooler": 1, "head": 2}
    | dict.fromkeys(IN_A_BERT, BLOCKS),
    "openai-gpt": OF_A_GPT,
    "gpt2": OF_A_GPT,
}
MATRICES = {"bert-base-uncased": 78, "openai-gpt": 50, "gpt2": 50}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    for name in hub_models.WRITERS:
        hub_models.write(folder, name)
    (folder / "acme" / "words").mkdir(parents=True)
    (folder / "acme" / "words" / "vocab.txt").write_text("the")
    return folder


@pytest.fixture
def hub(served):
    with HubServer(served) as server:
        server.renamed |= hub_models.RENAMED
        yield server


def run(hub, home, *args, **kwargs):
    """One call of rmt-lab by a user with that home."""
    return hub.run(home, "-m", "rmt_lab.cli", *args, **kwargs)


def rows(done):
    return json.loads(done.stdout)["layers"]


def kept(home):
    """The names of the complete files in the cache; none is there in part."""
    blobs = [path for path in (home / "hf").rglob("blobs/*") if path.is_file()]
    links = [path for path in (home / "hf").rglob("snapshots/*/*") if path.is_file()]
    assert sorted(blobs) == sorted(link.resolve() for link in links)
    return sorted(link.name for link in links)


def refused(done):
    """The message of a call that failed: the last line, behind those of huggingface_hub's own log."""
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    *log, message = done.stderr.splitlines()
    assert message.startswith("rmt-lab: ")
    assert not any(line.startswith("rmt-lab") for line in log)
    return message


@pytest.mark.parametrize("name", MATRICES)
def test_a_model_comes_from_the_hub_with_all_its_matrices_and_then_from_the_cache(hub, tmp_path, name):
    first = run(hub, tmp_path, "analyze", name, "--json")
    found = rows(first)
    assert len(found) == MATRICES[name] == sum(ROLES[name].values())
    assert Counter(row["role"] for row in found) == ROLES[name]
    state = STATES[name]()
    for row in found:
        weights = state[row["longname"] + ".weight"].astype(float)
        if row["status"] == "success":
            assert row["norm"] == pytest.approx((weights**2).sum())
            assert [row["N"], row["M"]] == sorted(weights.shape, reverse=True)
    failed = [row["longname"] for row in found if row["status"] != "success"]
    two_rows = ["bert.embeddings.token_type_embeddings", "cls.seq_relationship"]
    assert failed == (two_rows if name == "bert-base-uncased" else [])
    assert first.returncode == (3 if failed else 0)
    assert hub.downloads() == [(file, None) for file in FILES[name]]
    assert kept(tmp_path) == sorted(FILES[name])

    hub.asked.clear()
    again = rows(run(hub, tmp_path, "analyze", name, "--json", "--split-qkv"))
    assert len(again) == (MATRICES[name] if name == "bert-base-uncased" else 74)
    assert hub.asked == []


def test_a_transfer_that_breaks_off_is_resumed_where_it_was(tmp_path):
    size = hub_models.Size(96, 32, {"gpt2": 30000})
    hub_models.write(tmp_path / "hub", "gpt2", size)
    with HubServer(tmp_path / "hub") as hub:
        hub.renamed |= hub_models.RENAMED
        hub.cuts.append(PIECE + 1000)
        done = run(hub, tmp_path / "home", "analyze", "gpt2", "--json", "--layers", "0")
    assert hub.downloads() == [("model.safetensors", None), ("model.safetensors", f"bytes={PIECE}-")]
    (row,) = rows(done)
    assert row["norm"] == pytest.approx((hub_models.gpt2(size)["wte.weight"].astype(float) ** 2).sum())


def test_a_hub_that_breaks_off_again_and_again_is_given_up_and_the_next_call_needs_the_rest_only(hub, tmp_path):
    index, first, second, third = FILES["openai-gpt"]
    hub.cuts.extend([WHOLE, WHOLE, *[100] * 6])
    message = refused(run(hub, tmp_path, "analyze", "openai-gpt"))
    assert "source='openai-gpt' could not be downloaded from the hub: " in message
    assert "the same call tries again, and keeps the files that are complete" in message
    assert kept(tmp_path) == sorted([index, first])

    hub.asked.clear()
    assert not hub.cuts
    done = run(hub, tmp_path, "analyze", "openai-gpt", "--json")
    assert hub.downloads() == [(second, None), (third, None)]
    assert len(rows(done)) == MATRICES["openai-gpt"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gpt2", "'gpt2': there is no such file or folder, and as a hub name it is gated: accept its licence"),
        ("acme/private", "the hub does not know it (or it is private)"),
        ("acme/words", "it holds none of model.safetensors, "),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_line_and_nothing_is_kept(hub, tmp_path, name, says):
    hub.gated.add(hub_models.RENAMED["gpt2"])
    done = run(hub, tmp_path, "analyze", name)
    assert says in refused(done)
    assert len(done.stderr.splitlines()) == 1
    assert kept(tmp_path) == []


def test_a_full_disk_is_said_in_one_line_and_nothing_is_kept(hub, tmp_path):
    full = "import resource, sys; from rmt_lab.cli import main; "
    full += "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); sys.exit(main(sys.argv[1:]))"
    done = hub.run(tmp_path, "-c", full, "analyze", "gpt2")
    assert refused(done).startswith(f"rmt-lab: source='gpt2': no room for the download in {tmp_path / 'hf' / 'hub'} (")
    assert len(done.stderr.splitlines()) == 1
    assert kept(tmp_path) == []
    assert len(rows(run(hub, tmp_path, "analyze", "gpt2", "--json"))) == MATRICES["gpt2"]


def test_a_slow_hub_is_waited_for_and_a_terminal_shows_how_far_the_download_is(hub, tmp_path):
    hub.delay = 0.5
    terminal, end = os.openpty()
    termios.tcsetwinsize(end, (24, 100))
    done = run(hub, tmp_path, "analyze", "gpt2", capture_output=False, stdout=subprocess.PIPE, stderr=end)
    os.close(end)
    shown = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert done.returncode == 0
    assert "model.safetensors: 100%|" in shown


@pytest.mark.parametrize("name", MATRICES)
def test_the_true_shapes_are_read_from_the_hub(tmp_path, name):
    hub_models.write(tmp_path / "hub", name, hub_models.FULL)
    with HubServer(tmp_path / "hub") as hub:
        hub.renamed |= hub_models.RENAMED
        hub.cuts.append(WHOLE if name == "openai-gpt" else 3 * PIECE + 1)
        code = "import json, sys; from rmt_lab import iter_weights; from rmt_lab.weights.read import find_weights; "
        code += "first = next(iter_weights(sys.argv[1], layers=[5])).matrix; found = find_weights(sys.argv[1]); "
        code += "print(json.dumps([float(first.std()), [[x.longname, *x.shape] for x in found]]))"
        done = hub.run(tmp_path / "home", "-c", code, name)
    std, found = json.loads(done.stdout)
    shapes = {longname: tuple(shape) for longname, *shape in found}
    assert len(shapes) == MATRICES[name]
    expected = {
        "bert-base-uncased": {
            "bert.embeddings.word_embeddings": (30522, 768),
            "bert.encoder.layer.11.intermediate.dense": (3072, 768),
            "cls.seq_relationship": (2, 768),
        },
        "openai-gpt": {"tokens_embed": (40478, 768), "positions_embed": (512, 768), "h.0.attn.c_attn": (768, 2304)},
        "gpt2": {"wte": (50257, 768), "wpe": (1024, 768), "h.11.mlp.c_proj": (3072, 768)},
    }[name]
    assert {longname: shapes[longname] for longname in expected} == expected
    assert std == pytest.approx(0.02, rel=0.05)
    again = [span for _, span in hub.downloads() if span]
    assert again == ([] if name == "openai-gpt" else [f"bytes={3 * PIECE}-"])
    assert kept(tmp_path / "home") == sorted(FILES[name])
