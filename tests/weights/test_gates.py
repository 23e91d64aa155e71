"""The gates of LSTM and GRU: each block of rows is the gate that torch uses it for."""

import numpy as np
import pytest

from rmt_lab.weights import iter_weights

torch = pytest.importorskip("torch", reason="needs torch")
nn = torch.nn


def gates(source):
    return {w.longname: torch.tensor(w.matrix) for w in iter_weights(source, split_gates=True)}


@pytest.mark.parametrize("live", [True, False])
def test_lstm_gates_make_the_step_that_torch_makes(live):
    cell = nn.LSTMCell(6, 5, bias=False)
    w = gates(cell if live else cell.state_dict())
    x, h, c = torch.randn(2, 6), torch.randn(2, 5), torch.randn(2, 5)
    i, f, g, o = (
        x @ w[f"weight_ih.{gate}_gate"].T + h @ w[f"weight_hh.{gate}_gate"].T
        for gate in ("input", "forget", "cell", "output")
    )
    c_next = f.sigmoid() * c + i.sigmoid() * g.tanh()
    expected_h, expected_c = cell(x, (h, c))
    torch.testing.assert_close(c_next, expected_c.detach())
    torch.testing.assert_close(o.sigmoid() * c_next.tanh(), expected_h.detach())


def test_gru_gates_make_the_step_that_torch_makes():
    cell = nn.GRUCell(6, 5, bias=False)
    w = gates(cell)
    x, h = torch.randn(2, 6), torch.randn(2, 5)
    (ri, zi, ni), (rh, zh, nh) = (
        [values @ w[f"weight_{part}.{gate}_gate"].T for gate in ("reset", "update", "new")]
        for part, values in (("ih", x), ("hh", h))
    )
    z, n = (zi + zh).sigmoid(), (ni + (ri + rh).sigmoid() * nh).tanh()
    torch.testing.assert_close((1 - z) * n + z * h, cell(x, h).detach())


def test_layers_directions_and_a_projected_state():
    model = nn.ModuleDict(
        {"a": nn.LSTM(6, 4, 2, bidirectional=True), "b": nn.LSTM(6, 4, proj_size=3), "c": nn.RNN(6, 4)}
    )
    found = list(iter_weights(model, split_gates=True))
    assert len(found) == 2 * 2 * 2 * 4 + (4 + 4 + 1) + 2
    assert len({w.name for w in found}) == len(found)
    shapes = {w.longname: w.matrix.shape for w in found}
    assert shapes["a.weight_ih_l1_reverse.cell_gate"] == (4, 8)
    assert shapes["b.weight_hh_l0.output_gate"] == (4, 3)
    assert shapes["b.weight_hr_l0"] == (3, 4)
    assert shapes["c.weight_ih_l0"] == (4, 6)
    (one,) = iter_weights(model, layers="a.weight_hh_l0.forget_gate", split_gates=True)
    np.testing.assert_array_equal(one.matrix, model["a"].weight_hh_l0[4:8].detach())
    assert len(list(iter_weights(model))) == 8 + 3 + 2


@pytest.mark.parametrize("state", [{"weight_ih_l0": (20, 6)}, {"weight_ih_l0": (20, 6), "weight_hh_l0": (20, 7)}])
def test_gates_that_cannot_be_told_apart_are_refused(state):
    with pytest.raises(
        ValueError, match="split_gates=True: weight_ih_l0 has 20 rows, its weight_hh .*split_gates=False"
    ):
        iter_weights({name: np.ones(shape) for name, shape in state.items()}, split_gates=True)
