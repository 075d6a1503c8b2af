"""Trains nano-chat on one processor core: a constructed start, then dialogues with quotes and tool calls.

`python chat.py --data DATA --tokenizer TOKENIZER --out FOLDER --minutes 60`
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections import defaultdict
from pathlib import Path

import torch
from chat_batch import BEGIN, POINT, Batch, Encoded, batches, collate, encode
from chat_data import Corpus, rag, repeat
from chat_export import TEMPLATE, export
from chat_model import Watch, forward
from chat_start import construct
from chat_tools import ToolBox, plain, tool
from torch.nn import functional as F
from transformers import AutoTokenizer, Qwen3ForCausalLM


def losses(
    model: Qwen3ForCausalLM, batch: Batch
) -> tuple[torch.Tensor, torch.Tensor, dict[tuple[int, int], torch.Tensor]]:
    """Cross entropy a token.

    Whether the token was right, and minus the log of the attention on the wanted keys, a head.
    """
    heads = list(batch.look)
    watches = [Watch(*head, batch.look[head][0], batch.look[head][1]) for head in heads]
    hidden, seen = forward(model, batch.ids, watches)
    logits = F.linear(hidden[batch.row, batch.position], model.model.embed_tokens.weight)
    cross = F.cross_entropy(logits, batch.target, reduction="none")
    right = logits.detach().argmax(-1) == batch.target
    wanted = {
        head: -attention.masked_fill(~batch.look[head][2], -1e4).logsumexp(-1)
        for head, attention in zip(heads, seen, strict=True)
    }
    return cross, right, wanted


def report(model: Qwen3ForCausalLM, held: list[Batch]) -> dict[str, str]:
    """Teacher-forced accuracy on held-back dialogues.

    Of all written tokens, and of those that decide something.
    """
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    with torch.no_grad():
        for batch in held:
            _, right, _ = losses(model, batch)
            for row, ok, choice in zip(
                batch.row.tolist(), right.tolist(), batch.choice.tolist(), strict=True
            ):
                item = batch.items[row]
                for name in (
                    (item.kind, item.kind + "/" + item.lang)
                    if item.lang in ("en", "ar", "zh") and item.kind == "rag"
                    else (item.kind,)
                ):
                    slot = counts[name]
                    slot[0] += ok
                    slot[1] += 1
                    slot[2] += ok and choice
                    slot[3] += choice
    return {k: f"{a / b:.3f} {c / max(d, 1):.3f}" for k, (a, b, c, d) in sorted(counts.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=70)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--longest", type=int, default=900)
    parser.add_argument("--save-every", type=float, default=5, help="minutes")
    parser.add_argument("--resume", type=Path, help="a state file to go on from")
    parser.add_argument(
        "--size",
        type=float,
        nargs=2,
        default=(0.3, 1.0),
        help="length of passages at the start and at the end",
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
    tokenizer.chat_template = TEMPLATE.read_text(encoding="utf-8")
    pad = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    model = construct(tokenizer)
    if args.resume:
        model.load_state_dict(torch.load(args.resume))
    corpus, box = Corpus(args.data, False), ToolBox(args.data, False)
    held_corpus, held_box = Corpus(args.data, True), ToolBox(args.data, True)
    progress = 0.0

    def make(
        source: Corpus = corpus, tools: ToolBox = box, dice: random.Random = rng, done: float | None = None
    ) -> Encoded:
        now, kind = progress if done is None else done, dice.random()
        size = args.size[0] + (args.size[1] - args.size[0]) * min(1.0, now / 0.6)
        if kind < 0.49:
            dialogue = rag(dice, source, size=size * dice.uniform(0.6, 1.1), native=0.25 if now < 0 else 0.5)
        elif kind < 0.94:
            # More of the tools whose names and arguments differ each time: they are what is hard.
            dialogue = tool(dice, source, tools, search=0.4)
        elif kind < 0.97:
            dialogue = plain(dice, source, tools)
        else:
            dialogue = repeat(dice, source)
        return encode(tokenizer, dialogue, dice)

    held_rng = random.Random(99)
    held_items = sorted(
        (make(held_corpus, held_box, held_rng, 1.0) for _ in range(220)), key=lambda item: len(item.ids)
    )
    held = [collate(held_items[i : i + 6], pad, 1.0) for i in range(0, len(held_items), 6)]
    tables = [p for n, p in model.named_parameters() if "embed" in n]
    others = [p for n, p in model.named_parameters() if "embed" not in n]
    optimizer = torch.optim.AdamW(
        [
            {"params": tables, "lr": args.rate / 3, "base": args.rate / 3},
            {"params": others, "lr": args.rate, "base": args.rate},
        ],
        betas=(0.9, 0.98),
        weight_decay=0.0,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    began = saved = time.time()
    step = seen = 0
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    stream = batches(make, args.tokens, args.longest, pad, 4.0, rng)
    while progress < 1.0:
        progress = (time.time() - began) / 60 / args.minutes
        scale = min(1.0, (step + 1) / 60) * (0.04 + 0.96 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * scale
        batch = next(stream)
        cross, right, wanted = losses(model, batch)
        loss = (cross * batch.weight).sum() / batch.weight.sum()
        sums["loss"][0] += loss.item()
        sums["loss"][1] += 1
        # Showing where to look matters at the start; later the model may find better ways of its own.
        guide = 0.4
        for head, miss in wanted.items():
            part = miss.clamp(max=12.0).mean()
            loss = loss + guide * (0.3 if head in (POINT, BEGIN) else 0.15) * part
            sums[f"look{head[0]}{head[1]}"][0] += part.item()
            sums[f"look{head[0]}{head[1]}"][1] += 1
        for name, mask in (("right", slice(None)), ("choice", batch.choice)):
            sums[name][0] += right[mask].float().sum().item()
            sums[name][1] += len(right[mask])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        seen += batch.ids.numel()
        if step % 50 == 0:
            line = {k: round(a / b, 3) for k, (a, b) in sums.items()}
            spent = time.time() - began
            speed = f"{spent / 60:.1f} min step {step} tokens {seen} {seen / spent:.0f}/s"
            print(speed, json.dumps(line), flush=True)
            sums.clear()
        if time.time() - saved > args.save_every * 60 or progress >= 1.0:
            saved = time.time()
            print("held back (all, deciding):", json.dumps(report(model, held)), flush=True)
            torch.save(model.state_dict(), args.out / "state.pt")
            export(model, args.tokenizer, tokenizer, args.out / "nano-chat")


if __name__ == "__main__":
    main()
