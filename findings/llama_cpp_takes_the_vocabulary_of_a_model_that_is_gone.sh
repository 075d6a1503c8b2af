#!/usr/bin/env bash
# llama.cpp holds the grammar of a model to the vocabulary of another model, which was freed before.
#
# Version: xllamacpp 2026.10.11549 (llama.cpp b11549, built with llguidance 1.0), with gguf 0.19.0, on Linux.
# Documentation (llama.cpp, docs/llguidance.md): a grammar that begins with %llguidance limits what is generated. One that
#   is a single literal is answered with the literal, whatever was loaded before.
# What happens instead: the vocabulary of the last llguidance grammar is kept in a static variable, by the address of the
#   model's own. A model that is loaded at the address of a freed one gets the tokens of that one, and its answers are
#   other bytes, without an error. Which turn goes wrong differs from run to run.
# Output seen:
#   a 'hello'
#   b 'hello'
#   a 'huuuuuuu'
#   b 'hello'
#
# Exits 0 while any of the turns goes wrong.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet xllamacpp==2026.10.11549 gguf==0.19.0 numpy==2.4.6
cat >turns.py <<'PYTHON'
import gc

import gguf
import numpy as np
import xllamacpp

plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
letters = [chr(n) for n in plain] + [chr(256 + i) for i in range(256 - len(plain))]


def write(path, tokens):
    """A random model of one layer; its tokens are bytes."""
    w, dice = gguf.GGUFWriter(path, "qwen3"), np.random.default_rng(0)
    w.add_block_count(1)
    w.add_context_length(512)
    w.add_embedding_length(32)
    w.add_feed_forward_length(32)
    w.add_head_count(1)
    w.add_head_count_kv(1)
    w.add_key_length(32)
    w.add_value_length(32)
    w.add_rope_freq_base(1e4)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list([*tokens, "ab", "<end>"])
    w.add_token_types([1] * 257 + [3])
    w.add_token_merges(["a b"])
    w.add_eos_token_id(257)
    w.add_add_bos_token(False)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        w.add_tensor(f"blk.0.{name}.weight", dice.standard_normal((32, 32)).astype("float32"))
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "blk.0.attn_q_norm", "blk.0.attn_k_norm", "output_norm"):
        w.add_tensor(f"{name}.weight", np.ones(32, "float32"))
    w.add_tensor("token_embd.weight", dice.standard_normal((258, 32)).astype("float32"))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def start(path):
    p = xllamacpp.CommonParams()
    p.model.path, p.n_ctx, p.n_parallel, p.verbosity = path, 512, 1, -1
    p.warmup = p.fit_params = p.ui = False
    p.cpuparams.n_threads = 1
    return xllamacpp.Server(p)


write("a.gguf", letters)
write("b.gguf", letters[::-1])
server, wrong = None, 0
for turn in range(12):
    del server  # frees the model before
    gc.collect()
    server = start("ab"[turn % 2] + ".gguf")
    body = {"prompt": "x", "max_tokens": 8, "grammar": '%llguidance {}\nstart: "hello"'}
    answer = server.handle_completions(body)["choices"][0]["text"]
    wrong += answer != "hello"
    print("ab"[turn % 2], repr(answer), flush=True)
if not wrong:
    raise SystemExit("the finding is out of date")
PYTHON
venv/bin/python turns.py
