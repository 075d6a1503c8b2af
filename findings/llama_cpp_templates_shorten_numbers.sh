#!/usr/bin/env bash
# llama.cpp shows a model other numbers than the conversation holds: its engine for chat templates writes them with
# six digits.
#
# Version: xllamacpp 2026.10.11549 (llama.cpp b11549).
# Documentation (llama.cpp, README of its server): /apply-template gives the prompt that a conversation becomes, by the
#   chat template of the model. In Jinja, and in transformers, `tojson` writes every digit of a number.
# What happens instead: the arguments of earlier tool calls, and the bounds in the schemas of tools, lose digits, and 1.0
#   becomes 1. A model that is asked to repeat a call with its own coordinates cannot: it never sees them.
# Output seen:
#   sent:     {"lat": 24.7135517, "sum": 1234567.89, "one": 1.0}
#   llama.cpp {"lat": 24.7136, "sum": 1.23457e+06, "one": 1}
#   jinja2    {"lat": 24.7135517, "sum": 1234567.89, "one": 1.0}
#
# Exits 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet xllamacpp==2026.10.11549 gguf==0.19.0 numpy==2.4.6 jinja2==3.1.6
"$folder/venv/bin/python" - "$folder/tiny.gguf" <<'PYTHON'
import json
import sys
import urllib.request

import gguf
import jinja2
import numpy as np
import xllamacpp

TEMPLATE = """{% for message in messages %}{{ message.role }}: {{ message.content }}
{% for call in message.tool_calls or [] %}CALL {{ call.function.arguments | tojson }}
{% endfor %}{% endfor %}"""
ARGUMENTS = {"lat": 24.7135517, "sum": 1234567.89, "one": 1.0}

# A model of one layer whose tokens are the letters. It only carries the template.
letters = [chr(code) for code in range(97, 123)]
tokens, width, head = [*letters, "ab", "<|end|>"], 64, 32
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
writer.add_chat_template(TEMPLATE)
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

call = {"id": "1", "type": "function", "function": {"name": "pay", "arguments": json.dumps(ARGUMENTS)}}
messages = [
    {"role": "user", "content": "Pay."},
    {"role": "assistant", "content": "", "tool_calls": [call]},
    {"role": "tool", "tool_call_id": "1", "content": "Paid."},
]

parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.n_ctx, parameters.verbosity, parameters.use_jinja = sys.argv[1], 256, -1, True
server = xllamacpp.Server(parameters)
url, body = f"{server.listening_address}/apply-template", json.dumps({"messages": messages}).encode()
request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
prompt = json.load(urllib.request.urlopen(request, timeout=60))["prompt"]

call["function"]["arguments"] = ARGUMENTS
environment = jinja2.Environment()
environment.filters["tojson"] = json.dumps
expected = environment.from_string(TEMPLATE).render(messages=messages)


def shown(text):
    [line] = [line for line in text.splitlines() if line.startswith("CALL ")]
    return line.removeprefix("CALL ")


print("sent:    ", json.dumps(ARGUMENTS))
print("llama.cpp", shown(prompt))
print("jinja2   ", shown(expected))
assert json.loads(shown(expected)) == ARGUMENTS
assert shown(prompt) == '{"lat": 24.7136, "sum": 1.23457e+06, "one": 1}', "the behavior has changed"
PYTHON
