#!/usr/bin/env bash
# A GGUF file of a Qwen model gives other tokens than the model was trained on where a text is not in Unicode's
# form NFC: in transformers 5.24.0 (`gguf_file=`) and in llama.cpp b11549 (xllamacpp 2026.10.11549).
#
# Documented: Qwen's tokenizers normalize to NFC (transformers' own Qwen2Tokenizer does), so that both ways to write
#   "é" are one token. transformers' page on GGUF: the tokenizer of the file is loaded as that of a checkpoint.
# What happens instead: GGUF has no field for a normalizer, "tokenizer.ggml.pre" = "qwen2" does not stand for one in
#   either program, and nothing warns. Such texts are ordinary: names of files from a Mac in Korean, Hindi words with
#   a nukta, Vietnamese from some keyboards.
# Output seen:
#   e + accent           Qwen2Tokenizer ['é']  transformers, GGUF ['e', '́']  llama.cpp ['e', '́']
#   Hindi qa, one letter Qwen2Tokenizer ['क', '़']  transformers, GGUF ['क़']  llama.cpp ['क़']
#
# Exits 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 tokenizers==0.23.3 xllamacpp==2026.10.11549 \
    gguf==0.19.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import sys
import urllib.request

import gguf
import numpy as np
import xllamacpp
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer, Qwen2Tokenizer

# A vocabulary of bytes, and of some letters that are one token each.
LETTERS = ("é", "\u0301", "क", "\u093c", "\u0958")
TEXTS = {"e + accent": "e\u0301", "Hindi qa, one letter": "\u0958"}


def spell(text):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)[0][0]


tokens, merges = sorted(pre_tokenizers.ByteLevel.alphabet()), []
for letter in LETTERS:
    spelled = spell(letter)
    for end in range(2, len(spelled) + 1):
        if spelled[:end] not in tokens:
            tokens.append(spelled[:end])
            merges.append((spelled[: end - 1], spelled[end - 1]))
tokens.append("<|endoftext|>")
end_token = len(tokens) - 1

path, width, head = f"{sys.argv[1]}/tiny.gguf", 64, 32
writer = gguf.GGUFWriter(path, "qwen3")
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
writer.add_token_types([1] * end_token + [3])
writer.add_token_merges([" ".join(pair) for pair in merges])
writer.add_eos_token_id(end_token)
shapes = {"token_embd": (len(tokens), width), "output_norm": (width,)}
for part in ("attn_norm", "ffn_norm"):
    shapes[f"blk.0.{part}"] = (width,)
for part in ("attn_q_norm", "attn_k_norm"):
    shapes[f"blk.0.{part}"] = (head,)
for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
    shapes[f"blk.0.{part}"] = (width, width)
for name, shape in shapes.items():
    writer.add_tensor(f"{name}.weight", np.ones(shape, np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

trained = Qwen2Tokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=merges)
from_gguf = AutoTokenizer.from_pretrained(sys.argv[1], gguf_file="tiny.gguf")
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.n_ctx, parameters.verbosity = path, 256, -1
server = xllamacpp.Server(parameters)


def ask_llama_cpp(text):
    body = json.dumps({"content": text}).encode()
    request = urllib.request.Request(f"{server.listening_address}/tokenize", body, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=60))["tokens"]


for name, text in TEXTS.items():
    ids = [trained.encode(text), from_gguf.encode(text), ask_llama_cpp(text)]
    right, gguf_ids, llama_ids = ([trained.decode([one]) for one in found] for found in ids)
    print(f"{name:20} Qwen2Tokenizer {right}  transformers, GGUF {gguf_ids}  llama.cpp {llama_ids}")
    assert ids[0] != ids[1] == ids[2], "the finding is out of date"
plain = "é"
assert trained.encode(plain) == from_gguf.encode(plain) == ask_llama_cpp(plain)
PYTHON
