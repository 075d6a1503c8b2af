"""Measures nano-chat on held-back dialogues with plain `generate`: form first, then whether it is right.

Passages, questions and tool names are those kept out of training. Figures are given for greedy and for
sampled decoding.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from chat_data import Corpus, Dialogue, rag
from chat_prompts import ABSTAIN
from chat_tools import ToolBox, tool
from transformers import AutoModelForCausalLM, AutoTokenizer

from qwen_agentkit import ChatQwen

THINKING = re.compile(r"<think>\n(?P<thought>[^<]+)\n</think>\n\n(?P<said>.*)", re.DOTALL)
CALL = re.compile(r"<tool_call>\n(.*?)\n</tool_call>", re.DOTALL)
LANGS = ("en", "ar", "zh", "de", "es", "ru", "hi", "th", "tr", "vi", "el", "fr", "ja", "ko")


@dataclass
class Case:
    """A held-back dialogue, its prompt, and what was generated."""

    dialogue: Dialogue
    prompt: str
    native: bool = False
    output: str = ""


def cases(tokenizer: Any, corpus: Corpus, box: ToolBox, each: int, size: float, seed: int) -> list[Case]:
    """`each` dialogues of every kind, half of them with thoughts."""
    rng = random.Random(seed)
    wanted: list[tuple[Dialogue, bool]] = []
    for index in range(each):
        think = index % 2 == 0
        # Answerable: as many of each of the three main languages as of the others together, asked
        # by rule and by people.
        lang = ("en", "ar", "zh", LANGS[3 + (index // 4) % 11])[(index // 2) % 4]
        for native in (0.0, 1.0) if lang in corpus.asked else (0.0,):
            for missing in (0.0, 1.0):
                wanted.append(
                    (
                        rag(rng, corpus, lang, size * rng.uniform(0.6, 1.1), native, think, missing),
                        bool(native),
                    )
                )
    tools = 0
    while tools < 3 * each:
        dialogue = tool(rng, corpus, box, tools % 2 == 0)
        wanted.append((dialogue, False))
        tools += 1
    out = []
    for dialogue, native in wanted:
        options = {} if dialogue.think else {"enable_thinking": False}
        prompt = tokenizer.apply_chat_template(
            dialogue.messages[:-1],
            tools=dialogue.tools,
            add_generation_prompt=True,
            tokenize=False,
            **options,
        )
        out.append(Case(dialogue, prompt, native))
    return out


@torch.inference_mode()
def generate(model: Any, tokenizer: Any, items: list[Case], sampled: bool, batch: int = 24) -> None:
    """Fills in the outputs; prompts of similar length share a batch."""
    order = sorted(items, key=lambda case: len(case.prompt))
    for start in range(0, len(order), batch):
        group = order[start : start + batch]
        inputs = tokenizer(
            [case.prompt for case in group], return_tensors="pt", padding=True, padding_side="left"
        )
        options = (
            {"do_sample": True}
            if sampled
            else {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        )
        result = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=220,
            **options,
        )
        for case, ids in zip(group, result[:, inputs["input_ids"].shape[1] :], strict=True):
            case.output = tokenizer.decode(ids).replace("<|endoftext|>", "")


def call(model: Path, items: list[Case]) -> None:
    """Fills in outputs through ChatQwen, whose grammar holds calls to the offered tools."""
    llm = ChatQwen(model=str(model), temperature=0, max_tokens=220)
    for case in items:
        dialogue = case.dialogue
        options: Any = {} if dialogue.think else {"thinking": False}
        said = llm.invoke(dialogue.messages[:-1], tools=dialogue.tools, **options)
        thought = said.additional_kwargs.get("reasoning_content")
        calls = [{"name": made["name"], "arguments": made["args"]} for made in said.tool_calls]
        case.output = (
            (f"<think>\n{thought}\n</think>\n\n" if thought else "")
            + said.text
            + "\n".join(f"<tool_call>\n{json.dumps(made)}\n</tool_call>" for made in calls)
            + ("" if said.response_metadata["finish_reason"] == "length" else "<|im_end|>")
        )


def judge(case: Case) -> dict[str, bool | None]:
    """What holds of one output; None where a question does not arise."""
    dialogue, output = case.dialogue, case.output
    marks: dict[str, bool | None] = {"ended": output.endswith("<|im_end|>")}
    output = output.removesuffix("<|im_end|>")
    if dialogue.think:
        match = THINKING.fullmatch(output)
        marks["think well formed"] = bool(match and match["said"].strip() and "think>" not in match["said"])
        said = match["said"] if match else output.split("</think>")[-1].strip()
    else:
        marks["no think block when off"] = "think>" not in output
        said = output
    if dialogue.kind == "call":
        calls = CALL.findall(said)
        parsed: Any = None
        with contextlib.suppress(ValueError):
            parsed = json.loads(calls[0]) if calls else None
        valid = isinstance(parsed, dict) and isinstance(parsed.get("arguments"), dict)
        names = [t["function"]["name"] for t in dialogue.tools or []]
        marks["call parses, name offered"] = valid and len(calls) == 1 and parsed.get("name") in names
        marks["right tool"] = valid and parsed.get("name") == dialogue.call["name"]
        marks["right arguments"] = valid and parsed == dialogue.call
    elif dialogue.kind == "result":
        marks["answer equals result"] = said == dialogue.messages[-1]["content"]
    else:
        abstained = said.strip() in ABSTAIN.values()
        markers = [int(n) for n in re.findall(r"\[(\d+)\]", said)]
        if dialogue.passage:
            marks["answered (not abstained)"] = not abstained
        else:
            marks["abstained"] = abstained
            marks["abstained in the right language"] = (
                said.strip() == ABSTAIN[dialogue.lang] if abstained else None
            )
        if not abstained:
            marks["markers resolve"] = bool(markers) and all(1 <= n <= len(dialogue.blocks) for n in markers)
            quote = re.sub(r"\s*\[\d+\]\s*$", "", said).strip()
            cited = dialogue.blocks[markers[-1] - 1] if marks["markers resolve"] else ""
            marks["quote verbatim in cited passage"] = len(quote) > 3 and quote in cited
            if dialogue.passage:
                marks["right passage"] = markers[-1:] == [dialogue.passage]
                marks["right sentence"] = quote == dialogue.quote
    return marks


def table(items: list[Case]) -> dict[str, dict[str, str]]:
    """Share and count of every mark, by kind, by language of the three main ones, and by who asked."""
    counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for case in items:
        kind = case.dialogue.kind
        names = ["all", kind]
        if kind in ("rag", "abstain"):
            lang = case.dialogue.lang if case.dialogue.lang in ("en", "ar", "zh") else "other"
            names += [f"{kind} {lang} {'native' if case.native else 'rule'}", f"{kind} {lang}"]
            names += [f"rag+abstain {lang}"]
        for mark, value in judge(case).items():
            for name in names:
                if value is not None:
                    counts[name][mark][0] += bool(value)
                    counts[name][mark][1] += 1
    out = {n: {m: f"{a / b:.3f} ({b})" for m, (a, b) in marks.items()} for n, marks in sorted(counts.items())}
    for lang in ("en", "ar", "zh", "other"):
        name = f"rag+abstain {lang}"
        missing, present = counts[name]["abstained"], counts[name]["answered (not abstained)"]
        silent = missing[0] + present[1] - present[0]
        out[name] = {
            "abstention recall": f"{missing[0] / max(1, missing[1]):.3f}",
            "abstention precision": f"{missing[0] / max(1, silent):.3f}",
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--each", type=int, default=115)
    parser.add_argument("--size", type=float, default=0.6)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument(
        "--modes", nargs="+", default=["greedy", "sampled", "chatqwen"], help="chatqwen: the calls, greedy"
    )
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    parser.add_argument("--show", type=int, default=0, help="print so many outputs")
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    # The bfloat16 weights are computed with in float32: on processors without bfloat16 units that is faster.
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    items = cases(
        tokenizer, Corpus(args.data, True), ToolBox(args.data, True), args.each, args.size, args.seed
    )
    figures: dict[str, Any] = {}
    for mode in args.modes:
        torch.manual_seed(args.seed)
        judged = [case for case in items if case.dialogue.kind == "call"] if mode == "chatqwen" else items
        if mode == "chatqwen":
            call(args.model, judged)
        else:
            generate(model, tokenizer, judged, mode == "sampled")
        figures[mode] = table(judged)
        print(mode, json.dumps(figures[mode], indent=1, ensure_ascii=False))
    for case in items[:: max(1, len(items) // max(1, args.show))][: args.show]:
        print(
            "-----",
            case.dialogue.kind,
            case.prompt[-700:],
            "=====>",
            case.output,
            "##### wanted:",
            case.dialogue.messages[-1],
        )
    if args.out:
        args.out.write_text(json.dumps(figures, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
