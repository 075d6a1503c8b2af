"""Chat templates that behave as those of each family do, written for the tests from what the families do.

They share nothing with the real ones but their behavior: how a prompt ends, which switches are read, which
thoughts of earlier turns are shown, how tools and calls are written, and what is refused.
"""

from __future__ import annotations

_CHAT = r"""
{%- set seen = namespace(question=-1) -%}
{%- for m in messages -%}
    {%- if m.role == 'user' and not m.content.startswith('<tool_response>') -%}
        {%- set seen.question = loop.index0 -%}
    {%- endif -%}
{%- endfor -%}
CHECK
{%- set said = messages[0].content if messages[0].role == 'system' else '' -%}
EFFORT
{%- if tools or said -%}{{- '<|im_start|>system\n' -}}TOOLS{{- '<|im_end|>\n' -}}{%- endif -%}
{%- for m in messages -%}
    {%- set text = m.content -%}
    {%- if m.role == 'user' or (m.role == 'system' and not loop.first) -%}
        ORDER
        {{- '<|im_start|>' ~ m.role ~ '\n' ~ text ~ '<|im_end|>\n' -}}
    {%- elif m.role == 'assistant' -%}
        {%- set thought = '' -%}
        READ
        {{- '<|im_start|>assistant\n' -}}
        {%- if SHOWN -%}{{- '<think>\n' ~ thought ~ '\n</think>\n\n' -}}{%- endif -%}
        {{- text -}}
        {%- for call in m.tool_calls or [] -%}CALL{%- endfor -%}
        {{- '<|im_end|>\n' -}}
    {%- elif m.role == 'tool' -%}
        {{- '<|im_start|>user' if loop.first or loop.previtem.role != 'tool' else '' -}}
        {{- '\n<tool_response>\n' ~ text ~ '\n</tool_response>' -}}
        {{- '<|im_end|>\n' if loop.last or loop.nextitem.role != 'tool' else '' -}}
    {%- endif -%}
{%- endfor -%}
{{- '<|im_start|>assistant\n' -}}
TAIL"""

# Hermes puts the user's own text before the tools; the XML dialect puts it after them.
_JSON = {
    "TOOLS": r"""{{- said -}}{%- if tools -%}{{- ('\n\n' if said else '') ~ '# Tools\n' ~ (tools | tojson) -}}
    {%- endif -%}""",
    "CALL": r"""{{- '\n' if text or not loop.first else '' -}}
    {{- '<tool_call>\n{"name": "' ~ call.function.name ~ '", "arguments": ' -}}
    {{- (call.function.arguments | tojson) ~ '}\n</tool_call>' -}}""",
}
_XML = {
    "TOOLS": r"""{%- if tools -%}
    {{- '# Tools\n' ~ (tools | tojson) ~ '\nWrite <function=name>.' ~ ('\n\n' if said else '') -}}
    {%- endif -%}{{- said -}}""",
    "CALL": r"""{{- '\n' if not loop.first else '\n\n' if text else '' -}}
    {{- '<tool_call>\n<function=' ~ call.function.name ~ '>\n' -}}
    {%- for name, value in call.function.arguments | items -%}
        {%- set value = value if value is string else value | tojson -%}
        {{- '<parameter=' ~ name ~ '>\n' ~ value ~ '\n</parameter>\n' -}}
    {%- endfor -%}
    {{- '</function>\n</tool_call>' -}}""",
}

_FIELD = r"{%- set thought = m.reasoning_content if m.reasoning_content is string else '' -%}"
_INLINE = r"""{%- if '</think>' in text -%}
    {%- set thought = text.split('</think>')[0].split('<think>')[-1].strip('\n') -%}
    {%- set text = text.split('</think>')[-1].lstrip('\n') -%}
{%- endif -%}"""
_BOTH = _FIELD + "{%- if m.reasoning_content is not string -%}" + _INLINE + "{%- endif -%}"

_IN_LOOP = "loop.index0 > seen.question"
_OPENED = r"{{- '<think>\n' -}}"
_EMPTY = r"{{- '<think>\n\n</think>\n\n' -}}"
_OFF = "enable_thinking is defined and enable_thinking is false"
_ON = "enable_thinking is defined and enable_thinking is true"
_STRICT = {
    "CHECK": "{%- if seen.question < 0 -%}{{- raise_exception('No user query.') -}}{%- endif -%}",
    "ORDER": "{%- if m.role == 'system' -%}{{- raise_exception('System comes first.') -}}{%- endif -%}",
}
_NO_SWITCH = {"CHECK": "", "EFFORT": "", "ORDER": "", "READ": "", "SHOWN": "false", "TAIL": ""}
_EFFORT = r"""
{%- if not (enable_thinking is defined and enable_thinking is false) -%}
    {%- set level = reasoning_effort | default('xhigh') -%}
    {%- if level not in ('low', 'medium', 'xhigh') -%}{{- raise_exception('No such effort.') -}}{%- endif -%}
    {%- set hint = {'low': 'Think briefly.', 'medium': '', 'xhigh': 'Think hard.'}[level] -%}
    {%- set said = hint ~ ('\n\n' if hint and said else '') ~ said -%}
{%- endif -%}"""


def _template(*parts: dict[str, str]) -> str:
    source = _CHAT
    for name, text in {**_NO_SWITCH, **{name: text for part in parts for name, text in part.items()}}.items():
        source = source.replace(name, text)
    return source


_HYBRID_TAIL = f"{{%- if {_OFF} -%}}{_EMPTY}{{%- endif -%}}"
_LATER = {
    **_STRICT,
    "READ": _BOTH,
    "SHOWN": _IN_LOOP,
    "TAIL": f"{{%- if {_OFF} -%}}{_EMPTY}{{%- else -%}}{_OPENED}{{%- endif -%}}",
}
_3_6 = {"SHOWN": f"(preserve_thinking is defined and preserve_thinking) or {_IN_LOOP}"}
_3_8 = {
    "READ": _FIELD,
    "SHOWN": f"preserve_thinking is not defined or preserve_thinking or {_IN_LOOP}",
    "EFFORT": _EFFORT,
}

QWEN2_5 = INSTRUCT_2507 = _template(_JSON)
QWEN3 = _template(_JSON, {"READ": _BOTH, "SHOWN": f"{_IN_LOOP} and thought", "TAIL": _HYBRID_TAIL})
THINKING_2507 = _template(_JSON, {"READ": _BOTH, "SHOWN": _IN_LOOP, "TAIL": _OPENED})
CODER = _template(_XML)
QWEN3_5 = _template(_XML, _LATER)
QWEN3_5_SMALL = _template(
    _XML, _LATER, {"TAIL": f"{{%- if {_ON} -%}}{_OPENED}{{%- else -%}}{_EMPTY}{{%- endif -%}}"}
)
QWEN3_6 = _template(_XML, _LATER, _3_6)
QWEN3_8 = _template(_XML, _LATER, _3_8)
# No family of today: thoughts are looked for in the content alone.
INLINE = _template(_JSON, {"READ": _INLINE, "SHOWN": f"{_IN_LOOP} and thought", "TAIL": _HYBRID_TAIL})
