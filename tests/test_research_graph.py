"""The `research` graph: plans and their approval, branches, further rounds and their bounds, fall-backs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.output_parsers import PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from qwen_agentkit import QwenEmbeddings, QwenReranker, QwenVectorStore
from qwen_agentkit.graphs import ResearchContext, build_research_graph, create_research_graph
from qwen_agentkit.text.languages import phrase
from tests.clock import Heartbeat
from tests.fakes.research import (
    ANSWER,
    ENOUGH,
    PAGES,
    PLAN,
    QUESTION,
    STRAIGHT,
    WORDS,
    ByScore,
    Played,
    Searched,
    fallbacks,
    planner,
    run,
    shared_words,
    shelf,
    stages,
)

THREAD = {"configurable": {"thread_id": "1"}}


def test_sub_questions_are_searched_for_side_by_side_and_answered_together() -> None:
    model, pages = planner(), shelf()
    state, events = run(create_research_graph(model, pages, reranker=WORDS), QUESTION)
    assert sorted(stages(events)) == sorted(STRAIGHT)
    assert model.tasks() == ["Plan", "Missing", "answer"]
    assert set(pages.queries) == set(PLAN["sub_questions"])
    assert state["plan"] == PLAN["sub_questions"]
    assert [finding["question"] for finding in state["findings"]] == state["plan"]
    assert state["answer"] == state["messages"][-1].text == ANSWER
    assert [citation["source"] for citation in state["citations"]] == ["library.md", "museum.md"]
    assert state["verification"]["supported"] == state["verification"]["claims"] == 2
    assert set(state["timings"]) == set(STRAIGHT)
    branch = next(event for event in events if event["stage"] == "research")
    assert branch["question"] in state["plan"]
    assert (branch["found"], branch["kept"]) == (3, 1)


def test_the_plan_is_thought_about_and_the_answer_knows_it() -> None:
    model = planner()
    run(create_research_graph(model, shelf(), reranker=WORDS), QUESTION)
    thought = {task: settings.get("thinking") for task, _, settings in model.asked}
    assert thought == {"Plan": True, "Missing": False, "answer": True}
    prompt = model.asked[-1][1][-1].text
    assert prompt.endswith("- When does the library open?\n- When does the museum open?")
    model = planner()
    run(create_research_graph(model, shelf(), reranker=WORDS), QUESTION, thinking=False)
    assert [settings["thinking"] for _, _, settings in model.asked] == [False, False, False]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"thinking_budget": 0}, {"thinking": False}),
        ({"thinking_budget": 100}, {"thinking": True, "thinking_budget": 100}),
        (
            {"node_budgets": {"generate": 30}, "thinking_budget": 100},
            {"thinking": True, "thinking_budget": 30},
        ),
    ],
)
def test_the_plan_keeps_the_budget(settings: dict[str, Any], wanted: dict[str, Any]) -> None:
    model = planner()
    run(create_research_graph(model, shelf(), reranker=WORDS), QUESTION, **settings)
    (given,) = (given for task, _, given in model.asked if task == "Plan")
    assert {key: given[key] for key in given if key.startswith("thinking")} == wanted


class Counted(Played):
    """Writes objects through calls of its own, whose usage the callbacks of the run see."""

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[Any, Any]:
        return self.bind(schema=schema.__name__) | PydanticOutputParser(pydantic_object=schema)

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if "schema" not in kwargs:
            return super()._generate(messages, stop, run_manager, **kwargs)
        line = self._next(kwargs["schema"], messages, {})
        message = line if isinstance(line, AIMessage) else AIMessage(json.dumps(line))
        return ChatResult(generations=[ChatGeneration(message=message)])


@pytest.mark.parametrize(("text", "found"), [(json.dumps(PLAN), PLAN["sub_questions"]), ("Hm.", None)])
def test_what_the_plan_thought_is_of_the_answers_budget(text: str, found: list[str] | None) -> None:
    usage = {"input_tokens": 1, "output_tokens": 40, "total_tokens": 41}
    plan = AIMessage(text, usage_metadata={**usage, "output_token_details": {"reasoning": 40}})
    model = Counted(lines=planner(Plan=[plan]).lines)
    state, events = run(create_research_graph(model, shelf(), reranker=WORDS), QUESTION, thinking_budget=100)
    assert state["plan"] == (found or [state["question"]])
    assert state["thought"] == 40
    assert fallbacks(events) == ([] if found else [("plan", "the question as it is")])


def test_low_effort_is_one_search_and_one_call() -> None:
    model, pages = planner(answer=["The library [1]."]), shelf()
    state, events = run(create_research_graph(model, pages, reranker=WORDS), QUESTION, effort="low")
    assert model.tasks() == ["answer"]
    assert model.asked[0][2] == {"thinking": False}
    assert pages.queries == state["plan"] == [QUESTION["messages"][0].text]
    assert stages(events) == [one for one in STRAIGHT if one != "research"][:2] + STRAIGHT[3:]


def test_an_effort_sets_defaults_and_a_setting_wins() -> None:
    assert ResearchContext(effort="high").attempts == 3
    assert ResearchContext(effort="high", attempts=0).attempts == 0
    assert ResearchContext(effort="low").thinking is False
    assert (ResearchContext().sub_questions, ResearchContext(effort="low").sub_questions) == (4, 1)


def test_a_passage_that_is_sure_for_every_part_needs_no_review_by_the_model() -> None:
    model = planner()
    sure = ByScore(of=lambda query, text: 0.9 if shared_words(query, text) > 0.3 else 0.0)
    state, events = run(create_research_graph(model, shelf(), reranker=sure), QUESTION)
    assert model.tasks() == ["Plan", "answer"]
    assert next(event for event in events if event["stage"] == "review")["by"] == "score"
    assert state["answer"] == ANSWER
    model = planner()
    run(create_research_graph(model, shelf(), reranker=sure), QUESTION, effort="high")
    assert model.tasks() == ["Plan", "Missing", "answer"], "at high effort it is always asked"


def test_what_is_missing_is_looked_for_in_a_further_round() -> None:
    more = {"sufficient": False, "questions": ["When does the harbour close?", PLAN["sub_questions"][0]]}
    model, pages = planner(Missing=[more, ENOUGH]), shelf()
    state, events = run(create_research_graph(model, pages, reranker=WORDS), QUESTION, attempts=2)
    assert state["further"] == ["When does the harbour close?"], "what was searched for is not again"
    assert stages(events).count("review") == 2
    assert len(pages.queries) == 3
    assert "harbour.md" in [one.metadata["source"] for one in state["documents"]]
    assert "harbour" not in model.asked[-1][1][-1].text.rpartition("Question:")[2], (
        "what comes out of passages is searched for, not told"
    )


@pytest.mark.parametrize(("attempts", "reviews"), [(0, 1), (1, 2), (3, 4), (5, 6)])
def test_rounds_are_bounded_by_the_settings(attempts: int, reviews: int) -> None:
    numbers: Iterator[int] = iter(range(100))

    def never_content(messages: Any) -> dict[str, Any]:
        return {"sufficient": False, "questions": [f"Is the library number {next(numbers)}?"]}

    model = planner(Missing=[never_content])
    state, events = run(create_research_graph(model, shelf()), QUESTION, attempts=attempts)
    assert stages(events).count("review") == reviews
    assert state["rounds"] == attempts
    assert not state["abstained"]


@pytest.mark.parametrize("limit", [*range(9, 20), 25])
def test_rounds_are_bounded_by_the_step_limit(limit: int) -> None:
    numbers = iter(range(100))
    model = planner(
        Missing=[lambda _: {"sufficient": False, "questions": [f"Is the library {next(numbers)}?"]}],
        answer=["The library opens at six [1]."],
        repair=["The library opens at nine [1]."],
    )
    graph = create_research_graph(model, shelf(), reranker=WORDS)
    state = graph.invoke(QUESTION, {"recursion_limit": limit}, context={"attempts": 5, "sure_score": 1})
    assert state["answer"] in ("The library opens at nine [1].", "The library opens at six [1]. [?]")


def test_sub_questions_that_find_nothing_give_way_to_the_question() -> None:
    model = planner(Plan=[{"sub_questions": ["Zzz?", "Yyy?"]}], answer=["At nine [1]."])
    state, events = run(create_research_graph(model, shelf(), reranker=WORDS), QUESTION, attempts=0)
    assert fallbacks(events) == [("review", "the question as it is")]
    assert state["further"] == [state["question"]]
    assert state["answer"] == "At nine [1]."


def test_when_nothing_is_found_the_question_is_put_in_other_words_and_then_given_up() -> None:
    model = Played(lines={"Plan": [{"sub_questions": ["Qqq?"]}], "rewrite": ["Rrr", "Sss"]})
    question = {"messages": [HumanMessage("谁赢了比赛？")]}
    state, events = run(create_research_graph(model, shelf()), question, attempts=2)
    assert state["abstained"]
    assert state["answer"] == state["messages"][-1].text == phrase("zh", "abstain")
    assert state["further"] == ["谁赢了比赛？", "Rrr"]
    assert stages(events)[-1] == "abstain"


def test_a_sub_question_without_a_relevant_passage_is_translated() -> None:
    reads_chinese = ByScore(of=lambda query, text: 0.9 if "窑" in query and "窑" in text else 0.0)
    model = Played(
        lines={
            "Plan": [{"sub_questions": ["How hot is the kiln?"]}],
            "translate": ["窑炉 最高多少度？"],
            "answer": ["It reaches 1230 degrees [1]."],
        }
    )
    page = Document("窑炉 最高温度为1230度。 kiln", metadata=PAGES[3].metadata)
    question = {"messages": [HumanMessage("How hot is the kiln?")]}
    pages = Searched(documents=[page])
    state, _ = run(create_research_graph(model, pages, reranker=reads_chinese), question)
    assert state["findings"][0]["queries"] == ["How hot is the kiln?", "窑炉 最高多少度？"]
    assert state["answer"] == "It reaches 1230 degrees [1]."


def test_evidence_is_bounded_and_every_part_has_its_share() -> None:
    pages = [
        Document(f"{about} fact {n}.", metadata={"source": f"{about}{n}.md"})
        for about in ("library", "museum")
        for n in range(9)
    ]
    model = planner(answer=["Fact [1]."])
    graph = create_research_graph(model, Searched(documents=pages), reranker=WORDS)
    state, events = run(graph, QUESTION, passages=9, evidence=4, min_score=0.1)
    assert [one.page_content.split()[0] for one in state["documents"]] == ["library", "museum"] * 2
    assert next(event for event in events if event["stage"] == "review")["left_out"] == 14


def test_without_a_model_the_question_is_searched_for_and_quoted() -> None:
    pages = shelf()
    question = {"messages": [HumanMessage("When does the library open?")]}
    state, events = run(create_research_graph(None, pages, reranker=WORDS), question, sentences=1)
    assert pages.queries == state["plan"] == ["When does the library open?"]
    assert state["answer"] == f"{phrase('en', 'from_documents')}\nThe library opens at nine. [1]"
    assert state["verification"]["supported"] == 1
    assert "repair" not in stages(events)


# --- a person and the plan


def waiting(model: Played, pages: Searched | None = None) -> Any:
    graph = create_research_graph(model, pages or shelf(), reranker=WORDS, checkpointer=InMemorySaver())
    state = graph.invoke(QUESTION, THREAD, context={"approve_plan": True})
    (asked,) = state["__interrupt__"]
    assert asked.value["plan"] == PLAN["sub_questions"]
    assert asked.value["question"] == QUESTION["messages"][0].text
    assert asked.value["answer"]["properties"]["type"]["enum"] == ["approve", "edit", "reject"]
    assert model.tasks() == ["Plan"]
    return graph


@pytest.mark.parametrize("answer", ["approve", {"type": "approve"}])
def test_an_approved_plan_is_carried_out(answer: Any) -> None:
    model = planner()
    graph = waiting(model)
    state, events = run(graph, Command(resume=answer), THREAD)
    assert state["answer"] == ANSWER
    assert model.tasks() == ["Plan", "Missing", "answer"], "the plan is not made again"
    assert next(event for event in events if event["stage"] == "approve")["decision"] == "approve"


def test_an_edited_plan_is_carried_out_instead() -> None:
    model, pages = planner(answer=["The harbour closes at noon [1]."]), shelf()
    graph = waiting(model, pages)
    edit = {"type": "edit", "plan": [" When does the harbour close? ", ""]}
    state = graph.invoke(Command(resume=edit), THREAD)
    assert pages.queries == state["plan"] == ["When does the harbour close?"]
    assert state["hard"] is False


def test_a_rejected_plan_ends_without_a_search() -> None:
    model, pages = planner(), shelf()
    graph = waiting(model, pages)
    state = graph.invoke(Command(resume={"type": "reject"}), THREAD)
    assert pages.queries == []
    assert (state["answer"], state["abstained"], state["plan"]) == ("", True, [])
    assert [message.type for message in state["messages"]] == ["human"]
    state = graph.invoke(QUESTION, THREAD)
    assert state["answer"] == ANSWER, "another question starts afresh"


@pytest.mark.parametrize("answer", ["perhaps", {"type": "edit"}, {"type": "edit", "plan": ["x"] * 11}, 7])
def test_a_word_that_cannot_be_understood_is_asked_for_again(answer: Any) -> None:
    graph = waiting(planner())
    state = graph.invoke(Command(resume=answer), THREAD)
    assert "validation error" in state["__interrupt__"][0].value["error"]
    assert graph.invoke(Command(resume="approve"), THREAD)["answer"] == ANSWER


def test_approval_works_in_async_and_with_events() -> None:
    async def both() -> Any:
        graph = create_research_graph(planner(), shelf(), reranker=WORDS, checkpointer=InMemorySaver())
        await graph.ainvoke(QUESTION, THREAD, context={"approve_plan": True})
        return await graph.ainvoke(Command(resume="approve"), THREAD)

    assert asyncio.run(both())["answer"] == ANSWER


# --- how it runs


def test_every_stream_mode_and_async_tell_the_same() -> None:
    modes = ["values", "updates", "custom", "messages"]
    graph = create_research_graph(planner(), shelf(), reranker=WORDS)
    events: list[Any] = list(graph.stream(QUESTION, stream_mode=modes))

    async def collect() -> list[Any]:
        graph = create_research_graph(planner(), shelf(), reranker=WORDS)
        return [event async for event in graph.astream(QUESTION, stream_mode=modes)]

    for found in (events, asyncio.run(collect())):
        assert [name for mode, event in found if mode == "updates" for name in event] == STRAIGHT
        nodes = {event[1]["langgraph_node"] for mode, event in found if mode == "messages"}
        assert nodes <= {"generate", "cite"}, "a plan is no part of the answer"
        assert found[-1][1]["answer"] == ANSWER


def test_branches_run_at_the_same_time_and_count_once() -> None:
    beat, both = Heartbeat(), threading.Barrier(2)

    class Slow(Searched):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            both.wait(30)  # breaks unless two searches run side by side
            beat.wait()
            return super()._get_relevant_documents(query, run_manager=run_manager)

    graph = create_research_graph(planner(), Slow(documents=PAGES), reranker=WORDS)
    beat.run(graph.ainvoke(QUESTION))
    assert beat.waits == 2, "a search failed: nothing ran beside it, or the loop was blocked"


def test_the_state_is_json_and_a_further_question_starts_afresh() -> None:
    graph = create_research_graph(planner(), shelf(), reranker=WORDS, checkpointer=InMemorySaver())
    state = graph.invoke(QUESTION, THREAD)
    assert json.loads(dumps(state))["plan"] == state["plan"]
    assert graph.get_state(THREAD).values["findings"][0]["question"] == PLAN["sub_questions"][0]
    first = state["timings"]
    state = graph.invoke({"messages": [HumanMessage("When does the museum open?")]}, THREAD)
    assert len(state["findings"]) == 2
    assert state["timings"].keys() == first.keys()
    assert len(state["messages"]) == 4


def test_the_builder_takes_more_nodes_and_settings_are_checked() -> None:
    graph = build_research_graph(None, shelf())
    graph.add_node("log", lambda state: {})
    assert "log" in graph.compile().get_graph().nodes
    with pytest.raises(ValueError, match="effort"):
        run(create_research_graph(None, shelf()), QUESTION, effort="ultra")


HANDBOOK = [
    Document("The library opens at nine o'clock.", metadata={"source": "en/library.md", "language": "en"}),
    Document("يغادر القارب في السابعة والنصف.", metadata={"source": "ar/boat.md", "language": "ar"}),
    Document("窑炉最高温度为1230度。", metadata={"source": "zh/kiln.md", "language": "zh"}),
]


@pytest.mark.parametrize(
    ("question", "language", "number"),
    [
        ("When does the library open?", "en", 0),
        ("متى يغادر القارب؟", "ar", 1),
        ("窑炉最高温度是多少？", "zh", 2),
    ],
)
def test_the_bundled_models_find_and_quote(tmp_path: Path, question: str, language: str, number: int) -> None:
    with QwenVectorStore(QwenEmbeddings(model="nano"), path=str(tmp_path / "store")) as store:
        store.add_documents(HANDBOOK)
        graph = create_research_graph(None, store, reranker=QwenReranker(model="nano"))
        state, _ = run(graph, {"messages": [HumanMessage(question)]}, sentences=1)
        quote = HANDBOOK[number].page_content
        assert state["answer"] == f"{phrase(language, 'from_documents')}\n{quote} [1]"
        planned = Played(
            lines={
                "Plan": [{"sub_questions": [question, HANDBOOK[0].page_content]}],
                "Missing": [ENOUGH],
                "answer": [lambda messages: f"{quote} [1]"],
            }
        )
        graph = create_research_graph(planned, store, reranker=QwenReranker(model="nano"))
        state, _ = run(graph, {"messages": [HumanMessage(question)]})
        assert state["language"] == language
        assert state["citations"][0]["quote"] == quote
        assert state["verification"]["supported"] == 1
