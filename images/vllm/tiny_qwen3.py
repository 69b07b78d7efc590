"""Make a tiny Qwen3 model with random weights, so that a real vLLM server can run without a model hub.

The folder that comes out is an ordinary Hugging Face model folder (about 1 MB): configuration, tokenizer with a chat
template, weights. Its context is that of the reference model, its words are noise. The same interpreter and libraries
give the same files, byte for byte.

Two properties are made on purpose, because checks rest on them:

* a completion is never empty: special tokens cannot be sampled, so generation always runs to ``max_tokens``;
* a completion is readable: only tokens of printable ASCII can be sampled.

Both come from one constant direction of the residual stream, along which the output rows of all other tokens are
strongly negative.

Needs torch, tokenizers and transformers: run it with the interpreter of the vLLM environment.
"""

import argparse
import json
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

CONTEXT = 40960
VOCABULARY = 2048
HIDDEN = 64
EMBEDDING_STD = 0.1
OUTPUT_STD = 0.2
NORM_SCALE = 2.0
"""Gain of the final norm on all but the constant direction: together with OUTPUT_STD, logits spread by about 2.5."""
FORBIDDEN = -8.0
"""Output weight along the constant direction: about -64 in the logit, out of reach at any usual temperature."""

TEXT = Path(sysconfig.get_path("stdlib"), "pydoc_data", "topics.py")
"""What the tokenizer is trained on: the help topics of the running Python."""

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    f"{{{{ '{TURN_START}' + message.role + '\\n' + message.content + '{TURN_END}' + '\\n' }}}}"
    "{%- endfor -%}"
    f"{{%- if add_generation_prompt -%}}{{{{ '{TURN_START}assistant\\n' }}}}{{%- endif -%}}"
)


def make_tokenizer() -> "PreTrainedTokenizerFast":
    """Train a byte-level BPE tokenizer of VOCABULARY tokens on TEXT, with a ChatML-like chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT, TURN_START, TURN_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator([TEXT.read_text(encoding="utf-8")], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[TURN_START],
        model_max_length=CONTEXT,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def readable_tokens(tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    """Ids of the tokens that a completion may hold: not special, and printable ASCII as text."""
    special = set(tokenizer.all_special_ids)
    texts = {token: tokenizer.decode([token]) for token in range(len(tokenizer)) if token not in special}
    return [token for token, text in texts.items() if text.isascii() and text.isprintable() and text.strip()]


def make_model(tokenizer: "PreTrainedTokenizerFast") -> "Qwen3ForCausalLM":
    """A two-layer Qwen3 in bfloat16 with random weights that samples readable tokens only."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.convert_tokens_to_ids(END_OF_TEXT),
        eos_token_id=tokenizer.convert_tokens_to_ids(TURN_END),
        pad_token_id=tokenizer.pad_token_id,
        dtype="bfloat16",
    )
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        embeddings, output, norm = model.model.embed_tokens.weight, model.lm_head.weight, model.model.norm.weight
        embeddings.normal_(std=EMBEDDING_STD)
        embeddings[:, 0] = 1.0
        output.normal_(std=OUTPUT_STD)
        output[:, 0] = FORBIDDEN
        output[readable_tokens(tokenizer), 0] = 0.0
        norm[1:] = NORM_SCALE
    return model.to(torch.bfloat16)


def main() -> None:
    """Command line: build the folder and print what was made as JSON: sizes (bytes), counts and the duration (s)."""
    parser = argparse.ArgumentParser(
        description="Make a tiny Qwen3 model with random weights that vLLM can serve without a model hub."
    )
    parser.add_argument("out", type=Path, help="folder to write (made if missing)")
    out: Path = parser.parse_args().out
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    began = time.monotonic()
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    tokenizer.save_pretrained(out)
    model.save_pretrained(out)
    made = {
        "model_dir": str(out),
        "architecture": model.config.architectures[0],
        "context": CONTEXT,
        "tokens": len(tokenizer),
        "tokens_that_can_be_sampled": len(readable_tokens(tokenizer)),
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "bytes": sum(path.stat().st_size for path in out.iterdir()),
        "text": str(TEXT),
        "duration_s": round(time.monotonic() - began, 1),
    }
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    main()
