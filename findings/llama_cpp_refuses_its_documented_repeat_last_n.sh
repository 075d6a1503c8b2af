#!/usr/bin/env bash
# llama.cpp's server refuses the value of repeat_last_n that its documentation gives for the whole context.
#
# Version: xllamacpp 2026.10.11549 (llama.cpp b11549).
# Documentation (llama.cpp, README of its server): repeat_last_n is 64 unless given; 0 switches the penalty off, and -1
#   means all of the context.
# What happens instead: -1 is an error of the request. A number larger than the context works.
# Output seen:
#   repeat_last_n 64: answered
#   repeat_last_n 1000000: answered
#   repeat_last_n -1: Field 'repeat_last_n': Value must be between 0 <= value <= 2147483647, but got -1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet xllamacpp==2026.10.11549 gguf==0.19.0 numpy
"$folder/venv/bin/python" - "$folder/tiny.gguf" <<'PYTHON'
import sys

import gguf
import numpy as np
import xllamacpp

# A random model of one layer whose tokens are the letters.
letters = [chr(code) for code in range(97, 123)]
tokens, width = [*letters, "ab", "<|end|>"], 64
writer = gguf.GGUFWriter(sys.argv[1], "qwen3")
writer.add_block_count(1)
writer.add_context_length(256)
writer.add_embedding_length(width)
writer.add_feed_forward_length(width)
writer.add_head_count(2)
writer.add_head_count_kv(2)
writer.add_layer_norm_rms_eps(1e-6)
writer.add_tokenizer_model("gpt2")
writer.add_tokenizer_pre("qwen2")
writer.add_token_list(tokens)
writer.add_token_types([1] * (len(letters) + 1) + [3])
writer.add_token_merges(["a b"])
writer.add_eos_token_id(len(letters) + 1)
random = np.random.default_rng(0)
head = width // 2
for name, shape in {
    "token_embd": (len(tokens), width),
    "output_norm": (width,),
    "blk.0.attn_norm": (width,),
    "blk.0.ffn_norm": (width,),
    "blk.0.attn_q_norm": (head,),
    "blk.0.attn_k_norm": (head,),
    **{f"blk.0.{part}": (width, width) for part in ("attn_q", "attn_k", "attn_v", "attn_output")},
    **{f"blk.0.{part}": (width, width) for part in ("ffn_gate", "ffn_up", "ffn_down")},
}.items():
    writer.add_tensor(f"{name}.weight", random.standard_normal(shape).astype(np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.n_ctx, parameters.verbosity = sys.argv[1], 256, -1
server = xllamacpp.Server(parameters)


def complete(last):
    body = {"prompt": [0, 1, 2], "max_tokens": 4, "temperature": 0, "repeat_penalty": 1.5, "repeat_last_n": last}
    return server.handle_completions(body)


for last in (64, 1000000, -1):
    answer = complete(last)
    print(f"repeat_last_n {last}:", answer["error"]["message"] if "error" in answer else "answered")
    assert ("error" in answer) == (last == -1), "it changed"
PYTHON
