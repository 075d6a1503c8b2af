"""Grammars: what a model of random weights writes always fits the tools, the schemas and the dialects."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import torch
from langchain_core.messages import AIMessage
from llguidance import LLMatcher
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from qwen_agentkit.chat.parsing import Dialect, parse
from qwen_agentkit.chat_models import ChatQwen
from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.checkpoint.tokens import end_ids
from qwen_agentkit.engine.grammar.lark import Tags, json_rule
from qwen_agentkit.engine.grammar.matcher import Matcher, compile_grammar, read_vocabulary
from qwen_agentkit.engine.grammar.turn_grammar import Turn, turn_grammar
from qwen_agentkit.errors import InputError

# Every token as likely as a random model finds it.
WILD: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "presence_penalty": 0.0}

Json = dict[str, Any]


@pytest.fixture(scope="module")
def folders(tiny_qwen3_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints of random weights, one for each dialect."""
    xml = tmp_path_factory.mktemp("xml") / "tiny"
    shutil.copytree(tiny_qwen3_dir, xml)
    template = xml / "chat_template.jinja"
    template.write_text(
        "{#- writes <function=name> -#}" + template.read_text(encoding="utf-8"), encoding="utf-8"
    )
    return {"json": tiny_qwen3_dir, "xml": xml}


@pytest.fixture(scope="module")
def loaded(tiny_qwen3_dir: Path) -> Loaded:
    return load(str(tiny_qwen3_dir), device="cpu", dtype="float32")


def fits(schema: Json, value: Any) -> bool:
    return bool(jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(value))


class Schemas:
    """Random schemas whose values are short."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.definitions: dict[str, Json] = {}

    def root(self) -> Json:
        body = self.object(3)
        return {**body, "$defs": self.definitions} if self.definitions else body

    def value(self, depth: int) -> Json:
        makers: list[Callable[[int], Json]] = [
            self.text,
            self.number,
            self.literal,
            self.simple,
            self.pattern,
        ]
        if depth > 0:
            makers += [self.object, self.array, self.choice, self.tuple, self.reference]
        return self.random.choice(makers)(depth - 1)

    def object(self, depth: int) -> Json:
        names = self.random.sample(
            ["name", "größe", "a b", 'quo"te', "<tool_call>", "النص", "n"], self.random.randint(0, 4)
        )
        schema: Json = {"type": "object", "properties": {name: self.value(depth) for name in names}}
        schema["required"] = [name for name in names if self.random.random() < 0.6]
        if self.random.random() < 0.5:
            schema["additionalProperties"] = False
        return schema

    def array(self, depth: int) -> Json:
        least = self.random.randint(0, 2)
        return {"type": "array", "items": self.value(depth), "minItems": least, "maxItems": least + 2}

    def tuple(self, depth: int) -> Json:
        parts = [self.value(depth) for _ in range(2)]
        return {"type": "array", "prefixItems": parts, "items": False, "minItems": 2}

    def choice(self, depth: int) -> Json:
        return {"anyOf": [self.value(depth) for _ in range(self.random.randint(2, 3))]}

    def reference(self, depth: int) -> Json:
        name = f"part {len(self.definitions)}"
        self.definitions[name] = {}
        self.definitions[name] = self.value(depth)
        return {"$ref": f"#/$defs/{name.replace(' ', '%20')}"}

    def text(self, depth: int) -> Json:
        least = self.random.randint(0, 3)
        return {"type": "string", "minLength": least, "maxLength": least + 5}

    def pattern(self, depth: int) -> Json:
        patterns = ["^[a-f]{2,4}$", r"^\d{3}-\d{2}$", "^(yes|no)$", "^[A-Z][a-z]{0,5}$"]
        formats = ["date", "time", "date-time", "uuid", "ipv4"]
        if self.random.random() < 0.5:
            return {"type": "string", "pattern": self.random.choice(patterns)}
        return {"type": "string", "format": self.random.choice(formats)}

    def number(self, depth: int) -> Json:
        least = self.random.randint(-20, 20)
        kind = self.random.choice(["integer", "number"])
        if kind == "integer" and self.random.random() < 0.3:
            return {"type": kind, "multipleOf": 5, "exclusiveMinimum": least, "maximum": least + 30}
        return {"type": kind, "minimum": least, "maximum": least + self.random.randint(0, 99)}

    def literal(self, depth: int) -> Json:
        values = [1, -2.5, "one", "zwölf", None, True, {"a": [1, 2]}, ["x", ""]]
        if self.random.random() < 0.3:
            return {"const": self.random.choice(values)}
        return {"enum": self.random.sample(values, self.random.randint(1, 4))}

    def simple(self, depth: int) -> Json:
        return {"type": self.random.choice(["boolean", "null", ["boolean", "null"]])}


def test_answers_fit_200_random_schemas(tiny_qwen3_dir: Path) -> None:
    llm = ChatQwen(model=str(tiny_qwen3_dir), thinking=False, max_tokens=400, **WILD)
    schemas = [Schemas(seed).root() for seed in range(200)]

    def write(number: int) -> AIMessage:
        form = {"type": "json_schema", "json_schema": {"schema": schemas[number]}}
        return llm.invoke("Go", response_format=form, seed=number)

    with ThreadPoolExecutor(50) as pool:
        messages = list(pool.map(write, range(len(schemas))))
    complete = [
        (schema, json.loads(str(message.content)))
        for schema, message in zip(schemas, messages, strict=True)
        if message.response_metadata["finish_reason"] == "stop"
    ]
    assert len(complete) > 180
    assert [(schema, value) for schema, value in complete if not fits(schema, value)] == []
    assert len({json.dumps(value) for _, value in complete}) > 100  # they do differ


PLACE = {
    "type": "object",
    "properties": {"zip": {"type": "string", "pattern": "^[0-9]{4}$"}},
    "required": ["zip"],
}
PARAMETERS: dict[str, Json] = {
    "now": {"type": "object", "properties": {}},
    "get weather": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 9},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
            "unit": {"enum": ["C", "F", None]},
        },
        "required": ["city", "unit"],
    },
    "mark": {
        "type": "object",
        "properties": {
            "places": {"type": "array", "items": {"$ref": "#/$defs/Place"}, "maxItems": 2},
            "note": {"anyOf": [{"type": "string", "maxLength": 6}, {"type": "null"}]},
            "either": {"anyOf": [{"type": "integer", "maximum": 5}, {"type": "string", "maxLength": 6}]},
            "size": {"type": "number", "minimum": 0, "maximum": 1},
            "sure": {"type": "boolean"},
            "day": {"type": "string", "format": "date"},
            "code": {"type": "string", "pattern": "^[A-Z]{2}"},
            "place": {"$ref": "#/$defs/Place"},
        },
        "required": ["places", "either", "code"],
        "$defs": {"Place": PLACE},
    },
}
# A pattern that is open at its end has no longest match.
PARAMETERS["mark"]["properties"]["code"]["maxLength"] = 8
TOOLS = [
    {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}
    for name, parameters in PARAMETERS.items()
]


def names_of(calls: Sequence[Mapping[str, Any]]) -> list[str]:
    """The tools called, with arguments that fit."""
    for call in calls:
        assert fits(PARAMETERS[call["name"]], call["args"]), call
    return [call["name"] for call in calls]


@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize("dialect", ["json", "xml"])
def test_forced_calls(folders: dict[str, Path], dialect: str, thinking: bool) -> None:
    llm = ChatQwen(model=str(folders[dialect]), thinking=thinking, thinking_budget=8, max_tokens=900, **WILD)

    def write(case: tuple[str, bool | None, int]) -> tuple[str, bool | None, AIMessage]:
        choice, parallel, seed = case
        bound = llm.bind_tools(TOOLS, tool_choice=choice, parallel_tool_calls=parallel)
        return choice, parallel, bound.invoke("Go", seed=seed)

    cases = [
        (choice, parallel, seed)
        for choice in ("any", *PARAMETERS)
        for parallel in (None, False)
        for seed in range(3)
    ]
    with ThreadPoolExecutor(40) as pool:
        results = list(pool.map(write, cases))
    called = 0
    for choice, parallel, message in results:
        assert message.content == ""
        assert ("reasoning_content" in message.additional_kwargs) == thinking
        if message.response_metadata["finish_reason"] == "length":
            continue
        assert message.invalid_tool_calls == []
        names = names_of(message.tool_calls)
        called += 1
        assert set(names) <= (set(PARAMETERS) if choice == "any" else {choice})
        assert len(names) >= 1
        if parallel is False:
            assert len(names) == 1
    assert called > 0.9 * len(cases)


@pytest.mark.parametrize("dialect", ["json", "xml"])
def test_calls_in_free_text(loaded: Loaded, dialect: Dialect) -> None:
    began = "Hm, <tool_call> is a draft.\n</think>\n\nLooking.\n<tool_call>"
    for parallel, seed in product((True, False), range(10)):
        turn = Turn(tools=TOOLS, parallel=parallel)
        matcher = matcher_of(loaded, turn, dialect=dialect, thinking=True, opened=True)
        text = began + write_on(matcher, loaded, began, seed)
        parsed = parse(text, thinking=True, tools=TOOLS, dialect=dialect)
        assert (parsed.reasoning, parsed.content) == ("Hm, <tool_call> is a draft.", "Looking.")
        assert parsed.invalid_tool_calls == []
        assert len(names_of(parsed.tool_calls)) == 1
        if parallel:
            follow(matcher, loaded.encode_prompt("\nAnd now:\n<tool_call>\n"))
        else:
            assert allowed(matcher, loaded) == end_ids(loaded)


def test_calls_spelled_letter_by_letter_are_not_written(loaded: Loaded) -> None:
    turn = Turn(tools=TOOLS)
    free = {"thinking": False, "opened": False}
    assert spells(loaded, turn, "a <tool of <think> and </tool_call>", **free)
    assert not spells(loaded, turn, "a <tool_call>", letters=True, **free)
    assert not spells(loaded, turn, "a <tool_call> b", **free)
    bare = "<function=now>\n</function>"
    assert spells(loaded, turn, bare, **free)
    assert not spells(loaded, turn, bare, dialect="xml", **free)
    assert spells(loaded, turn, "<function=now> is how it begins", dialect="xml", **free)
    json_turn = Turn(schema={"type": "object"})
    thinking = {"thinking": True, "opened": True}
    assert spells(loaded, json_turn, "Hm. <tool_call>\n</think>\n\n{}", **thinking)
    assert not spells(loaded, json_turn, "Hm.\n</think>\n\n{}", letters=True, **thinking)
    assert not spells(loaded, json_turn, "Hm.\n</think>\n\nNo.", **thinking)
    assert not spells(loaded, json_turn, "Hm.", **thinking)


def test_tags_of_a_vocabulary_without_them() -> None:
    tokenizer = Tokenizer(
        models.BPE({letter: i for i, letter in enumerate(sorted(bytes_to_unicode().values()))}, [])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|im_end|>", special=True)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    vocabulary, tags = read_vocabulary(fast, [tokenizer.token_to_id("<|im_end|>")]), Tags(fast)
    lark = turn_grammar(Turn(tools=TOOLS[:1]), tags, "json", thinking=True, opened=True)
    matcher = LLMatcher(vocabulary, LLMatcher.grammar_from_lark(lark))
    call = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    good = tokenizer.encode(f"Hm <tool_call>\n</think>\n\nSo {call} and {call}.").ids
    assert matcher.deep_copy().try_consume_tokens(good) == len(good)
    bad = tokenizer.encode("Hm.</think>So <tool_call>\nno").ids
    assert matcher.try_consume_tokens(bad) == len(bad) - 2


def test_padding_after_the_vocabulary_is_forbidden(loaded: Loaded) -> None:
    matcher = matcher_of(loaded, Turn(schema={"type": "object"}), thinking=False, opened=False)
    logits = torch.zeros(len(loaded.tokenizer) + 100)
    matcher.mask(logits)
    assert logits[len(loaded.tokenizer) :].isinf().all()
    assert logits.isfinite().any()


def test_the_real_vocabulary_is_masked(real_tokenizer: PreTrainedTokenizerFast) -> None:
    vocabulary = read_vocabulary(real_tokenizer, [151645])
    lark = turn_grammar(Turn(tools=TOOLS), Tags(real_tokenizer), "json", thinking=True, opened=True)
    matcher = Matcher(LLMatcher(vocabulary, LLMatcher.grammar_from_lark(lark)), vocabulary)
    thought = "Let me look at <b>this</b>. "
    text = f'{thought}\n</think>\n\nSo:\n<tool_call>\n{{"name": "get weather", "'
    logits = torch.zeros(151936)
    for token in real_tokenizer.encode(text):
        matcher.mask(logits.zero_())
        assert logits[token] == 0
        matcher.accept(token)
    forced = real_tokenizer.decode(matcher.forced())
    assert forced
    assert 'arguments": {"city": "'.startswith(forced)


def test_a_newline_may_end_the_last_call(loaded: Loaded) -> None:
    call = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    for parallel in (True, False):
        turn = Turn(tools=TOOLS, must_call=True, parallel=parallel)
        for text in (call, call + "\n"):
            assert spells(loaded, turn, text, thinking=False, opened=False)
        assert spells(loaded, turn, f"{call}\n{call}", thinking=False, opened=False) == parallel


@pytest.mark.parametrize(
    ("schema", "part"),
    [
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "string", "pattern": "^(?=a)b"}, "pattern"),
        ({"not": {"type": "string"}}, "not"),
        ({"type": "object", "additionalProperties": {}, "minProperties": 2}, "minProperties=2"),
        ({"type": "string", "format": "color"}, "color"),
    ],
)
def test_what_no_grammar_can_hold(schema: Json, part: str) -> None:
    with pytest.raises(InputError, match="the answer") as error:
        json_rule("the answer", schema, strict=True)
    assert part in str(error.value)
    with pytest.warns(UserWarning, match=f"the answer: .*{part}"):
        json_rule("the answer", schema)


@pytest.mark.parametrize(
    ("schema", "part"),
    [
        ({"type": "string", "format": "json-pointer"}, "format json-pointer"),
        ({"type": "string", "pattern": "^a|b$"}, "pattern"),
        ({"allOf": [{"type": "string"}, {"maxLength": 3}]}, "allOf"),
        ({"anyOf": [{"type": "string"}], "maxLength": 2}, "anyOf"),
    ],
)
def test_what_xml_cannot_hold(loaded: Loaded, schema: Json, part: str) -> None:
    function = {"name": "f", "parameters": {"type": "object", "properties": {"x": schema}}}
    tools: list[Json] = [{"type": "function", "function": function}]
    with pytest.warns(UserWarning, match=rf"f\.x.*{part}"):
        matcher_of(loaded, Turn(tools=tools, must_call=True), dialect="xml", thinking=False, opened=False)
    tools = [{"type": "function", "function": {**function, "strict": True}}]
    with pytest.raises(InputError, match=r"f\.x") as error:
        matcher_of(loaded, Turn(tools=tools), dialect="xml", thinking=False, opened=False)
    assert part in str(error.value)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"properties": {"a": {"type": "integer"}}}, '{"a": 1}', '{"a": 1, "b": 2}'),
        ({"type": "object"}, '{"a": 1, "b": 2}', "[]"),
        ({"type": "string", "format": "date"}, '"2024-02-29"', '"2023-02-29"'),
        ({"type": "string", "format": "time"}, '"23:59:59Z"', '"23:59:60Z"'),
        ({"type": "number"}, "-12.5", "1e400"),
        ({"type": "string"}, '"é\\n"', '"\\ud800"'),
        ({"type": "string", "format": "password"}, '"x"', "1"),
        ({"anyOf": [{"type": "number"}, {"type": "string", "pattern": "(?!a)b"}]}, "1", '"b"'),
        (
            {
                "oneOf": [
                    {"properties": {"k": {"const": "a"}}, "required": ["k"]},
                    {"properties": {"k": {"const": "b"}, "x": {"type": "null"}}, "required": ["k"]},
                ],
                "discriminator": {"propertyName": "k"},
            },
            '{"k": "b", "x": null}',
            '{"k": "a", "x": null}',
        ),
        ({"type": "object", "propertyNames": {"type": "string"}}, '{"a": 1}', "{1: 1}"),
        (
            {"allOf": [{"properties": {"a": {"type": "null"}}}, {"properties": {"b": {"type": "null"}}}]},
            '{"a": null, "b": null}',
            '{"a": 1}',
        ),
    ],
)
def test_what_a_schema_means(loaded: Loaded, schema: Json, good: str, bad: str) -> None:
    turn = Turn(schema=schema)
    assert spells(loaded, turn, good, thinking=False, opened=False)
    assert not spells(loaded, turn, bad, thinking=False, opened=False)


def matcher_of(
    loaded: Loaded, turn: Turn, *, dialect: Dialect = "json", thinking: bool, opened: bool
) -> Matcher:
    grammar = turn_grammar(turn, Tags(loaded.tokenizer), dialect, thinking=thinking, opened=opened)
    return compile_grammar(loaded, grammar)


def write_on(matcher: Matcher, loaded: Loaded, began: str, seed: int) -> str:
    """Write at random up to the end of the call that the text begins."""
    follow(matcher, loaded.encode_prompt(began))
    dice = torch.Generator().manual_seed(seed)
    close, tokens = loaded.token_id("</tool_call>"), [0]
    while tokens[-1] != close:
        logits = torch.randn(len(loaded.tokenizer), generator=dice)
        matcher.mask(logits)
        tokens.append(int(logits.argmax()))
        matcher.accept(tokens[-1])
        assert len(tokens) < 2000
    return str(loaded.tokenizer.decode(tokens[1:]))


def follow(matcher: Matcher, tokens: list[int]) -> None:
    for token in tokens:
        matcher.accept(token)


def allowed(matcher: Matcher, loaded: Loaded) -> set[int]:
    logits = torch.zeros(len(loaded.tokenizer))
    matcher.mask(logits)
    return set(logits.isfinite().nonzero().flatten().tolist())


def spells(loaded: Loaded, turn: Turn, text: str, *, letters: bool = False, **how: Any) -> bool:
    """Whether a turn may be this text, in the usual tokens or letter by letter."""
    matcher = matcher_of(loaded, turn, **how)
    for part in text if letters else [text]:
        for token in loaded.encode_prompt(part):
            if token not in allowed(matcher, loaded):
                return False
            matcher.accept(token)
    return loaded.token_id("<|im_end|>") in allowed(matcher, loaded)
