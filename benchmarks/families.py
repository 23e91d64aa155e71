"""What the library finds in some ninety families of models: how many matrices, with which roles and names.

    python -m benchmarks.families           the table of docs/families.md, some 20 seconds
    python -m benchmarks.families --write   the same into docs/families.md

Each family is built from the configuration that transformers has for it, with at most two blocks per stack and four
experts where the configuration has one number for them. Models in stages keep their numbers.
Nothing is downloaded, and no number is drawn: the models have shapes and names, but no values.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmt_lab.weights.read import UNKNOWN, FoundMatrix, find_weights
from rmt_lab.weights.roles import ROLES, role_of

PAGE = Path(__file__).parents[1] / "docs" / "families.md"
N_BLOCKS, N_EXPERTS = 2, 4

#: Family: the class of the model in transformers, and the options of its configuration that are not the default.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "ALBERT": ("AlbertForPreTraining", {}),
    "BART": ("BartForConditionalGeneration", {}),
    "BEiT": ("BeitForImageClassification", {}),
    "BERT": ("BertForPreTraining", {}),
    "BigBird": ("BigBirdForPreTraining", {}),
    "BLIP": ("BlipModel", {}),
    "BLOOM": ("BloomForCausalLM", {}),
    "CLIP": ("CLIPModel", {}),
    "CodeGen": ("CodeGenForCausalLM", {}),
    "Cohere": ("CohereForCausalLM", {}),
    "ConvBERT": ("ConvBertForMaskedLM", {}),
    "ConvNeXt": ("ConvNextForImageClassification", {}),
    "ConvNeXt V2": ("ConvNextV2ForImageClassification", {}),
    "CTRL": ("CTRLLMHeadModel", {}),
    "DeBERTa": ("DebertaForMaskedLM", {}),
    "DeBERTa V2": ("DebertaV2ForMaskedLM", {"position_biased_input": False, "relative_attention": True}),
    "DeepSeek V2": ("DeepseekV2ForCausalLM", {"first_k_dense_replace": 1}),
    "DeepSeek V3": ("DeepseekV3ForCausalLM", {"first_k_dense_replace": 1}),
    "DeiT": ("DeiTForImageClassification", {}),
    "DINOv2": ("Dinov2ForImageClassification", {}),
    "DistilBERT": ("DistilBertForMaskedLM", {}),
    "ELECTRA": ("ElectraForPreTraining", {}),
    "ELECTRA, generator": ("ElectraForMaskedLM", {}),
    "Falcon": ("FalconForCausalLM", {}),
    "Falcon Mamba": ("FalconMambaForCausalLM", {}),
    "FNet": ("FNetForPreTraining", {}),
    "Funnel": ("FunnelForPreTraining", {"block_sizes": [1, 1]}),
    "Gemma": ("GemmaForCausalLM", {}),
    "Gemma 2": ("Gemma2ForCausalLM", {}),
    "Gemma 3": ("Gemma3ForConditionalGeneration", {}),
    "GLM": ("GlmForCausalLM", {}),
    "GPT": ("OpenAIGPTLMHeadModel", {}),
    "GPT-2": ("GPT2LMHeadModel", {}),
    "GPTBigCode": ("GPTBigCodeForCausalLM", {}),
    "GPT-J": ("GPTJForCausalLM", {}),
    "GPT-Neo": ("GPTNeoForCausalLM", {"num_layers": 2, "attention_types": [[["global", "local"], 1]]}),
    "GPT-NeoX": ("GPTNeoXForCausalLM", {}),
    "GPT-OSS": ("GptOssForCausalLM", {}),
    "Granite": ("GraniteForCausalLM", {}),
    "GraniteMoE": ("GraniteMoeForCausalLM", {}),
    "HuBERT": ("HubertModel", {}),
    "Jamba": ("JambaForCausalLM", {"attn_layer_period": 2, "attn_layer_offset": 1}),
    "Llama": ("LlamaForCausalLM", {}),
    "Llama 4": ("Llama4ForCausalLM", {}),
    "Longformer": ("LongformerForMaskedLM", {}),
    "M2M-100": ("M2M100ForConditionalGeneration", {}),
    "Mamba": ("MambaForCausalLM", {}),
    "Mamba 2": ("Mamba2ForCausalLM", {}),
    "Marian": ("MarianMTModel", {}),
    "Mask2Former": ("Mask2FormerModel", {}),
    "mBART": ("MBartForConditionalGeneration", {}),
    "Mistral": ("MistralForCausalLM", {}),
    "Mixtral": ("MixtralForCausalLM", {}),
    "MobileBERT": ("MobileBertForPreTraining", {}),
    "ModernBERT": ("ModernBertForMaskedLM", {}),
    "MPNet": ("MPNetForMaskedLM", {}),
    "MPT": ("MptForCausalLM", {}),
    "Nemotron-H": ("NemotronHForCausalLM", {}),
    "OLMo": ("OlmoForCausalLM", {}),
    "OLMo 2": ("Olmo2ForCausalLM", {}),
    "OLMoE": ("OlmoeForCausalLM", {}),
    "OPT": ("OPTForCausalLM", {"word_embed_proj_dim": 512}),
    "Pegasus": ("PegasusForConditionalGeneration", {}),
    "Phi": ("PhiForCausalLM", {}),
    "Phi-3": ("Phi3ForCausalLM", {}),
    "Phi-3.5 MoE": ("PhimoeForCausalLM", {}),
    "Qwen2": ("Qwen2ForCausalLM", {}),
    "Qwen2 MoE": ("Qwen2MoeForCausalLM", {}),
    "Qwen3": ("Qwen3ForCausalLM", {}),
    "Qwen3 MoE": ("Qwen3MoeForCausalLM", {}),
    "Qwen3-Next": (
        "Qwen3NextForCausalLM",
        {"num_hidden_layers": 2, "layer_types": ["linear_attention", "full_attention"]},
    ),
    "ResNet": ("ResNetForImageClassification", {}),
    "RoBERTa": ("RobertaForMaskedLM", {}),
    "RoFormer": ("RoFormerForMaskedLM", {}),
    "RWKV": ("RwkvForCausalLM", {}),
    "SAM": ("SamModel", {}),
    "SegFormer": ("SegformerForImageClassification", {}),
    "SigLIP": ("SiglipModel", {}),
    "StableLM": ("StableLmForCausalLM", {}),
    "StarCoder2": ("Starcoder2ForCausalLM", {}),
    "Swin": ("SwinForImageClassification", {}),
    "Swin V2": ("Swinv2ForImageClassification", {}),
    "Switch Transformers": ("SwitchTransformersForConditionalGeneration", {}),
    "T5": ("T5ForConditionalGeneration", {}),
    "T5, gated (mT5)": ("MT5ForConditionalGeneration", {}),
    "ViT": ("ViTForImageClassification", {}),
    "ViT-MAE": ("ViTMAEForPreTraining", {}),
    "wav2vec2": ("Wav2Vec2ForPreTraining", {}),
    "WavLM": ("WavLMModel", {}),
    "Whisper": ("WhisperForConditionalGeneration", {}),
    "XGLM": ("XGLMForCausalLM", {}),
    "XLM": ("XLMWithLMHeadModel", {}),
    "XLM-RoBERTa": ("XLMRobertaForMaskedLM", {}),
    "XLNet": ("XLNetLMHeadModel", {}),
}

#: Why a family has layers whose role is "other": they do what no word of the field names for all models.
OTHERS = {
    "DINOv2": "the vector that stands for a masked patch, 1 x d",
    "Mask2Former": "sampling offsets and weights of deformable attention, learned queries, the pixel decoder's layers",
    "SAM": "vectors that stand for kinds of prompts, and the small networks that turn each mask token into a mask",
    "wav2vec2": "the codebook of the quantiser and the choice among its entries",
}
#: Why a family has tensors of three dimensions without a rule.
NO_RULE: dict[str, str] = {}

HEAD = f"""# Families of models

This table says what the library finds in a model before it reads a value: how many matrices, what each one does, and
whether every layer has a name of its own. Each row is a family of transformers, built from its configuration with
at most {N_BLOCKS} blocks in each stack and {N_EXPERTS} experts in each layer of experts. A full-size model has more
blocks of the same kinds. Models in stages (ConvNeXt, ResNet, Swin, Mask2Former, ...), Nemotron-H and the decoder of
ViT-MAE keep the blocks of their configuration.

How to read it:

- **matrices** counts what `analyze` gives a row: weights of linear layers, kernels, tables of embeddings. A stack of
  experts is one matrix for each expert. Tied weights count once. Biases, norms and vectors are left out. Tables that
  are added to attention scores and have `bias` in their name count as biases. Positions on a grid of four dimensions
  (SAM) are left out too.
- **roles** are the words that `analyze(source, layers="query")` takes. The number says how many matrices have the role.
- **other** are layers whose name does not tell what they do. A list below the table says what they are.
- **no rule** are tensors of three dimensions that may be a kernel or a stack of matrices. Their rows say so.
- **names** says whether all short names differ.

How to add a line: the role comes from the end of the path alone. The table `_TABLE` in `rmt_lab/weights/roles.py` has a
row for each role and a pattern for each spelling. Add the spelling of your model to the row of its role. Then add the
model to `FAMILIES` in `benchmarks/families.py` and run `python -m benchmarks.families --write`, which writes this page.
"""


@dataclass(frozen=True)
class Family:
    """What was found in a model of one family."""

    name: str
    model: str
    matrices: list[FoundMatrix]
    n_expected: int

    @property
    def roles(self) -> dict[str, int]:
        """How many matrices have each role, in the order of the roles."""
        counts = Counter(role_of(found.longname) for found in self.matrices)
        return {role: counts[role] for role in ROLES if counts[role]}

    @property
    def no_rule(self) -> int:
        return sum(found.layer_type == UNKNOWN for found in self.matrices)

    @property
    def unique(self) -> bool:
        return len({found.name for found in self.matrices}) == len(self.matrices)

    def line(self) -> str:
        """The row of the table."""
        roles = ", ".join(f"{role} {n}" for role, n in self.roles.items() if role != "other")
        names = "all differ" if self.unique else "some are equal"
        cells = (self.name, f"`{self.model}`", len(self.matrices), roles, self.roles.get("other", 0), self.no_rule)
        return f"| {' | '.join(map(str, cells))} | {names} |"


def build(name: str) -> Any:
    """The model of a family, small and without values."""
    import torch
    import transformers

    class_name, options = FAMILIES[name]
    model_class = getattr(transformers, class_name)
    config = model_class.config_class(**options)
    _shrink(config)
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model_class(config)


def _shrink(config: Any) -> None:
    """Fewer blocks and experts, in a configuration and in those of its towers."""
    blocks = "num_hidden_layers encoder_layers decoder_layers num_layers num_decoder_layers n_layer n_layers"
    experts = "num_experts num_local_experts n_routed_experts moe_num_experts"
    for names, most in ((blocks, N_BLOCKS), (experts, N_EXPERTS)):
        for name in names.split():
            value = getattr(config, name, None)
            if isinstance(value, int) and value > most:
                setattr(config, name, most)
    for value in vars(config).copy().values():
        if hasattr(value, "to_diff_dict"):
            _shrink(value)


def count_matrices(model: Any) -> int:
    """How many matrices a module has, without the library's rules: by the classes of its parts; names tell biases."""
    seen, count = set(), 0
    for module in model.modules():
        kind = type(module).__name__
        for name, p in module.named_parameters(recurse=False):
            vector = p.ndim < 2 or (p.ndim > 2 and sum(side != 1 for side in p.shape) < 2)
            grid = p.ndim > 3 and name != "weight"
            if id(p) in seen or vector or grid or kind.endswith("Norm") or "bias" in name:
                continue
            seen.add(id(p))
            count += p.shape[0] if p.ndim == 3 and re.search("Experts|MoE", kind) else 1
    return count


def look_at(name: str) -> Family:
    """Build a family and find its matrices."""
    model = build(name)
    return Family(name, FAMILIES[name][0], find_weights(model), count_matrices(model))


def page(families: list[Family]) -> str:
    """The text of docs/families.md."""
    lines = ["| family | model | matrices | roles | other | no rule | names |", "| --- " * 7 + "|"]
    lines += [family.line() for family in families]
    other, no_rule = ([f"- {name}: {why}." for name, why in table.items()] for table in (OTHERS, NO_RULE))
    reasons = ["What is other:", "", *other, "", *(["What has no rule:", "", *no_rule, ""] if NO_RULE else [])]
    return "\n".join([HEAD, f"{len(families)} families:", "", *lines, "", *reasons])


def main() -> None:
    import transformers

    description, _, epilog = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.families",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true", help="write docs/families.md")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    text = page([look_at(name) for name in FAMILIES])
    if options.write:
        PAGE.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
