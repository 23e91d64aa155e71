"""Random weights under the names of three checkpoints of the hub, with what is peculiar to each file.

Small by default: names, number of layers and roles do not depend on the width. FULL gives the true shapes.
"""

import json
from typing import NamedTuple

import numpy as np

BLOCKS = 12


class Size(NamedTuple):
    """What the shapes depend on: width, positions, and the vocabulary of each model."""

    d: int
    positions: int
    words: dict


SMALL = Size(24, 32, {"bert-base-uncased": 60, "openai-gpt": 50, "gpt2": 70})
FULL = Size(768, 512, {"bert-base-uncased": 30522, "openai-gpt": 40478, "gpt2": 50257})


class _Weights(dict):
    """A state dict that draws what it is asked to hold: noise of deviation 0.02, one direction beyond it."""

    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(0)

    def draw(self, shapes):
        for name, shape in shapes.items():
            self[name] = self._noise(shape)
            if len(shape) == 2:
                u, v = (self._noise((n, 1)) for n in shape)
                beyond = 0.04 * (shape[0] ** 0.5 + shape[1] ** 0.5)  # twice the largest singular value of the noise
                self[name] += np.float32(beyond / np.linalg.norm(u) / np.linalg.norm(v)) * u @ v.T

    def _noise(self, shape):
        return self.rng.standard_normal(shape, np.float32) / np.float32(50)


def bert(size=SMALL):
    """bert-base-uncased, a model for pre-training: LayerNorms by TensorFlow's names, heads, position ids.

    Linear layers are stored outputs x inputs. The decoder of the head is not here: it is the word embedding's tensor.
    """
    d, state = size.d, _Weights()

    def norm(at):
        state[f"{at}.LayerNorm.gamma"], state[f"{at}.LayerNorm.beta"] = np.ones(d, "f4"), np.zeros(d, "f4")

    def linear(at, outputs, inputs):
        state.draw({f"{at}.weight": (outputs, inputs), f"{at}.bias": (outputs,)})

    state["bert.embeddings.position_ids"] = np.arange(size.positions)[None]
    rows = {"word": size.words["bert-base-uncased"], "position": size.positions, "token_type": 2}
    for kind, n in rows.items():
        state.draw({f"bert.embeddings.{kind}_embeddings.weight": (n, d)})
    norm("bert.embeddings")
    for i in range(BLOCKS):
        block = f"bert.encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"{block}.attention.{part}", d, d)
        norm(f"{block}.attention.output")
        linear(f"{block}.intermediate.dense", 4 * d, d)
        linear(f"{block}.output.dense", d, 4 * d)
        norm(f"{block}.output")
    linear("bert.pooler.dense", d, d)
    state.draw({"cls.predictions.bias": (rows["word"],)})
    linear("cls.predictions.transform.dense", d, d)
    norm("cls.predictions.transform")
    linear("cls.seq_relationship", 2, d)
    return state


def openai_gpt(size=SMALL):
    """openai-gpt: no final LayerNorm, a causal mask per block."""
    state = _Weights()
    rows = {"tokens_embed": size.words["openai-gpt"], "positions_embed": size.positions}
    state.draw({f"{name}.weight": (n, size.d) for name, n in rows.items()})
    _gpt_blocks(state, size.d, size.positions)
    return state


def gpt2(size=SMALL):
    """gpt2: twice as many positions, a final LayerNorm, a causal mask per block."""
    state = _Weights()
    state.draw({"wte.weight": (size.words["gpt2"], size.d), "wpe.weight": (2 * size.positions, size.d)})
    _gpt_blocks(state, size.d, 2 * size.positions)
    state["ln_f.weight"], state["ln_f.bias"] = np.ones(size.d, "f4"), np.zeros(size.d, "f4")
    return state


def _gpt_blocks(state, d, positions):
    """Conv1D layers, stored inputs x outputs, with query, key and value in one; the mask is called a bias."""
    mask = np.tril(np.ones((positions, positions), "f4"))[None, None]
    shapes = {"attn.c_attn": (d, 3 * d), "attn.c_proj": (d, d), "mlp.c_fc": (d, 4 * d), "mlp.c_proj": (4 * d, d)}
    for i in range(BLOCKS):
        state[f"h.{i}.attn.bias"] = mask
        for part, shape in shapes.items():
            state.draw({f"h.{i}.{part}.weight": shape, f"h.{i}.{part}.bias": shape[1:]})
        for part in ("ln_1", "ln_2"):
            state[f"h.{i}.{part}.weight"], state[f"h.{i}.{part}.bias"] = np.ones(d, "f4"), np.zeros(d, "f4")


def write_bert(folder, size=SMALL):
    """A pickle of torch's, in which the head's decoder shares the word embedding's storage."""
    import torch

    state = {name: torch.from_numpy(value) for name, value in bert(size).items()}
    state["cls.predictions.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"]
    torch.save(state, _made(folder) / "pytorch_model.bin")


def write_openai_gpt(folder, size=SMALL):
    """Three safetensors and their index."""
    from safetensors.numpy import save_file

    state, folder, weight_map = openai_gpt(size), _made(folder), {}
    names = list(state)
    for i in range(3):
        shard = f"model-0000{i + 1}-of-00003.safetensors"
        save_file({name: state[name] for name in names[i::3]}, folder / shard)
        weight_map |= dict.fromkeys(names[i::3], shard)
    index = {"metadata": {"total_size": sum(x.nbytes for x in state.values())}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_gpt2(folder, size=SMALL):
    """One safetensors file."""
    from safetensors.numpy import save_file

    save_file(dict(gpt2(size)), _made(folder) / "model.safetensors")


#: What writes each model's files, by the name a reader types; the hub keeps two of them under a longer one.
WRITERS = {"bert-base-uncased": write_bert, "openai-gpt": write_openai_gpt, "gpt2": write_gpt2}
RENAMED = {
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "openai-gpt": "openai-community/openai-gpt",
    "gpt2": "openai-community/gpt2",
}


def write(folder, name, size=SMALL):
    """The files of one model, in the folder that :class:`hub_server.HubServer` serves."""
    WRITERS[name](folder / RENAMED[name], size)


def _made(folder):
    folder.mkdir(parents=True)
    return folder
