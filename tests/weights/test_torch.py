"""Modules, tensors and torch's own files: the same matrices as from arrays, and no pickle that runs code."""

import gc
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from sources import LITTLE, Evil, check_damaged, check_garbage, check_sharded, check_truncated, flips, same, sharded

from rmt_lab.spectrum import Spectrum
from rmt_lab.weights import iter_weights
from rmt_lab.weights.read import find_weights

torch = pytest.importorskip("torch", reason="needs torch")
safetensors_torch = pytest.importorskip("safetensors.torch", reason="needs safetensors")


def test_tensors_and_every_kind_of_file_of_them_give_the_same(state, expected, tmp_path):
    tensors = {name: torch.from_numpy(value) for name, value in state.items()}
    assert same(iter_weights(tensors), expected)
    safetensors_torch.save_file(tensors, tmp_path / "model.safetensors")
    torch.save(tensors, tmp_path / "a.pt")
    torch.save(tensors, tmp_path / "b.bin", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": tensors, "optimizer": {"lr": 0.1}}, tmp_path / "c.pth")
    for name in ("model.safetensors", "a.pt", "b.bin", "c.pth"):
        assert same(iter_weights(tmp_path / name), expected), name
    assert same(iter_weights(tmp_path), expected)  # the folder: model.safetensors


def test_a_sharded_folder_gives_the_same(state, expected, tmp_path):
    tensors = {name: torch.from_numpy(value) for name, value in state.items()}
    check_sharded(tmp_path, sharded(tensors, tmp_path, "pytorch_model", "bin", torch.save), expected)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_dtypes_agree_with_the_safetensors_package(tmp_path, dtype):
    W = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(getattr(torch, dtype))
    path = tmp_path / "model.safetensors"
    safetensors_torch.save_file({"fc.weight": W}, path)
    truth = safetensors_torch.load_file(path)["fc.weight"].double().numpy()
    for source in (path, {"fc.weight": W}):
        [w] = iter_weights(source)
        assert w.matrix.dtype == (np.float32 if dtype == "bfloat16" else np.dtype(dtype))
        np.testing.assert_array_equal(w.matrix.astype(np.float64), truth)


def test_a_module_tells_the_types_of_its_layers():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.items = torch.nn.Embedding(10, 4)
            self.convs = torch.nn.ModuleList(
                [torch.nn.Conv1d(2, 3, 5), torch.nn.Conv2d(2, 3, (5, 1)), torch.nn.ConvTranspose3d(2, 3, 2)]
            )
            self.norm2 = torch.nn.LayerNorm((4, 4))
            self.bn = torch.nn.BatchNorm2d(3)
            self.attn = torch.nn.MultiheadAttention(4, 2)
            self.rnn = torch.nn.LSTM(4, 3)
            self.classifier = torch.nn.Linear(4, 2)
            self.register_buffer("table", torch.zeros(4, 4))
            self.pos_embed = torch.nn.Parameter(torch.ones(1, 6, 4))
            self.cls_token = torch.nn.Parameter(torch.ones(1, 1, 4))
            self.scalar = torch.nn.Parameter(torch.tensor(1.0))

    net = Net()
    found = {w.longname: w for w in iter_weights(net)}
    assert {name: (w.layer_type, w.matrix.shape) for name, w in found.items()} == {
        "pos_embed": ("embedding", (6, 4)),
        "items": ("embedding", (10, 4)),
        "convs.0": ("conv1d", (3, 2, 5)),
        "convs.1": ("conv2d", (3, 2, 5, 1)),
        "convs.2": ("conv3d", (2, 3, 2, 2, 2)),
        "attn.in_proj_weight": ("dense", (12, 4)),
        "attn.out_proj": ("dense", (4, 4)),
        "rnn.weight_ih_l0": ("dense", (12, 4)),
        "rnn.weight_hh_l0": ("dense", (12, 3)),
        "classifier": ("dense", (2, 4)),
    }
    assert np.shares_memory(found["convs.1"].matrix, net.convs[1].weight.detach().numpy())
    spectra = [Spectrum.from_matrix(w.matrix) for w in found.values()]
    assert [s.rf for s in spectra] == [1, 1, 5, 5, 8, 1, 1, 1, 1, 1]


def test_tied_weights_count_once(tmp_path):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.wte = torch.nn.Embedding(6, 3)
            self.body = torch.nn.Linear(3, 3)
            self.again = self.body
            self.lm_head = torch.nn.Linear(3, 6, bias=False)
            self.lm_head.weight = self.wte.weight

    model = Tied()
    torch.save(model.state_dict(), tmp_path / "tied.pt")
    arrays_ = {name: value.numpy() for name, value in model.state_dict().items()}
    for source in (model, model.state_dict(), tmp_path / "tied.pt", arrays_):
        assert [w.longname for w in iter_weights(source)] == ["wte", "body"]
    untied = {name: value.clone() for name, value in model.state_dict().items()}
    assert [w.longname for w in iter_weights(untied)] == ["wte", "body", "again", "lm_head"]


def test_modules_on_the_meta_device_are_not_mistaken_for_tied():
    with torch.device("meta"):
        model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    with pytest.warns(UserWarning, match="cannot be read") as caught:
        assert list(iter_weights(model)) == []
    assert [str(w.message)[:13] for w in caught] == ["0 is left out", "1 is left out"]


def test_a_tensor_is_a_source_of_one_matrix():
    W = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    [w] = iter_weights(W)
    assert w[:4] == (0, "matrix", "matrix", "dense")
    np.testing.assert_array_equal(w.matrix, W.numpy())


def test_fused_rows_split_as_torchs_own_attention_uses_them():
    attention = torch.nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
    x, y = torch.randn(2, 1, 5, 8, generator=torch.Generator().manual_seed(0))
    q, k, v, out = (torch.from_numpy(w.matrix) for w in iter_weights(attention, split_qkv=True))

    def heads(z):
        return z.view(1, 5, 2, 4).transpose(1, 2)

    mixed = torch.nn.functional.scaled_dot_product_attention(heads(x @ q.T), heads(y @ k.T), heads(y @ v.T))
    by_hand = mixed.transpose(1, 2).reshape(1, 5, 8) @ out.T
    torch.testing.assert_close(by_hand, attention(x, y, y)[0])


def test_an_unreadable_tensor_does_not_stop_the_others(tmp_path):
    W = torch.ones(3, 4)
    quantised = {"a.weight": W, "b.weight": W.to(torch.int8), "c.weight": W.to(torch.int32), "d.weight": 2 * W}
    safetensors_torch.save_file(quantised, tmp_path / "model.safetensors")
    for source in (quantised, tmp_path):
        with pytest.warns(UserWarning, match="cannot be read") as caught:
            found = list(iter_weights(source))
        assert [(w.layer_id, w.longname) for w in found] == [(0, "a"), (3, "d")]
        messages = [str(w.message) for w in caught]
        assert len(messages) == 2
        assert "b is left out: it cannot be read: it is stored as i" in messages[0]


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
def test_empty_truncated_and_garbage_files(state, tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    check_garbage(path)
    torch.save({name: torch.from_numpy(value) for name, value in state.items()}, path)
    check_truncated(path)


@pytest.fixture(scope="module")
def little(tmp_path_factory):
    path = tmp_path_factory.mktemp("little") / "m.pt"
    torch.save({name: torch.from_numpy(value) for name, value in LITTLE.items()}, path)
    return path


@settings(max_examples=60, deadline=None)
@given(flips=flips)
def test_damaged_bytes_give_a_matrix_or_a_value_error_and_nothing_else(little, flips):
    check_damaged(little, flips)


# --- training checkpoints -------------------------------------------------------------------------------------------

MOMENTS = {"state": {0: {"exp_avg": torch.ones(9, 4)}}, "param_groups": [{"lr": 0.1}]}


def wrapped(tensors):
    """The state dict as training scripts save it; never the moments of the optimizer."""
    return {
        "a random state beside it": {"model": tensors, "rng_state": torch.zeros(5, dtype=torch.uint8)},
        "a step that is a tensor": {"step": torch.tensor(3), "model": tensors},
        "DeepSpeed": {"module": tensors, "optimizer": MOMENTS, "global_steps": 7},
        "net": {"net": tensors, "acc": 0.9, "epoch": 3},
        "Lightning": {"state_dict": tensors, "optimizer_states": [MOMENTS], "pytorch-lightning_version": "2.0"},
        "torch's tutorial": {"model_state_dict": tensors, "optimizer_state_dict": MOMENTS, "loss": torch.tensor(0.1)},
        "two levels": {"model": {"module": tensors, "version": 1}, "amp": {"scale": torch.ones(3, 3)}},
        "an average of it": {"ema": {"fc.weight": torch.ones(5, 5)}, "model": tensors},
        "only the average": {"ema": tensors, "step": torch.tensor(3)},
        "no wrapping, other values": {**tensors, "epoch": 3, "config": {"lr": 0.1}},
    }


@pytest.mark.parametrize("how", wrapped({}))
def test_a_training_checkpoint_gives_its_state_dict(state, expected, tmp_path, how):
    checkpoint = wrapped({name: torch.from_numpy(value) for name, value in state.items()})[how]
    assert same(iter_weights(checkpoint), expected)
    for name in ("a.pt", "b.CKPT", "c.Bin"):
        torch.save(checkpoint, tmp_path / name, _use_new_zipfile_serialization=name != "c.Bin")
        assert same(iter_weights(tmp_path / name), expected), name


@pytest.mark.parametrize("checkpoint", [MOMENTS, {"weights": {"fc.weight": torch.ones(3, 3)}}, {0: MOMENTS}])
def test_a_checkpoint_without_a_state_dict_names_its_keys(checkpoint, tmp_path):
    torch.save(checkpoint, tmp_path / "a.pt")
    for source in (checkpoint, tmp_path / "a.pt"):
        with pytest.raises(ValueError, match=rf"holds no tensor under its keys {next(iter(checkpoint))!r}.*state_dict"):
            iter_weights(source)


def test_keys_that_are_no_names_are_refused(tmp_path):
    torch.save({0: torch.ones(3, 3)}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"source='.*a\.pt' has a key 0; the keys of a state dict are names"):
        iter_weights(tmp_path / "a.pt")


def test_the_ending_of_a_file_may_be_in_capitals(state, expected, tmp_path):
    tensors = {name: torch.from_numpy(value) for name, value in state.items()}
    safetensors_torch.save_file(tensors, tmp_path / "MODEL.SAFETENSORS")
    assert same(iter_weights(tmp_path / "MODEL.SAFETENSORS"), expected)
    assert same(iter_weights(tmp_path), expected)
    with pytest.raises(FileNotFoundError, match="there is no such file or folder"):  # and no name for the hub
        iter_weights("NOWHERE.PT")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of newer versions
def test_a_torchscript_archive_is_told_by_name(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(3, 3)), tmp_path / "model.pt")
    with pytest.raises(ValueError, match="is a TorchScript archive, which holds code; save the state dict instead"):
        iter_weights(tmp_path / "model.pt")


def test_messages_show_the_path_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match=r"^source='bad\.pt' is no torch checkpoint"):
        iter_weights("bad.pt")


def test_of_old_files_that_cannot_be_mapped_one_stays_in_memory(tmp_path):
    for i in range(3):
        torch.save({"fc.weight": torch.ones(50, 50)}, tmp_path / f"{i}.pt", _use_new_zipfile_serialization=False)
        assert find_weights(tmp_path / f"{i}.pt")[0].shape == (50, 50)
    gc.collect()
    assert sum(type(x) is torch.Tensor and x.shape == (50, 50) for x in gc.get_objects()) == 1


# --- pickles that run code -------------------------------------------------------------------------------------------


def write_evil(path, trace, how):
    evil = {"a.weight": torch.ones(3, 3), "b": Evil(str(trace))}
    if how == "pickle":
        path.write_bytes(pickle.dumps(evil))
    elif how == "whole module":
        torch.save(torch.nn.Linear(3, 3), path)
    elif how == "in the state dict's place":
        torch.save({"model": Evil(str(trace)), "state_dict": {"a.weight": torch.ones(3, 3)}}, path)
    else:
        torch.save(evil, path, _use_new_zipfile_serialization=how == "torch")


def test_the_payload_is_real(tmp_path):
    write_evil(tmp_path / "model.pt", tmp_path / "trace", "torch")
    torch.load(tmp_path / "model.pt", weights_only=False)
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize("where", ["pt", "pth", "bin", "ckpt", "PT", "a shard", "a folder"])
@pytest.mark.parametrize("how", ["torch", "torch legacy", "pickle", "whole module", "in the state dict's place"])
def test_a_pickle_that_runs_code_is_refused(tmp_path, how, where):
    source, trace = tmp_path / f"model.{where}", tmp_path / "trace"
    if where == "a shard":
        source = tmp_path / "model.bin.index.json"
        source.write_text(json.dumps({"weight_map": {"a.weight": "shard.bin"}}))
        write_evil(tmp_path / "shard.bin", trace, how)
    elif where == "a folder":
        source = tmp_path
        write_evil(tmp_path / "pytorch_model.bin", trace, how)
    else:
        write_evil(source, trace, how)
    with pytest.raises(ValueError, match="pickle of Python objects.*runs code.* refused") as caught:
        iter_weights(source)
    assert caught.value.__cause__ is None
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".gguf", ".npz", ".npy", ".index.json"])
@pytest.mark.parametrize("how", ["torch", "torch legacy", "pickle"])
def test_a_pickle_under_another_ending_is_refused(tmp_path, how, suffix):
    path, trace = tmp_path / f"model{suffix}", tmp_path / "trace"
    write_evil(path, trace, how)
    with pytest.raises(ValueError, match=r"source='.*model.* (is|holds) no "):
        iter_weights(path)
    assert not trace.exists()


def test_a_pytorch_model_of_the_hub_is_taken_from_the_local_cache(hub_cache, state, expected):
    tensors = {name: torch.from_numpy(value) for name, value in state.items()}
    torch.save(tensors, hub_cache("old") / "pytorch_model.bin")
    assert same(iter_weights("old"), expected)
