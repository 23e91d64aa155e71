"""One model for all readers: its arrays, and the matrices that any file of it must give."""

import pytest
from sources import bert_like

from rmt_lab.weights import iter_weights


@pytest.fixture(scope="session")
def state():
    return bert_like()


@pytest.fixture(scope="session")
def expected(state):
    return list(iter_weights(state))


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty hub cache, and a hub that must not be asked."""
    hub = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub")
    pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)

    def add(name):
        folder = tmp_path / f"models--{name.replace('/', '--')}"
        snapshot = folder / "snapshots" / ("0" * 40)
        snapshot.mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text("0" * 40)
        return snapshot

    return add
