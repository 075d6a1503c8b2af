"""Outputs as Qwen models write them, good and damaged, and what has to be read out of each."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Case(NamedTuple):
    text: str
    reasoning: str = ""
    content: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    invalid: tuple[str, ...] = ()
    thinking: bool = False
    tools: tuple[dict[str, Any], ...] = ()


def call(name: str, **args: Any) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': args}, ensure_ascii=False)}\n</tool_call>"


SEARCH = call("search", q="cats")
FOUND = ("search", {"q": "cats"})
READ = "<tool_call>\n<function=read>\n<parameter=path>\n/a.txt\n</parameter>\n</function>\n</tool_call>"
READ_CALL = ("read", {"path": "/a.txt"})
BARE = READ.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>")


def xml_call(name: str, **values: Any) -> str:
    parameters = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    return f"<tool_call>\n<function={name}>\n{parameters}</function>\n</tool_call>"


def tool(**properties: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": {"properties": properties}}}


CASES = {
    # Answers and thoughts
    "empty": Case(""),
    "plain": Case("Hello.", content="Hello."),
    "leading space is the model's": Case("  Hello.", content="  Hello."),
    "newlines at the end are the model's": Case("a\n\nb\n", content="a\n\nb\n"),
    "think, then answer": Case("<think>\nEasy.\n</think>\n\nFour.", "Easy.", "Four."),
    "think without newlines": Case("<think>Easy.</think>Four.", "Easy.", "Four."),
    "newlines before the think block": Case("\n\n<think>\nEasy.\n</think>\n\nFour.", "Easy.", "Four."),
    "empty think block": Case("<think>\n\n</think>\n\nFour.", content="Four."),
    "paragraphs in a thought": Case("<think>\na\n\n b\n</think>\n\n c\nd", "a\n\n b", " c\nd"),
    "prompt opened the thought": Case("Easy.\n</think>\n\nFour.", "Easy.", "Four.", thinking=True),
    "opened twice": Case("<think>\nEasy.\n</think>\n\nFour.", "Easy.", "Four.", thinking=True),
    "thought cut off": Case("<think>\nHm, wel", "Hm, wel"),
    "thought cut off, opened by the prompt": Case("Hm, wel", "Hm, wel", thinking=True),
    "thought cut off inside its closing tag": Case("<think>\nHm</thi", "Hm</thi"),
    "thought and nothing after": Case("Hm\n</think>", "Hm", thinking=True),
    "no closing tag at all": Case("</think fakeout", "</think fakeout", thinking=True),
    "nested opening tag is text": Case("a<think>b</think>c", "a<think>b", "c", thinking=True),
    "second closing tag is text": Case("a</think></think>", "a", "</think>", thinking=True),
    "think tag after text is text": Case("Use <think> here.", content="Use <think> here."),
    "lone closing tag is text": Case("Done.</think>", content="Done.</think>"),
    "Chinese": Case("<think>\n想一想。\n</think>\n\n北京。", "想一想。", "北京。"),
    "Arabic": Case("<think>\nسؤال سهل.\n</think>\n\nالقاهرة.", "سؤال سهل.", "القاهرة."),
    "half a tag at the end is text": Case("a <tool_", content="a <tool_"),
    "something like a tag is text": Case("<tool_calls> <", content="<tool_calls> <"),
    # Hermes JSON
    "call": Case(SEARCH, calls=(FOUND,)),
    "call in one line": Case(SEARCH.replace("\n", ""), calls=(FOUND,)),
    "text, then call": Case(f"Let me look.\n{SEARCH}", content="Let me look.", calls=(FOUND,)),
    "call, then text": Case(f"{SEARCH}\nThere.", content="There.", calls=(FOUND,)),
    "text around a call": Case(f"One.\n{SEARCH}\nTwo.", content="One.\nTwo.", calls=(FOUND,)),
    "newline after the last call is the template's": Case(f"{SEARCH}\n", calls=(FOUND,)),
    "two calls": Case(f"{SEARCH}\n{call('now')}", calls=(FOUND, ("now", {}))),
    "two calls without a newline": Case(f"{SEARCH}{call('now')}", calls=(FOUND, ("now", {}))),
    "think, then call": Case(f"<think>\nLook.\n</think>\n\n{SEARCH}", "Look.", calls=(FOUND,)),
    "think, text, call": Case(f"<think>a</think>\n\nb\n\n{SEARCH}", "a", "b", (FOUND,)),
    "unknown tool is passed on": Case(call("nonesuch", a=1), calls=(("nonesuch", {"a": 1}),)),
    "types are kept": Case(
        call("f", i=3, x=0.5, b=True, n=None, l=[1, "1"], d={"k": {}}),
        calls=(("f", {"i": 3, "x": 0.5, "b": True, "n": None, "l": [1, "1"], "d": {"k": {}}}),),
    ),
    "strings are kept to the byte": Case(
        call("f", code="  def f():\n\treturn '7 '\n\n", q='a "b" \\ c'),
        calls=(("f", {"code": "  def f():\n\treturn '7 '\n\n", "q": 'a "b" \\ c'}),),
    ),
    "raw newline in a string": Case(
        '<tool_call>{"name": "f", "arguments": {"s": "a\nb"}}</tool_call>', calls=(("f", {"s": "a\nb"}),)
    ),
    "tags inside a string": Case(
        call("write", text="</tool_call> <tool_call> </think>"),
        calls=(("write", {"text": "</tool_call> <tool_call> </think>"}),),
    ),
    "other scripts": Case(call("获取天气", 城市="北京 🌟"), calls=(("获取天气", {"城市": "北京 🌟"}),)),
    "no arguments": Case('<tool_call>{"name": "now"}</tool_call>', calls=(("now", {}),)),
    "arguments encoded twice": Case(
        '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', calls=(("f", {"a": 1}),)
    ),
    "closing tag missing": Case(SEARCH.removesuffix("\n</tool_call>"), calls=(FOUND,)),
    "closing tag cut off": Case(SEARCH.removesuffix("_call>"), calls=(FOUND,)),
    "closing tag forgotten before the next call": Case(
        SEARCH.removesuffix("</tool_call>") + call("now"), calls=(FOUND, ("now", {}))
    ),
    # Damaged calls
    "JSON cut off": Case(SEARCH[:-16], invalid=(SEARCH[:-16],)),
    "nothing but the tag": Case("<tool_call>", invalid=("<tool_call>",)),
    "prose in the tags": Case("<tool_call>search</tool_call>", invalid=("<tool_call>search</tool_call>",)),
    "single quotes": Case(
        "<tool_call>{'name': 'f'}</tool_call>", invalid=("<tool_call>{'name': 'f'}</tool_call>",)
    ),
    "a list": Case("<tool_call>[1]</tool_call>", invalid=("<tool_call>[1]</tool_call>",)),
    "no name": Case('<tool_call>{"a": 1}</tool_call>', invalid=('<tool_call>{"a": 1}</tool_call>',)),
    "arguments are no object": Case(
        '<tool_call>{"name": "f", "arguments": "hello"}</tool_call>',
        invalid=('<tool_call>{"name": "f", "arguments": "hello"}</tool_call>',),
    ),
    "one brace too many": Case(
        '<tool_call>{"name": "f", "arguments": {}}}</tool_call>',
        invalid=('<tool_call>{"name": "f", "arguments": {}}}</tool_call>',),
    ),
    "good calls beside a bad one": Case(
        f"{SEARCH}\n<tool_call>oops</tool_call>\n{call('now')}",
        calls=(FOUND, ("now", {})),
        invalid=("<tool_call>oops</tool_call>",),
    ),
    "string never closed, good call after it": Case(
        f'<tool_call>{{"name": "f", "arguments": {{"s": "a}}}}</tool_call>\n{SEARCH}',
        calls=(FOUND,),
        invalid=('<tool_call>{"name": "f", "arguments": {"s": "a}}</tool_call>',),
    ),
    "nested far too deep": Case(
        f"<tool_call>{'[' * 100_000}</tool_call>", invalid=(f"<tool_call>{'[' * 100_000}</tool_call>",)
    ),
    # Calls inside thoughts
    "draft, then closed": Case(f"<think>\nMaybe {SEARCH}?\n</think>\n\nNo.", f"Maybe {SEARCH}?", "No."),
    "thought never closed, call counts": Case(
        f"Look it up.\n{SEARCH}", "Look it up.", calls=(FOUND,), thinking=True
    ),
    "thought never closed, text after the call": Case(f"a {SEARCH} b", "a  b", calls=(FOUND,), thinking=True),
    "thought never closed, call cut off": Case("a <tool_call>{", "a <tool_call>{", thinking=True),
    "thought never closed, bad call, good call": Case(
        f"<tool_call>x</tool_call>{SEARCH}", "<tool_call>x</tool_call>", calls=(FOUND,), thinking=True
    ),
    # Coder XML
    "XML": Case(READ, calls=(("read", {"path": "/a.txt"}),)),
    "XML in one line": Case(READ.replace("\n", ""), calls=(("read", {"path": "/a.txt"}),)),
    "XML without parameters": Case(
        "<tool_call>\n<function=now>\n</function>\n</tool_call>", calls=(("now", {}),)
    ),
    "XML after text": Case(f"Reading.\n\n{READ}", content="Reading.", calls=(("read", {"path": "/a.txt"}),)),
    "XML value keeps inner space": Case(
        READ.replace("/a.txt", "\n  x = 1\n"), calls=(("read", {"path": "\n  x = 1\n"}),)
    ),
    "XML value with a closing tag": Case(
        READ.replace("/a.txt", "</tool_call>"), calls=(("read", {"path": "</tool_call>"}),)
    ),
    "XML cut off": Case(READ[:-30], invalid=(READ[:-30],)),
    "XML with text between": Case(
        READ.replace("<parameter", "path <parameter"),
        invalid=(READ.replace("<parameter", "path <parameter"),),
    ),
    "XML call ends without its tag": Case(
        READ.removesuffix("\n</tool_call>") + "\nDone.", content="Done.", calls=(READ_CALL,)
    ),
    "XML closing tag cut off": Case(READ.removesuffix("_call>"), calls=(READ_CALL,)),
    "XML keeps indented code": Case(
        READ.replace("/a.txt", "def f(x):\n    if x:\n\treturn '</p>'\n"),
        calls=(("read", {"path": "def f(x):\n    if x:\n\treturn '</p>'\n"}),),
    ),
    "XML keeps Windows newlines": Case(
        READ.replace("/a.txt", "a\r\nb\r"), calls=(("read", {"path": "a\r\nb\r"}),)
    ),
    "XML in Windows newlines": Case(
        "<tool_call>\r\n<function=now>\r\n</function>\r\n</tool_call>", calls=(("now", {}),)
    ),
    "XML value of quotes and brackets": Case(
        READ.replace("/a.txt", "\"a\" {'b': [1}"), calls=(("read", {"path": "\"a\" {'b': [1}"}),)
    ),
    "XML value right to left": Case(
        READ.replace("/a.txt", "ملف\u200f.txt"), calls=(("read", {"path": "ملف\u200f.txt"}),)
    ),
    "XML value with think tags": Case(
        READ.replace("/a.txt", "<think>x</think>"), calls=(("read", {"path": "<think>x</think>"}),)
    ),
    "XML value with a whole call": Case(READ.replace("/a.txt", SEARCH), calls=(("read", {"path": SEARCH}),)),
    "XML value that ends a function": Case(
        READ.replace("/a.txt", "</function>"), calls=(("read", {"path": "</function>"}),)
    ),
    "XML names with spaces": Case(
        "<tool_call><function=read file><parameter=the path>a</parameter></function></tool_call>",
        calls=(("read file", {"the path": "a"}),),
    ),
    "XML names in Chinese": Case(
        "<tool_call><function=获取><parameter=城市>\n北京\n</parameter></function></tool_call>",
        calls=(("获取", {"城市": "北京"}),),
    ),
    "XML value is empty": Case(READ.replace("/a.txt\n", ""), calls=(("read", {"path": ""}),)),
    "two functions in one tag": Case(
        READ.replace("</function>", "</function>\n<function=now>\n</function>"),
        calls=(READ_CALL, ("now", {})),
    ),
    "both dialects in one answer": Case(f"{READ}\n{SEARCH}", calls=(READ_CALL, FOUND)),
    "XML parameter twice": Case(
        READ.replace("</function>", "<parameter=path>b</parameter></function>"),
        invalid=(READ.replace("</function>", "<parameter=path>b</parameter></function>"),),
    ),
    "XML parameter never closed": Case(
        READ.replace("</parameter>\n", ""), invalid=(READ.replace("</parameter>\n", ""),)
    ),
    "XML parameter never closed, good call after it": Case(
        READ.replace("</parameter>\n", "") + SEARCH,
        calls=(FOUND,),
        invalid=(READ.replace("</parameter>\n", ""),),
    ),
    "XML function never closed": Case(
        READ.replace("</function>\n", ""), invalid=(READ.replace("</function>\n", ""),)
    ),
    "XML function without a name": Case(READ.replace("=read", "="), invalid=(READ.replace("=read", "="),)),
    # Coder models forget the opening tag
    "bare function": Case(BARE, calls=(READ_CALL,)),
    "bare function, closing tag kept": Case(READ.removeprefix("<tool_call>\n"), calls=(READ_CALL,)),
    "bare function without parameters": Case("<function=now></function>", calls=(("now", {}),)),
    "text, bare function, text": Case(f"One.\n{BARE}\nTwo.", content="One.\nTwo.", calls=(READ_CALL,)),
    "two bare functions": Case(f"{BARE}\n{BARE}", calls=(READ_CALL, READ_CALL)),
    "bare function cut off": Case(BARE[:40], invalid=(BARE[:40],)),
    "bare function after a thought": Case(f"a\n</think>\n\n{BARE}", "a", calls=(READ_CALL,), thinking=True),
    "bare function in a thought never closed": Case(f"a\n{BARE}", "a", calls=(READ_CALL,), thinking=True),
    "bare function drafted": Case(f"{BARE}</think>b", BARE, "b", thinking=True),
    "prose about functions": Case("Write <function=f> there.", content="Write <function=f> there."),
    "function tag at the end": Case("Write <function=f>\n", content="Write <function=f>\n"),
    # Types by schema
    "XML values by schema": Case(
        xml_call("f", n=3, x=0.5, yes="True", no="false", nil="null", o='{"a": [1]}', l="[1, 2]", s="7"),
        calls=(
            (
                "f",
                {
                    **{"n": 3, "x": 0.5, "yes": True, "no": False},
                    **{"nil": None, "o": {"a": [1]}, "l": [1, 2], "s": "7"},
                },
            ),
        ),
        tools=(
            tool(
                n={"type": "integer"},
                x={"type": "number"},
                yes={"type": "boolean"},
                no={"type": "boolean"},
                nil={"type": ["integer", "null"]},
                o={"type": "object"},
                l={"type": "array"},
                s={"type": "string"},
            ),
        ),
    ),
    "XML parameter missing": Case(xml_call("f"), calls=(("f", {}),), tools=(tool(n={"type": "integer"}),)),
    "XML parameter unknown": Case(
        xml_call("f", m="1"), calls=(("f", {"m": "1"}),), tools=(tool(n={"type": "integer"}),)
    ),
    "XML tool unknown": Case(
        xml_call("g", n="1"), calls=(("g", {"n": "1"}),), tools=(tool(n={"type": "integer"}),)
    ),
    "JSON values keep their own types": Case(
        call("f", n="3"), calls=(("f", {"n": "3"}),), tools=(tool(n={"type": "integer"}),)
    ),
    "tool without parameters": Case(
        xml_call("now", a="1"), calls=(("now", {"a": "1"}),), tools=({"name": "now"},)
    ),
    # More of JSON
    "null arguments": Case('<tool_call>{"name": "f", "arguments": null}</tool_call>', calls=(("f", {}),)),
    "arguments before the name": Case(
        '<tool_call>{"arguments": {"a": 1}, "name": "f"}</tool_call>', calls=(("f", {"a": 1}),)
    ),
    "an id beside the arguments": Case(
        '<tool_call>{"id": 7, "name": "f", "arguments": {}}</tool_call>', calls=(("f", {}),)
    ),
    "escapes": Case(
        r'<tool_call>{"name": "f", "arguments": {"s": "\u5317\t\ud83c\udf1f\\n\/"}}</tool_call>',
        calls=(("f", {"s": "北\t🌟\\n/"}),),
    ),
    "right to left": Case(
        call("بحث", نص="مرحبا\u200f «أهلا»"), calls=(("بحث", {"نص": "مرحبا\u200f «أهلا»"}),)
    ),
    "nested": Case(
        call("f", a=[{"b": [{"c": {"d": [[], {}]}}]}]),
        calls=(("f", {"a": [{"b": [{"c": {"d": [[], {}]}}]}]}),),
    ),
    "quotes and braces in a string": Case(call("f", s='}{"}]"\\'), calls=(("f", {"s": '}{"}]"\\'}),)),
    "XML in a JSON string": Case(call("f", s=READ), calls=(("f", {"s": READ}),)),
    "big whole number": Case(call("f", n=2**70), calls=(("f", {"n": 2**70}),)),
    "Windows newlines": Case(
        '<tool_call>\r\n{"name": "f",\r\n"arguments": {}}\r\n</tool_call>', calls=(("f", {}),)
    ),
    "spaces in the tags": Case('<tool_call>  {"name": "f"}  </tool_call>', calls=(("f", {}),)),
    "think tag in the answer to a thought": Case(
        "a</think>b <think>c</think>", "a", "b <think>c</think>", thinking=True
    ),
    "call after a second closing tag": Case(
        f"a</think>{SEARCH}</think>", "a", "</think>", (FOUND,), thinking=True
    ),
    "lone closing tag of a call is text": Case("a</tool_call>b", content="a</tool_call>b"),
    "carriage returns are the model's": Case("<think>\r\na\r\n</think>\r\n\r\nb", "\r\na\r", "\r\n\r\nb"),
    "thought of nothing but newlines": Case("<think>\n\n\n</think>\n\n\n"),
    "lone surrogate in the answer": Case("a\ud800b", content="a\ud800b"),
    # Several whole calls in one pair of tags
    **{
        f"several calls: {name}": Case(f"<tool_call>{body}</tool_call>", calls=(("f", {"a": 1}), ("g", {})))
        for name, body in {
            "one after the other": '{"name": "f", "arguments": {"a": 1}}{"name": "g"}',
            "on lines": '\n{"name": "f", "arguments": {"a": 1}}\n{"name": "g"}\n',
            "in a list": '[{"name": "f", "arguments": {"a": 1}}, {"name": "g"}]',
            "in a fence": '\n```json\n[{"name": "f", "arguments": {"a": 1}}, {"name": "g"}]\n```\n',
        }.items()
    },
    "one call in a fence": Case('<tool_call>\n```json\n{"name": "f"}\n```\n</tool_call>', calls=(("f", {}),)),
    # More damage: never guessed at, as a wrong guess would be run
    **{
        name: Case(f"<tool_call>{body}</tool_call>", invalid=(f"<tool_call>{body}</tool_call>",))
        for name, body in {
            "Python literals": "{'name': 'f', 'arguments': {'a': None, 'b': True}}",
            "trailing comma": '{"name": "f", "arguments": {"a": 1,}}',
            "doubled braces": '{{"name": "f", "arguments": {{}}}}',
            "comment": '{"name": "f", "arguments": {}} // look',
            "two objects, one without a name": '{"name": "f", "arguments": {}}{"arguments": {}}',
            "two objects and more": '{"name": "f"}{"name": "g"} and so on',
            "a list with something else": '[{"name": "f"}, 1]',
            "a list that does not end": '[{"name": "f"}',
            "other key for the arguments": '{"name": "f", "parameters": {"a": 1}}',
            "argument twice": '{"name": "f", "arguments": {"a": 1, "a": 2}}',
            "name is empty": '{"name": "", "arguments": {}}',
            "name is a number": '{"name": 1, "arguments": {}}',
            "arguments are a list": '{"name": "f", "arguments": [1]}',
            "not a number": '{"name": "f", "arguments": {"a": NaN}}',
            "too large a number": '{"name": "f", "arguments": {"a": 1e999}}',
            "half an escaped character": r'{"name": "f", "arguments": {"a": "\ud83c"}}',
            "bad escape": r'{"name": "f", "arguments": {"a": "\x41"}}',
            "raw brace text": "{",
        }.items()
    },
}
