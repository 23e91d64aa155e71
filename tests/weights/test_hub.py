"""Names of the hub: from the local cache, and what is said when the hub does not give them."""

import json

import pytest
from sources import same

from rmt_lab.weights import iter_weights

safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="needs safetensors")


def test_a_hub_name_is_taken_from_the_local_cache(hub_cache, state, expected):
    safetensors_numpy.save_file(state, hub_cache("acme/tiny") / "model.safetensors")
    assert same(iter_weights("acme/tiny"), expected)
    sharded = hub_cache("acme/large")
    safetensors_numpy.save_file(state, sharded / "s.safetensors")
    index = {"weight_map": dict.fromkeys(state, "s.safetensors")}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    assert same(iter_weights("acme/large"), expected)
    (sharded / "s.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="not in the local cache"):
        iter_weights("acme/large")


def test_a_hub_name_that_is_not_at_hand_offline(hub_cache):
    with pytest.raises(FileNotFoundError, match=r"'bert-base-uncased': there is no such file or folder, and as a hub"):
        iter_weights("bert-base-uncased")


def test_a_name_that_no_hub_model_can_have(hub_cache):
    with pytest.raises(FileNotFoundError, match=r"'my--model': there is no such .* it is not allowed: Cannot have"):
        iter_weights("my--model")


def test_a_hub_that_cannot_be_reached_fails_at_once(hub_cache, monkeypatch):
    import huggingface_hub as hub

    def refuse(*args, **kwargs):
        raise AssertionError("the hub's own functions, which try again and again, must not be called")

    class Session:
        def head(self, url, timeout):
            assert 0 < timeout <= 30
            raise OSError("no route")

    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub.utils, "get_session", Session)
    monkeypatch.setattr(hub, "hf_hub_download", refuse)
    with pytest.raises(FileNotFoundError, match=r"hub cannot be reached \(OSError\)"):
        iter_weights("bert-base-uncased")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("RepositoryNotFoundError", "the hub does not know it"),
        ("GatedRepoError", "gated: accept its licence"),
        ("EntryNotFoundError", r"it holds none of model\.safetensors"),
    ],
)
def test_what_the_hub_answers_is_said_plainly(hub_cache, monkeypatch, error, message):
    import huggingface_hub as hub

    class Session:
        def head(self, url, timeout):
            return None

    kind = getattr(hub.errors, error)

    def answer(name, filename, etag_timeout):
        raise kind.__new__(kind, "refused")

    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub.utils, "get_session", Session)
    monkeypatch.setattr(hub, "hf_hub_download", answer)
    with pytest.raises(FileNotFoundError, match=message) as caught:
        iter_weights("acme/private")
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize("shard", ["../../evil.safetensors", "/etc/passwd", "..\\x.safetensors", "x.txt", 3])
def test_a_damaged_index_of_the_hub_is_no_fault_of_the_network(hub_cache, monkeypatch, tmp_path, shard):
    import huggingface_hub as hub

    class Session:
        def head(self, url, timeout):
            return None

    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"fc.weight": shard}}))
    missing = hub.errors.EntryNotFoundError

    def answer(name, filename, etag_timeout):
        if filename == index.name:
            return str(index)
        assert filename == "model.safetensors"  # nothing else may be asked for
        raise missing.__new__(missing, "refused")

    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub.utils, "get_session", Session)
    monkeypatch.setattr(hub, "hf_hub_download", answer)
    with pytest.raises(ValueError, match="'acme/tiny': the hub's file is damaged: .* is no checkpoint index"):
        iter_weights("acme/tiny")
