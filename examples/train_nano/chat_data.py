"""Training dialogues over real passages: question, thought, quoted answer with its marker, or an abstention.

A dialogue is a list of messages plus notes on what is copied from where. The notes let the training show the
model which earlier token every quoted token comes from; without that, copying does not appear within some
million tokens.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chat_corpus import Passage, passages, sentences
from chat_prompts import ABSTAIN, LANGUAGES, OTHER_SYSTEMS, RAG_SYSTEM, SHELLS, THINK, THINK_NONE

WEIGHTS = {"en": 0.30, "zh": 0.17, "ar": 0.17, "sw": 0.01, "fa": 0.01, "id": 0.01, "it": 0.015, "pt": 0.015}
REST = 0.03
UNSPACED = ("zh", "ja", "th")
FOLDERS = ("docs", "guide", "notes", "wiki", "kb", "manual", "faq", "reports", "policies")
STEMS = (
    "intro",
    "setup",
    "index",
    "report",
    "leave",
    "travel",
    "history",
    "install",
    "support",
    "terms",
    "pricing",
    "safety",
    "science",
    "city",
)


@dataclass
class Dialogue:
    """Messages to render.

    And what was copied: (text before the source, offset, text before the target, copied text).
    """

    kind: str
    lang: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    think: bool = True
    quote: str = ""
    passage: int = 0  # the number of the answering passage, 0 when none answers
    blocks: list[str] = field(
        default_factory=list
    )  # the passages as they stand in the prompt, `[n] source\ntext`
    copies: list[tuple[str, str]] = field(
        default_factory=list
    )  # (copied text, text it is copied from), for tool calls
    call: dict[str, Any] | None = None
    hint: str = ""  # what in the question was taken from the answering sentence


class Corpus:
    """Passages of one side (training or held back) by language, with word counts for choosing key words."""

    def __init__(self, data: Path, held_back: bool) -> None:
        self.by_lang: dict[str, list[Passage]] = {}
        self.asked: dict[str, list[Passage]] = {}
        self.by_key: dict[tuple[str, str], list[Passage]] = {}
        for passage in passages(data):
            if passage.held_back == held_back:
                self.by_lang.setdefault(passage.lang, []).append(passage)
                self.by_key.setdefault((passage.lang, passage.key), []).append(passage)
                if passage.questions:
                    self.asked.setdefault(passage.lang, []).append(passage)
        self.counts = {
            lang: Counter(w.lower() for p in items for w in p.text.split())
            for lang, items in self.by_lang.items()
        }
        self.langs = sorted(self.by_lang)
        self.weights = [WEIGHTS.get(lang, REST) for lang in self.langs]

    def key_words(self, rng: random.Random, lang: str, sentence: str) -> list[str]:
        """A few rare words, or stretches of characters where words are not separated."""
        if lang in UNSPACED:
            size = len(sentence)
            spans = []
            for _ in range(rng.choice((1, 2, 2, 3))):
                length = rng.randint(2, 6 if lang != "th" else 12)
                start = rng.randrange(max(1, size - length))
                spans.append(sentence[start : start + length].strip("，。、,.!?！？「」“” \n"))
            return [s for s in spans if s]
        words = sentence.split()
        counts = self.counts[lang]
        ranked = sorted(range(len(words)), key=lambda i: counts[words[i].lower()] + rng.random() * 20)
        chosen = ranked[: rng.choice((2, 3, 3, 4, 5))]
        if rng.random() < 0.5:
            chosen.sort()
        # Neighbors come along now and then: people repeat whole phrases.
        spans = [" ".join(words[i : i + rng.choice((1, 1, 2))]) for i in chosen]
        return [s.strip('.,;:!?()"“”«»؟،') for s in spans if s.strip('.,;:!?()"“”«»؟،')]

    def rule_question(self, rng: random.Random, lang: str, sentence: str) -> tuple[str, str]:
        """A question made of key words of the sentence, and those key words."""
        keys = self.key_words(rng, lang, sentence)
        joined = ("" if lang in UNSPACED else " ").join(keys) if rng.random() < 0.8 else ", ".join(keys)
        return rng.choice(SHELLS[lang]).format(joined), joined


def crop(rng: random.Random, passage: Passage, most: int, must: str = "") -> str:
    """A stretch of whole sentences of at most about `most` characters, with the sentence `must` inside."""
    parts = sentences(passage.text)
    at = parts.index(must) if must in parts else rng.randrange(len(parts))
    low = high = at
    while True:
        options = [i for i in (low - 1, high + 1) if 0 <= i < len(parts)]
        rng.shuffle(options)
        fits = [i for i in options if len(parts[i]) + sum(map(len, parts[low : high + 1])) <= most]
        if not fits:
            break
        low, high = min(low, fits[0]), max(high, fits[0])
    cursor, starts = 0, []
    for part in parts:
        starts.append(passage.text.index(part, cursor))
        cursor = starts[-1] + len(part)
    return passage.text[starts[low] : starts[high] + len(parts[high])]


def source_name(rng: random.Random, passage: Passage) -> str:
    """An invented source: a file, a title, a path; now and then the real title."""
    stem = f"{rng.choice(STEMS)}{rng.choice(('', '', '_' + passage.lang, '-' + str(rng.randint(1, 30))))}"
    name = stem + rng.choice((".md", ".md", ".txt", ".pdf", ".html", ".docx", ""))
    title = passage.key.split("/", 1)[1].replace("_", " ")
    return rng.choice((name, name, f"{rng.choice(FOLDERS)}/{name}", title))


def answering_sentence(
    rng: random.Random, corpus: Corpus, passage: Passage, native: bool
) -> tuple[str, str, str] | None:
    """(question.

    Answering sentence, key words) for a passage, or None when it offers none of fitting length.
    """
    if native and passage.questions:
        question, answer = rng.choice(passage.questions)
        holders = [s for s in sentences(passage.text) if answer and answer in s]
        if len(holders) != 1 or not 8 <= len(holders[0]) <= 320:
            return None
        return question, holders[0], ""
    most = 110 if passage.lang in ("zh", "ja") else 260
    fitting = [
        s for s in sentences(passage.text) if most // 12 <= len(s) <= most and passage.text.count(s) == 1
    ]
    if not fitting:
        return None
    sentence = rng.choice(fitting)
    question, keys = corpus.rule_question(rng, passage.lang, sentence)
    return (question, sentence, keys) if len(keys) > 1 else None


def rag(rng: random.Random, corpus: Corpus, lang: str | None = None, size: float = 1.0,
        native: float = 0.55, think: bool | None = None,
        unanswerable: float = 0.27) -> Dialogue:  # fmt: skip
    """One dialogue over one to four passages; `size` scales the length of the passages."""
    lang = lang or rng.choices(corpus.langs, corpus.weights)[0]
    think = rng.random() < 0.5 if think is None else think
    while True:
        wants_native = lang in corpus.asked and rng.random() < native
        gold = rng.choice((corpus.asked if wants_native else corpus.by_lang)[lang])
        found = answering_sentence(rng, corpus, gold, wants_native)
        if found:
            break
    question, sentence, keys = found
    answerable = rng.random() >= unanswerable
    count = rng.choices((1, 2, 3, 4), (12, 18, 50, 20))[0]
    chars = {"zh": 220, "ja": 220, "ko": 300}.get(lang, 620) * size
    texts: list[tuple[str, str]] = []
    while len(texts) < count:
        if answerable and not texts:
            texts.append(
                (source_name(rng, gold), crop(rng, gold, int(chars * rng.uniform(0.3, 1)), sentence))
            )
            continue
        other_lang = lang if rng.random() < 0.85 else rng.choices(corpus.langs, corpus.weights)[0]
        other = rng.choice(corpus.by_lang[other_lang])
        # A retriever returns near misses: now and then another paragraph of the same document
        # stands beside the right one.
        near = answerable and rng.random() < 0.3
        if near:
            other = rng.choice(corpus.by_key[gold.lang, gold.key])
        text = crop(rng, other, int(chars * rng.uniform(0.2, 1)))
        if (near or other.key != gold.key) and sentence not in other.text and len(text) < chars * 1.6:
            texts.append((source_name(rng, other), text))
    rng.shuffle(texts)
    blocks = [f"[{i}] {name}\n{text}" for i, (name, text) in enumerate(texts, 1)]
    number = next((i for i, (_, text) in enumerate(texts, 1) if answerable and sentence in text), 0)
    user = "Passages:\n" + "\n\n".join(blocks) + f"\n\nQuestion: {question}"
    messages: list[dict[str, Any]] = [{"role": "user", "content": user}]
    system = RAG_SYSTEM.format(language=LANGUAGES[lang])
    dice = rng.random()
    if dice < 0.92:
        messages.insert(
            0, {"role": "system", "content": system if dice < 0.84 else rng.choice(OTHER_SYSTEMS)}
        )
    thought = THINK[lang].format(n=number) if number else THINK_NONE[lang]
    answer = f"{sentence} [{number}]" if number else ABSTAIN[lang]
    messages.append({"role": "assistant", "content": answer, "reasoning_content": thought if think else ""})
    return Dialogue(
        "rag" if number else "abstain",
        lang,
        messages,
        None,
        think,
        sentence if number else "",
        number,
        blocks,
        hint=keys,
    )


def repeat(rng: random.Random, corpus: Corpus) -> Dialogue:
    """A text to be said again: the plainest lesson in copying."""
    lang = rng.choices(corpus.langs, corpus.weights)[0]
    passage = rng.choice(corpus.by_lang[lang])
    text = rng.choice(sentences(crop(rng, passage, 300)))[:300]
    ask = rng.choice(("Repeat: {}", "Say this again:\n{}", "Repeat the text.\n\n{}"))
    messages = [
        {"role": "user", "content": ask.format(text)},
        {"role": "assistant", "content": text, "reasoning_content": ""},
    ]
    return Dialogue("repeat", lang, messages, None, False, copies=[(text, text)])
