"""Compares nano-chat's own chat template with the real Qwen3 one on generated dialogues, byte for byte.

The real template is read from the tokenizer_config.json of the data folder. Dialogues on which the
real template itself fails (missing contents, lists of parts) are run too: ours must render them, as if the
content were the flattened text.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

from transformers.utils.chat_template_utils import render_jinja_template

PIECES = (
    "Hello", "ما الطقس في القاهرة؟", "长城有多长？", "  spaced  ", "\nleading", "trailing\n\n", "",
    "a\n\nb", "🦉 émojis\u200d", 'quote " \\ </',
    "<think>\ninside\n</think>\n\nanswer", "</think>only close", "<think>a</think>b</think>\n\nc",
    "<tool_response>\nx\n</tool_response>",
    "<tool_response>half", "สวัสดี", "{\"a\": 1}", "<b>&amp;</b>", "\n",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    "القاهرة",
    "北京",
    3,
    2.5,
    True,
    None,
    ["x", "é"],
    {"deep": {"k": [1]}},
    'a"b\\c\n',
    "</tool_call>",
)


def _text(rng: random.Random) -> str:
    return "".join(rng.choice(PIECES) for _ in range(rng.choice((1, 1, 1, 2))))


def _call(rng: random.Random) -> dict[str, Any]:
    arguments: Any = {f"p{i}": rng.choice(VALUES) for i in range(rng.randrange(4))}
    if rng.random() < 0.2:
        arguments = json.dumps(arguments, ensure_ascii=False)
    call = {"name": rng.choice(("get_weather", "بحث", "a.b")), "arguments": arguments}
    return call if rng.random() < 0.3 else {"type": "function", "id": "c1", "function": call}


def _tool(rng: random.Random) -> dict[str, Any]:
    properties = {f"p{i}": {"type": "string", "description": _text(rng)} for i in range(rng.randrange(3))}
    function = {
        "name": "get_weather",
        "description": _text(rng),
        "parameters": {"type": "object", "properties": properties},
    }
    return {"type": "function", "function": function}


def _message(rng: random.Random, role: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": role, "content": _text(rng)}
    if role == "assistant":
        if rng.random() < 0.4:
            message["reasoning_content"] = rng.choice((_text(rng), "", None, "\nthought\n"))
        if rng.random() < 0.5:
            message["tool_calls"] = [_call(rng) for _ in range(rng.randrange(4))]
    return message


def case(rng: random.Random) -> dict[str, Any]:
    """One dialogue with its options; most follow the order of a real dialogue, some are wild."""
    messages = [_message(rng, "system")] if rng.random() < 0.5 else []
    if rng.random() < 0.25:
        messages += [
            _message(rng, rng.choice(("user", "assistant", "tool", "system")))
            for _ in range(rng.randint(1, 7))
        ]
    else:
        for _ in range(rng.randint(1, 3)):
            messages.append(_message(rng, "user"))
            for _ in range(rng.randrange(3)):
                messages.append(_message(rng, "assistant"))
                messages += [_message(rng, "tool") for _ in range(rng.randrange(3))]
    options: dict[str, Any] = {"messages": messages, "add_generation_prompt": rng.random() < 0.6}
    if rng.random() < 0.5:
        options["tools"] = [_tool(rng) for _ in range(rng.randrange(4))]
    if rng.random() < 0.6:
        options["enable_thinking"] = rng.random() < 0.5
    return options


def render(template: str, options: dict[str, Any]) -> str:
    """Renders as transformers does."""
    options = dict(options)
    messages, tools = options.pop("messages"), options.pop("tools", None)
    return render_jinja_template([messages], tools=tools, chat_template=template, **options)[0][0]


def _loosen(rng: random.Random, options: dict[str, Any]) -> dict[str, Any]:
    """The same dialogue with contents as lists of parts, or None where they were empty."""
    loose = []
    for message in options["messages"]:
        text, cut = message["content"], rng.randrange(len(message["content"]) + 1)
        parts: Any = [{"type": "text", "text": text[:cut]}, {"type": "image", "url": "x"}, text[cut:]]
        loose.append({**message, "content": parts if text else None})
    return {**options, "messages": loose}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--template", type=Path, default=Path(__file__).with_name("chat_template.jinja"))
    args = parser.parse_args()
    real = json.loads((args.data / "qwen3_tokenizer/tokenizer_config.json").read_text(encoding="utf-8"))[
        "chat_template"
    ]
    ours = args.template.read_text(encoding="utf-8")
    rng = random.Random(3)
    equal = loose = 0
    for index in range(args.cases):
        options = case(rng)
        want, got = render(real, options), render(ours, options)
        equal += want == got
        if want != got:
            print(f"case {index}\nwant {want!r}\ngot  {got!r}\n{options}")
        loose += render(ours, _loosen(rng, options)) == want
    for options in json.loads((args.data / "templates/rendered_cases.json").read_text(encoding="utf-8")):
        if options["template"].startswith("Qwen3-0.6B"):
            got = render(ours, options["kwargs"])
            print(options["id"], got == options["rendered"])
    print(f"{equal} of {args.cases} generated dialogues agree")
    print(f"{loose} of {args.cases} agree when contents come as lists of parts or are missing")


if __name__ == "__main__":
    main()
