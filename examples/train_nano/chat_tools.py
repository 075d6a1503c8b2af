# Tables of words and phrases read better in whole lines than one entry a line.
# ruff: noqa: E501
"""Training dialogues with tools: which tool is called with which arguments, and an answer from what the tool returned.

Tools are invented from verbs and nouns, so that a name is never worth remembering: it has to be copied from
the offer.
"""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path
from typing import Any

from chat_corpus import short_sentences
from chat_data import Corpus, Dialogue, answering_sentence, crop, source_name
from chat_prompts import ABSTAIN, OTHER_SYSTEMS, THINK

VERBS = ("get", "find", "list", "create", "delete", "update", "book", "send", "check", "open", "start", "stop", "count", "rate", "plan",
         "convert", "translate", "order", "cancel", "fetch", "show", "compare", "track", "schedule", "estimate", "print")  # fmt: skip
NOUNS = ("weather", "flight", "hotel", "invoice", "ticket", "recipe", "route", "calendar", "email", "message", "stock", "currency", "song",
         "movie", "patient", "meeting", "reminder", "order", "parcel", "song", "note", "report", "contact", "light", "alarm", "train",
         "exam", "course", "library", "museum", "printer", "server", "backup", "account", "budget", "distance", "timezone", "holiday",
         "restaurant", "table", "photo", "video", "plant", "garden", "car", "engine", "sensor", "battery", "holiday", "visa")  # fmt: skip
PARAMETERS = {
    "city": ("Cairo", "Berlin", "Beijing", "Madrid", "Oslo", "Hanoi", "Athens", "Lima", "القاهرة", "دبي", "北京", "上海", "Москва", "東京"),
    "name": ("Sara", "Omar", "Li Wei", "Anna", "John Smith", "محمد", "王芳", "Ivan", "Maria"),
    "date": ("2026-03-14", "tomorrow", "next Monday", "2025-11-02", "غدا", "明天", "5 May"),
    "number": (3, 7, 12, 25, 48, 100, 640, 2024), "limit": (1, 2, 5, 8, 10, 20), "amount": (15, 99, 250, 1200, 3.5),
    "title": (), "query": (), "text": (), "topic": (), "language": ("Arabic", "German", "Chinese", "French", "Thai"),
    "color": ("red", "blue", "green", "white"), "email": ("a.khan@example.org", "info@example.com", "li@example.net"),
    "room": ("12", "kitchen", "B204", "hall"), "country": ("Egypt", "China", "Peru", "Norway", "مصر", "中国"),
}  # fmt: skip
SEARCH = ("search", "search_documents", "search_docs", "retrieve", "search_knowledge_base", "find_passages", "lookup_docs", "query_index",
          "search_library", "retrieve_documents", "doc_search", "knowledge_search", "search_wiki", "retrieve_context")  # fmt: skip
SEARCH_TEXT = ("Search the documents for passages that answer a question.", "Search the indexed documents.", "Find passages about a question.",
               "Retrieve relevant passages from the library.", "Look up documents by meaning.")  # fmt: skip
THINK_TOOL = {
    "en": "I call {name}.", "ar": "أستدعي {name}.", "zh": "我调用 {name}。", "de": "Ich rufe {name} auf.", "es": "Llamo a {name}.",
    "ru": "Я вызываю {name}.", "fr": "J'appelle {name}.", "tr": "{name} çağırıyorum.", "ja": "{name} を呼び出します。", "ko": "{name} 호출합니다.",
}  # fmt: skip
THINK_RESULT = {
    "en": "The tool has answered.", "ar": "أجابت الأداة.", "zh": "工具已经回答。", "de": "Das Werkzeug hat geantwortet.",
    "es": "La herramienta ha respondido.", "ru": "Инструмент ответил.", "fr": "L'outil a répondu.",
}  # fmt: skip


class ToolBox:
    """Offers of tools for one side; a name is held back by its own hash, so both sides never share one."""

    def __init__(self, data: Path, held_back: bool) -> None:
        names = [(v, n) for v in VERBS for n in NOUNS]
        self.names = [(v, n) for v, n in names if (zlib.crc32(f"{v}{n}".encode()) % 10 == 0) == held_back]
        self.search = SEARCH[:3] if held_back else (*SEARCH[3:], "search", "search_documents")
        self.lines = [
            line
            for i, (lang, line) in enumerate(short_sentences(data))
            if lang in ("en", "ar", "zh") and (i % 10 == 0) == held_back and '"' not in line
        ]
        self.real: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = []
        folder = data / "bfcl_v4"
        for kind in ("simple_python", "multiple"):
            answers = (
                (folder / f"possible_answer/BFCL_v4_{kind}.json").read_text(encoding="utf-8").splitlines()
            )
            cases = (folder / f"BFCL_v4_{kind}.json").read_text(encoding="utf-8").splitlines()
            for one, other in zip(cases, answers, strict=True):
                case, truth = json.loads(one), json.loads(other)["ground_truth"][0]
                (name, values), question = next(iter(truth.items())), case["question"][0][-1]["content"]
                chosen = {k: v[0] for k, v in values.items() if v and str(v[0]) in question and v[0] != ""}
                needed = next(f for f in case["function"] if f["name"] == name)["parameters"].get(
                    "required", []
                )
                if (
                    len(chosen) == 1
                    and all(k in chosen for k in needed)
                    and (zlib.crc32(name.encode()) % 10 == 0) == held_back
                ):
                    tools = [{"type": "function", "function": f} for f in case["function"][:4]]
                    if len(json.dumps(tools)) < 2200 and any(t["function"]["name"] == name for t in tools):
                        self.real.append((question, tools, {"name": name, "arguments": chosen}))

    def invent(self, rng: random.Random) -> tuple[dict[str, Any], str, list[str]]:
        """A tool definition, the words that ask for it, and its parameters."""
        verb, noun = rng.choice(self.names)
        name = rng.choice(
            (f"{verb}_{noun}", f"{verb}_{noun}", f"{verb}{noun.title()}", f"{noun}_{verb}", f"{noun}.{verb}")
        )
        parameters = rng.sample(sorted(PARAMETERS), rng.choice((0, 1, 1, 1, 1, 2)))
        text = rng.choice(
            (
                f"{verb.title()} the {noun}.",
                f"{verb.title()} a {noun} for the user.",
                f"Use this to {verb} the {noun}.",
            )
        )
        return definition(rng, name, text, parameters), f"{verb} the {noun}", parameters


def definition(rng: random.Random, name: str, text: str, parameters: list[str]) -> dict[str, Any]:
    """A tool as LangChain and OpenAI describe it."""
    properties: dict[str, Any] = {}
    for key in parameters:
        values = PARAMETERS.get(key, ())
        properties[key] = {"type": "string" if not values or isinstance(values[0], str) else "number"}
        if rng.random() < 0.4:
            properties[key] = {"description": f"The {key}.", **properties[key]}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if rng.random() < 0.8:
        schema["required"] = list(parameters)
    return {"type": "function", "function": {"name": name, "description": text, "parameters": schema}}


def _value(rng: random.Random, box: ToolBox, key: str) -> Any:
    return (
        rng.choice(PARAMETERS[key] or box.lines)
        if PARAMETERS.get(key)
        else rng.choice(box.lines).strip(" .?!。؟")
    )


def _request(rng: random.Random, box: ToolBox, ask: str, parameters: list[str]) -> tuple[str, dict[str, Any]]:
    arguments = {key: _value(rng, box, key) for key in parameters}
    shapes = ("{k} {v}", "{k}: {v}", "{k}: {v}", "the {k} is {v}")
    details = ", ".join(rng.choice(shapes).format(k=k, v=v) for k, v in arguments.items())
    opening = rng.choice(("Please {}", "{}", "Can you {}?", "I want you to {}.", "{} now.")).format(ask)
    return (
        opening[0].upper() + opening[1:] + (rng.choice((" ", ", ", "\n")) + details if details else "")
    ), arguments


def _result(rng: random.Random, corpus: Corpus, lang: str) -> tuple[str, str]:
    """(what a tool returned, what to say about it)."""
    if rng.random() < 0.5:
        passage = rng.choice(corpus.by_lang[lang])
        line = rng.choice([s for s in crop(rng, passage, 240).split("\n") if s.strip()])[:240]
        return line, line
    fields = {
        k: _plain(rng, k)
        for k in rng.sample(
            ("temperature", "price", "status", "count", "city", "id", "time", "name"), rng.choice((1, 2, 3))
        )
    }
    return json.dumps(fields, ensure_ascii=False), ", ".join(f"{k}: {v}" for k, v in fields.items()) + "."


def _plain(rng: random.Random, key: str) -> Any:
    if key in ("city", "name"):
        return rng.choice(PARAMETERS[key])
    return rng.choice(("ok", "done", "open", "late")) if key == "status" else rng.randint(1, 900)


def tool(
    rng: random.Random, corpus: Corpus, box: ToolBox, think: bool | None = None, search: float = 0.6
) -> Dialogue:
    """One dialogue that ends in a tool call or in the answer after one; `search` is the share of search tools."""
    think = rng.random() < 0.5 if think is None else think
    lang, dice = rng.choices(corpus.langs, corpus.weights)[0], rng.random()
    found = None
    if dice < search:  # a search tool among others: the question goes in as it is
        gold = rng.choice(corpus.by_lang[lang])
        found = answering_sentence(rng, corpus, gold, rng.random() < 0.5)
        user = found[0] if found else rng.choice(box.lines)
        main = definition(rng, rng.choice(box.search), rng.choice(SEARCH_TEXT), ["query"])
        if rng.random() < 0.3:
            main["function"]["parameters"]["properties"]["k"] = {"type": "integer", "default": 4}
        call = {"name": main["function"]["name"], "arguments": {"query": user}}
        tools = [main] + [box.invent(rng)[0] for _ in range(rng.choice((0, 0, 1, 2)))]
    elif dice < search + 0.06 and box.real:
        user, tools, call = rng.choice(box.real)
        lang, tools = "en", list(tools)
    else:
        lang = lang if lang in THINK_TOOL and rng.random() < 0.3 else "en"
        main, ask, parameters = box.invent(rng)
        user, arguments = _request(rng, box, ask, parameters)
        call = {"name": main["function"]["name"], "arguments": arguments}
        tools = [main] + [box.invent(rng)[0] for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    rng.shuffle(tools)
    messages: list[dict[str, Any]] = [{"role": "user", "content": user}]
    if rng.random() < 0.5:
        messages.insert(
            0,
            {
                "role": "system",
                "content": rng.choice((*OTHER_SYSTEMS, "You are a helpful assistant.", "Use the tools.")),
            },
        )
    thought = THINK_TOOL.get(lang, THINK_TOOL["en"]).format(name=call["name"]) if think else ""
    turn = {
        "role": "assistant",
        "content": "",
        "reasoning_content": thought,
        "tool_calls": [{"type": "function", "function": call}],
    }
    copies = [(call["name"], '"name": "' + call["name"])] + [(k, f'"{k}": {{') for k in call["arguments"]]
    copies += [(str(v), user) for v in call["arguments"].values()]
    if rng.random() < 0.65:
        return Dialogue("call", lang, [*messages, turn], tools, think, copies=copies, call=call)
    if found and rng.random() < 0.75:
        parts = [(gold, crop(rng, gold, 400, found[1]))] + [
            (p, crop(rng, p, 300)) for p in rng.choices(corpus.by_lang[lang], k=rng.choice((0, 1, 2)))
        ]
        rng.shuffle(parts)
        blocks = [f"[{i}] {source_name(rng, p)}\n{text}" for i, (p, text) in enumerate(parts, 1)]
        number = next(i for i, (_, text) in enumerate(parts, 1) if found[1] in text)
        said, thought, result = f"{found[1]} [{number}]", THINK[lang].format(n=number), "\n\n".join(blocks)
        last = {"role": "assistant", "content": said, "reasoning_content": thought if think else ""}
        messages += [turn, {"role": "tool", "content": result}, last]
        return Dialogue("tool_rag", lang, messages, tools, think, found[1], number, blocks, hint=found[2])
    result, said = _result(rng, corpus, lang)
    last = {
        "role": "assistant",
        "content": said,
        "reasoning_content": THINK_RESULT.get(lang, THINK_RESULT["en"]) if think else "",
    }
    copies = (
        [(said, result)]
        if said == result
        else [(p.split(": ")[1], result) for p in said.strip(".").split(", ")]
    )
    return Dialogue(
        "result",
        lang,
        [*messages, turn, {"role": "tool", "content": result}, last],
        tools,
        think,
        copies=copies,
    )


def plain(rng: random.Random, corpus: Corpus, box: ToolBox, think: bool | None = None) -> Dialogue:
    """A question without passages or tools.

    The honest answer of so small a model is that it has nothing to answer from.
    """
    think = rng.random() < 0.5 if think is None else think
    lang = rng.choices(corpus.langs, corpus.weights)[0]
    found = answering_sentence(rng, corpus, rng.choice(corpus.by_lang[lang]), True)
    greeting = {"en": ("Hello", "Hi", "hello!"), "ar": ("مرحبا", "السلام عليكم"), "zh": ("你好", "您好")}
    reply = {
        "en": "Hello! Ask me about your documents.",
        "ar": "مرحبا! اسألني عن مستنداتك.",
        "zh": "你好！请就你的文档向我提问。",
    }
    if (lang in greeting and rng.random() < 0.5) or not found:
        lang = lang if lang in greeting else "en"
        user, said = rng.choice(greeting[lang]), reply[lang]
    else:
        user, said = found[0], ABSTAIN[lang]
    turn = {"role": "assistant", "content": said, "reasoning_content": said if think else ""}
    return Dialogue("plain", lang, [{"role": "user", "content": user}, turn], None, think)
