"""The tour of `qwen-agentkit demo`: a handbook in three languages, and questions about it."""

from __future__ import annotations

from typing import Any

from langchain_core.tools import tool

from qwen_agentkit.cli import commands, show
from qwen_agentkit.cli.terminal import console, isolate_lines
from qwen_agentkit.stack import Stack
from qwen_agentkit.text.languages import language_name

__all__ = ["run_demo", "show_demo"]

_SHOWN = 4
_CANDIDATES = 20

_KINDS = {
    "same_language": "asked and answered in {language}",
    "cross_language": "asked in {language}, answered only by a document in another language",
    "unanswerable": "asked in {language}, answered by no document",
}


@tool
def search_handbook(query: str) -> str:
    """Search the handbook of Harbour House."""
    return query


def run_demo(stack: Stack, *, thinking: bool | None) -> dict[str, Any]:
    """Return the ingest report and the result of every question, for `--json`."""
    report = commands.ingest(stack, [commands.handbook_folder()])
    answers = [
        commands.ask(stack, question["question"], thinking=thinking)
        for question in commands.load_demo_questions()
    ]
    return {"ingest": report.to_dict(), "answers": answers, "store": str(stack.folder)}


def show_demo(stack: Stack, *, thinking: bool | None) -> None:
    """Print every question with both orders of its passages, the thinking, the answer and its sources."""
    out = console()
    for number, question in enumerate(commands.load_demo_questions(), 1):
        kind = _KINDS[question["kind"]].format(language=language_name(question["language"]))
        out.rule(f"{number}. {kind}", align="left", style="cyan")
        out.print(isolate_lines(question["question"]), style="bold cyan")
        found = commands.search(stack, question["question"], candidates=_CANDIDATES, limit=_CANDIDATES)
        show.print_ranking(found, _SHOWN)
        stream = show.AnswerStream()
        stream.close(commands.ask(stack, question["question"], thinking=thinking, on_event=stream))
    _show_tool_call(stack)
    first = commands.load_demo_questions()[0]
    out.rule("Next", align="left", style="cyan")
    out.print(f'qwen-agentkit ask "{first["question"]}" --preset {stack.preset} --store {stack.folder}')
    out.print(f"qwen-agentkit ingest YOUR_DOCUMENTS --preset {stack.preset}")


def _show_tool_call(stack: Stack) -> None:
    out = console()
    request = "Search the handbook for the lighthouse ticket."
    out.rule("The chat model with a tool", align="left", style="cyan")
    out.print(request, style="bold cyan")
    message = stack.chat.bind_tools([search_handbook]).invoke(request, thinking=False, max_tokens=120)
    calls = getattr(message, "tool_calls", [])
    for call in calls:
        out.print(f"calls {call['name']}({call['args']})")
    if not calls:
        out.print(f"made no call and answered: {message.text!r}")
