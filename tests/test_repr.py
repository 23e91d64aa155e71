"""What shows itself while work goes on."""

import pytest
from tqdm.notebook import tqdm

from rmt_lab._repr import progress


@pytest.mark.parametrize(("said", "off"), [(None, False), ("", False), ("0", False), ("1", True), ("true", True)])
def test_the_environment_turns_a_notebooks_bar_off(said, off, monkeypatch, capsys):
    monkeypatch.setattr("tqdm.auto.tqdm", tqdm)
    if said is None:
        monkeypatch.delenv("TQDM_DISABLE", raising=False)
    else:
        monkeypatch.setenv("TQDM_DISABLE", said)
    with progress([1, 2], desc="analyze", unit="layers") as bar:
        assert bar.disable is off
        assert list(bar) == [1, 2]
    assert capsys.readouterr().out == ""  # two steps are soon over
