"""The tour of `qwen-agentkit demo`: a handbook in three languages, and questions about it."""

from __future__ import annotations

from collections.abc import Sequence
from random import SystemRandom
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import BaseTool, tool
from typing_extensions import TypedDict

from qwen_agentkit.cli import commands, show
from qwen_agentkit.cli.terminal import console, isolate_lines, label_line
from qwen_agentkit.stack import Stack
from qwen_agentkit.text.languages import language_name

__all__ = ["draw_questions", "judge_answer", "run_demo", "score_questions", "show_demo"]

_SHOWN = 4
_CANDIDATES = 20
_DRAWN = {"same_language": 5, "cross_language": 1, "unanswerable": 1}
_TOOL_REQUEST = "Search the handbook for the price of a 3D print."

Question = dict[str, Any]

_KINDS = {
    "same_language": "asked and answered in {language}",
    "cross_language": "asked in {language}, answered only by a document in another language",
    "unanswerable": "asked in {language}, answered by no document",
}


class Score(TypedDict):
    """How the questions of the demo came out, all of them."""

    questions: int
    right: int
    wrong: int
    abstained_wrongly: int


def run_demo(stack: Stack, *, thinking: bool | None) -> dict[str, Any]:
    """Return the ingest report, the results of the drawn questions, and the score, for `--json`."""
    report = commands.ingest(stack, [commands.handbook_folder()])
    answers = [
        commands.ask(stack, question["question"], thinking=thinking)
        for question in draw_questions(commands.load_demo_questions())
    ]
    score = score_questions(stack)
    return {"ingest": report.to_dict(), "answers": answers, "score": score, "store": str(stack.folder)}


def draw_questions(questions: Sequence[Question]) -> list[Question]:
    """Draw some questions at random: of each kind, as many as `_DRAWN` says."""
    random = SystemRandom()
    return [
        question
        for kind, count in _DRAWN.items()
        for question in random.sample([one for one in questions if one["kind"] == kind], count)
    ]


def score_questions(stack: Stack) -> Score:
    """Answer all questions of the demo without thinking, and count how they come out."""
    questions = commands.load_demo_questions()
    outcomes = [
        judge_answer(question, commands.ask(stack, question["question"], thinking=False))
        for question in questions
    ]
    return {
        "questions": len(questions),
        "right": outcomes.count("right"),
        "wrong": outcomes.count("wrong"),
        "abstained_wrongly": outcomes.count("abstained"),
    }


def judge_answer(question: Question, result: commands.AskResult) -> str:
    """Return "right", "wrong" or "abstained", which is wrong too: the documents hold an answer."""
    expected = question["expected_phrase"]
    if expected is None:
        return "right" if result["abstained"] else "wrong"
    if result["abstained"]:
        return "abstained"
    return "right" if expected in result["answer"] else "wrong"


def show_demo(stack: Stack, *, thinking: bool | None) -> None:
    """Print drawn questions with both orders of their passages, the thinking, the answer and its sources."""
    out = console()
    questions = draw_questions(commands.load_demo_questions())
    for number, question in enumerate(questions, 1):
        kind = _KINDS[question["kind"]].format(language=language_name(question["language"]))
        out.rule(f"{number}. {kind}", align="left", style="cyan")
        out.print(isolate_lines(question["question"]), style="bold cyan")
        found = commands.search(stack, question["question"], candidates=_CANDIDATES, limit=_CANDIDATES)
        show.print_ranking(found, _SHOWN)
        stream = show.AnswerStream()
        result = commands.ask(stack, question["question"], thinking=thinking, on_event=stream)
        stream.close(result)
        if judge_answer(question, result) != "right":
            _show_miss(question)
    _show_tool_call(stack)
    out.rule("How it came out", align="left", style="cyan")
    score = score_questions(stack)
    out.print(
        f"Of all {score['questions']} questions about the handbook, from which these were drawn: "
        f"{score['right']} right, {score['wrong']} wrong, {score['abstained_wrongly']} not answered although "
        "the handbook does."
    )
    out.rule("Next", align="left", style="cyan")
    asked = questions[0]["question"]
    out.print(f'qwen-agentkit ask "{asked}" --preset {stack.preset} --store {stack.folder}')
    out.print(f"qwen-agentkit ingest YOUR_DOCUMENTS --preset {stack.preset}")


def _show_miss(question: Question) -> None:
    """Say what the right answer would have been."""
    expected, source = question["expected_phrase"], question["expected_source"]
    if expected is None:
        console().print("This is wrong: the handbook does not say.", style="yellow")
    else:
        console().print(label_line(f"This is wrong: {source} says ", str(expected), style="yellow"))


def _show_tool_call(stack: Stack) -> None:
    """Let the chat model call a tool, run the tool, and let the model answer from its result."""
    out = console()
    out.rule("The chat model with a tool", align="left", style="cyan")
    out.print(_TOOL_REQUEST, style="bold cyan")
    search = _make_search_tool(stack)
    model = stack.chat.bind_tools([search])
    messages: list[BaseMessage] = [HumanMessage(_TOOL_REQUEST)]
    message = model.invoke(messages, thinking=False, max_tokens=120)
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    for call in calls:
        out.print(f"calls {call['name']}({call['args']})")
        result = search.invoke(call)
        out.print(label_line("  returns: ", str(result.text)), style="dim")
        messages += [message, result]
    if not calls:
        out.print(f"made no call and answered: {message.text!r}")
        return
    answer = model.invoke(messages, thinking=False, max_tokens=120)
    out.print(label_line("answers: ", str(answer.text)))


def _make_search_tool(stack: Stack) -> BaseTool:
    @tool
    def search_handbook(query: str) -> str:
        """Search the handbook of Harbour House."""
        found = commands.ask(stack, query, thinking=False, settings={"sentences": 1})
        return found["citations"][0]["quote"] if found["citations"] else found["answer"]

    return search_handbook
