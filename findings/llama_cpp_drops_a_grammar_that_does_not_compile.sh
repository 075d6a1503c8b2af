#!/usr/bin/env bash
# llama.cpp answers without any grammar where an llguidance grammar does not compile.
#
# Version: xllamacpp 2026.10.11549 (llama.cpp b11549, built with llguidance 1.0).
# Documentation (llama.cpp, docs/llguidance.md): grammars that begin with "%llguidance" are passed to llguidance. A
#   GBNF grammar that does not parse is answered with status 400, "failed to parse grammar".
# What happens instead: a request whose llguidance grammar has an error, or a setting of `x-guidance` that this
#   version does not know, is answered as if it had no grammar. No field of the answer says so.
# Output seen:
#   right grammar: 'ab'
#   wrong grammar: no error, and the text is not 'ab'
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


def complete(grammar):
    body = {"prompt": [0, 1, 2], "max_tokens": 8, "temperature": 0, "grammar": f"%llguidance {{}}\n{grammar}"}
    return server.handle_completions(body)


right = complete('start: "ab"')["choices"][0]["text"]
print(f"right grammar: {right!r}")
assert right == "ab"
for wrong in ('start: "ab" nosuchrule', 'start: %json {"const": "ab", "x-guidance": {"no_such_setting": true}}'):
    answer = complete(wrong)
    assert "error" not in answer, "it is an error now"
    text = answer["choices"][0]["text"]
    assert text not in ("ab", '"ab"'), "it is obeyed now"
    print("wrong grammar: no error, and the text is not 'ab'")
PYTHON
