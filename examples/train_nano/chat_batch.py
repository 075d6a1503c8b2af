"""From dialogues to token batches.

What is learnt at which position, and which earlier token it was copied from.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from chat_corpus import sentences
from chat_data import Dialogue
from torch import Tensor
from transformers import PreTrainedTokenizerBase

ASSISTANT, EMPTY = "<|im_start|>assistant\n", "<think>\n\n</think>\n\n"
# Heads that are shown where to look, as (layer, head).
START, NUMBER, MATCH, SELECT, POINT, BEGIN = (1, 0), (1, 1), (2, 0), (3, 0), (4, 0), (4, 2)


@dataclass
class Encoded:
    """One dialogue as token ids.

    `look` holds (head, query, keys): from this position that head should see these keys.
    """

    kind: str
    lang: str
    ids: list[int]
    begin: int  # the first token that the model has to write
    choices: set[int] = field(default_factory=set)  # tokens that decide which passage, sentence or tool
    look: list[tuple[tuple[int, int], int, list[int]]] = field(default_factory=list)


def encode(tokenizer: PreTrainedTokenizerBase, dialogue: Dialogue, rng: random.Random) -> Encoded:
    """Renders and tokenizes a dialogue and finds the copied stretches in it."""
    text = tokenizer.apply_chat_template(dialogue.messages, tools=dialogue.tools, tokenize=False).rstrip("\n")
    begin = text.rindex(ASSISTANT) + len(ASSISTANT)
    if not dialogue.think and text.startswith(EMPTY, begin):
        begin += len(EMPTY)
    elif not dialogue.think and text.startswith("<tool_call>", begin):
        raise AssertionError("a last turn always has a thought block")
    encoding = tokenizer(text, return_offsets_mapping=True)
    ids, offsets = encoding["input_ids"], encoding["offset_mapping"]
    owner = [0] * (len(text) + 1)  # the token that holds a character
    for index, (low, high) in reversed(list(enumerate(offsets))):
        for at in range(low, high):
            owner[at] = index
    last = [0] * (len(text) + 1)
    for index, (low, high) in enumerate(offsets):
        for at in range(low, high):
            last[at] = index
    out = Encoded(dialogue.kind, dialogue.lang, ids, owner[begin])
    out.choices.add(out.begin)

    def span(low: int, size: int) -> range:
        return range(owner[low], last[low + size - 1] + 1)

    def point(source: int, target: int, size: int) -> None:
        a, b = list(span(source, size)), list(span(target, size))
        matcher = difflib.SequenceMatcher(None, [ids[i] for i in a], [ids[i] for i in b], autojunk=False)
        pairs = {b[y + n]: a[x + n] for x, y, size in matcher.get_matching_blocks() for n in range(size)}
        pairs.setdefault(b[0], a[0])
        out.look += [(POINT, new - 1, [old]) for new, old in pairs.items()]
        out.choices.add(b[0])

    for copied, context in dialogue.copies:
        base = text.rfind(context, 0, begin)
        target = text.find(copied, begin)
        while base >= 0 and target >= 0 and copied:
            point(base + context.find(copied), target, len(copied))
            target = text.find(copied, target + len(copied))
    places = [text.find(block) for block in dialogue.blocks]
    for number, (block, place) in enumerate(zip(dialogue.blocks, places, strict=True), 1):
        body = block.index("\n") + 1
        cursor = body
        for sentence in sentences(block[body:]):
            cursor = block.index(sentence, cursor)
            inside = list(span(place + cursor, len(sentence)))
            for query in rng.sample(inside, min(4, len(inside))):
                out.look.append((START, query, [inside[0]]))
                out.look.append((NUMBER, query, [owner[place + 1]]))
            cursor += len(sentence)
        if number == dialogue.passage:
            low = place + body + block[body:].index(dialogue.quote)
            gold = list(span(low, len(dialogue.quote)))
            said = text.index(dialogue.quote, begin)
            point(low, said, len(dialogue.quote))
            out.look.append((BEGIN, owner[said] - 1, [gold[0]]))
            marker = text.find(f"[{number}]", begin)
            while marker >= 0:
                out.look.append((POINT, owner[marker + 1] - 1, [owner[place + 1]]))
                out.choices.add(owner[marker + 1])
                marker = text.find(f"[{number}]", marker + 3)
            asked = text.rfind(dialogue.hint, 0, begin) if dialogue.hint else -1
            if asked >= 0:
                words = list(span(asked, len(dialogue.hint)))
                out.look += [(MATCH, query, gold) for query in words]
                out.look += [(SELECT, query - 1, words) for query in sorted(out.choices)]
    return out


@dataclass
class Batch:
    """Right-padded rows, the positions to predict with their weights, and the wanted attention."""

    ids: Tensor
    row: Tensor
    position: Tensor
    target: Tensor
    weight: Tensor
    choice: Tensor
    look: dict[tuple[int, int], tuple[Tensor, Tensor, Tensor]]  # head -> rows, queries, mask over keys
    items: list[Encoded]


def collate(items: list[Encoded], pad: int, choice_weight: float) -> Batch:
    """Joins dialogues of similar length."""
    width = max(len(item.ids) for item in items)
    ids = torch.full((len(items), width), pad)
    rows, positions, choices = [], [], []
    looks: dict[tuple[int, int], list[tuple[int, int, list[int]]]] = {}
    for row, item in enumerate(items):
        ids[row, : len(item.ids)] = torch.tensor(item.ids)
        for position in range(item.begin, len(item.ids)):
            rows.append(row)
            positions.append(position - 1)
            choices.append(position in item.choices)
        for head, query, keys in item.look:
            looks.setdefault(head, []).append((row, query, keys))
    row_t, position_t, choice_t = torch.tensor(rows), torch.tensor(positions), torch.tensor(choices)
    packed = {}
    for head, entries in looks.items():
        mask = torch.zeros(len(entries), width, dtype=torch.bool)
        for index, (_, _, keys) in enumerate(entries):
            mask[index, keys] = True
        packed[head] = (torch.tensor([e[0] for e in entries]), torch.tensor([e[1] for e in entries]), mask)
    weight = 1.0 + (choice_weight - 1.0) * choice_t.float()
    return Batch(ids, row_t, position_t, ids[row_t, position_t + 1], weight, choice_t, packed, items)


def batches(
    make: Callable[[], Encoded], tokens: int, longest: int, pad: int, choice_weight: float, rng: random.Random
) -> Iterator[Batch]:
    """Endless batches of about `tokens` tokens; dialogues longer than `longest` are left out."""
    while True:
        pool: list[Encoded] = []
        while len(pool) < 96:
            item = make()
            if len(item.ids) <= longest:
                pool.append(item)
        pool.sort(key=lambda item: len(item.ids))
        cut: list[list[Encoded]] = [[]]
        for item in pool:
            if cut[-1] and (len(cut[-1]) + 1) * len(item.ids) > tokens:
                cut.append([])
            cut[-1].append(item)
        rng.shuffle(cut)
        for group in cut:
            yield collate(group, pad, choice_weight)
