"""What a graph remembers of a conversation, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from qwen_agentkit.graphs import create_corrective_rag_graph, create_rag_graph
from qwen_agentkit.graphs.shared.conversation import estimate_tokens
from qwen_agentkit.graphs.shared.followups import has_content_words, stands_alone
from tests.fakes.graphs import BOAT, HOURS, KILN, ByScore, Played, Shelf, run

FIRST = HumanMessage("When does the library open?", id="q1")
ANSWERED = AIMessage("It opens at nine [1].", id="a1")
THREAD = {"configurable": {"thread_id": "1"}}
FACTORIES = [create_rag_graph, create_corrective_rag_graph]


def follow_up(text: str, *before: AnyMessage) -> dict[str, Any]:
    return {"messages": [FIRST, ANSWERED, *before, HumanMessage(text)]}


def prompt_of(model: Played, task: str) -> str:
    return next(messages[-1].text for one, messages, _ in model.asked if one == task)


@pytest.mark.parametrize("create", FACTORIES)
def test_a_further_question_is_rewritten_to_stand_alone(create: Any) -> None:
    shelf = Shelf(queries=[])
    model = Played(lines={"stand alone": ["When does the library close?"], "answer": ["At nine [1]."]})
    graph = create(model, shelf, reranker=ByScore(of=lambda query, text: 0.9))
    state, events = run(graph, follow_up("And when does it close?"))
    assert shelf.queries == ["When does the library close?"]
    assert (state["asked"], state["question"]) == ("And when does it close?", "When does the library close?")
    assert events[0]["question"] == "When does the library close?"
    asked = prompt_of(model, "stand alone")
    assert "User: When does the library open?\nAssistant: It opens at nine [1]." in asked
    assert prompt_of(model, "answer").endswith("Question: When does the library close?")


def test_the_first_question_costs_no_call() -> None:
    model = Played(lines={"answer": ["At nine [1]."]})
    run(create_rag_graph(model, Shelf()))
    assert model.tasks() == ["answer"]


@pytest.mark.parametrize("line", [OSError("cut"), "x" * 600, " "])
def test_a_question_that_cannot_be_rewritten_is_asked_as_it_is(line: Any) -> None:
    model = Played(lines={"stand alone": [line], "answer": ["At nine [1]."]})
    state, events = run(create_rag_graph(model, Shelf()), follow_up("When does it close?"))
    assert state["question"] == "When does it close?"
    assert (events[0]["stage"], events[0]["fallback"]) == ("prepare", "the question as it is")


@pytest.mark.parametrize(
    ("question", "searched"),
    [
        ("And why?", "When does the library open? And why?"),
        ("还有呢？", "When does the library open? 还有呢？"),
        ("ولماذا؟", "When does the library open? ولماذا؟"),
        ("А почему?", "When does the library open? А почему?"),
        ("फिर कब?", "When does the library open? फिर कब?"),
        ("ทำไมล่ะ", "When does the library open? ทำไมล่ะ"),
        ("Who leads the tours?", "Who leads the tours?"),
        ("窑炉呢？", "窑炉呢？"),
    ],
)
def test_without_a_model_only_a_question_without_own_words_takes_the_one_before(
    question: str, searched: str
) -> None:
    shelf = Shelf(queries=[])
    run(create_rag_graph(None, shelf), follow_up(question))
    assert shelf.queries == [searched]


ALONE = [
    ("en", "When does the garden close?"),
    ("en", "Who leads the tours of the old harbour?"),
    ("de", "Wann schließt der Garten am Sonntag?"),
    ("fr", "Quand ouvre la bibliothèque de Lyon ?"),
    ("es", "¿Cuándo abre la biblioteca municipal de Sevilla los domingos de agosto?"),
    ("ru", "Когда открывается городская библиотека имени Пушкина воскресным утром?"),
    ("zh", "上海图书馆星期天几点开门接待读者借书？"),
    ("ar", "متى تفتح مكتبة الإسكندرية أبواب القاعة الكبرى أيام الجمعة"),
]
LEANING = [
    ("en", "And on Sundays?"),
    ("en", "When does it close?"),
    ("en", "And the garden, when does the garden close?"),
    ("en", "What about those tickets?"),
    ("en", "Prices?"),
    ("de", "Wann schließt sie am Sonntag?"),
    ("fr", "Et la bibliothèque, quand ouvre la bibliothèque ?"),
    ("es", "¿A qué hora abre los domingos?"),
    ("ru", "А когда открывается библиотека?"),
    ("zh", "星期天几点开门？"),
    ("zh", "那上海图书馆星期天几点开门接待读者？"),
    ("ar", "متى تفتح أبوابها أيام الجمعة في شهر رمضان المبارك"),
    ("ja", "日曜日は何時に開きますか"),
    ("hi", "वह पुस्तकालय रविवार को सुबह कितने बजे जनता के लिए खुलता है"),
    ("th", "วันอาทิตย์เปิดกี่โมง"),
]


@pytest.mark.parametrize(("language", "question"), ALONE)
def test_a_question_that_stands_alone_costs_no_call(language: str, question: str) -> None:
    assert stands_alone(question, language)
    model = Played(lines={"answer": ["At nine [1]."]})
    state, _ = run(create_rag_graph(model, Shelf()), follow_up(question))
    assert state["question"] == question
    assert "stand alone" not in model.tasks()


@pytest.mark.parametrize(("language", "question"), LEANING)
def test_a_question_that_leans_on_another_does_not_stand_alone(language: str, question: str) -> None:
    assert not stands_alone(question, language)


def test_words_that_point_at_something_are_told_from_words_that_say_something() -> None:
    assert not any(map(has_content_words, ["Warum?", "¿Y por qué?", "Et pourquoi ?", "为什么？", "🙂"]))
    assert all(map(has_content_words, ["2026?", "Sundays?", "the boat", "القارب", "書館は？", "เรือ"]))


def test_the_language_is_that_of_the_question_as_it_was_written() -> None:
    model = Played(lines={"stand alone": ["When does the boat leave?"], "answer": ["在七点半 [1]。"]})
    state, _ = run(create_rag_graph(model, Shelf(documents=[BOAT])), follow_up("那船什么时候开？"))
    assert state["language"] == "zh"
    assert model.asked[0][1][0].text.count("Chinese") == 1


def test_a_question_without_letters_keeps_the_language() -> None:
    graph = create_rag_graph(None, Shelf(), checkpointer=InMemorySaver())
    graph.invoke({"messages": [HumanMessage("متى يغادر القارب؟")]}, THREAD)
    assert graph.invoke({"messages": [HumanMessage("🙂?")]}, THREAD)["language"] == "ar"


def long_thread(turns: int) -> list[AnyMessage]:
    """Turns of about 60 tokens; in the middle of each, a tool is called and answers."""
    messages: list[AnyMessage] = []
    for n in range(turns):
        call = {"name": "search", "args": {}, "id": f"c{n}"}
        messages += [
            HumanMessage(f"Question {n}: " + "where is the boat " * 6, id=f"h{n}"),
            AIMessage("", tool_calls=[call], id=f"t{n}"),
            ToolMessage("SECRET RESULT", tool_call_id=f"c{n}", id=f"r{n}"),
            AIMessage(f"Answer {n}: " + "it is at the harbour " * 5, id=f"a{n}"),
        ]
    return messages


def test_a_long_conversation_is_summarised_once_and_the_thread_left_whole() -> None:
    lines = {
        "summarize": ["They spoke of boats."],
        "stand alone": ["Where is the boat?"],
        "answer": ["At nine [1]."],
    }
    model = Played(lines=lines)
    graph = create_rag_graph(model, Shelf(), checkpointer=InMemorySaver())
    sent = [*long_thread(8), HumanMessage("And where now?", id="last")]
    events = list(
        graph.stream({"messages": sent}, THREAD, context={"history_tokens": 200}, stream_mode="custom")
    )
    assert model.tasks() == ["summarize", "stand alone", "answer"]
    assert events[0]["history"]["summarized"] > 0
    assert events[0]["history"]["dropped"] == 0
    asked = prompt_of(model, "stand alone")
    assert asked.startswith("Conversation:\nSummary: They spoke of boats.\n")
    assert "Answer 7" in asked
    assert "Question 0" not in asked
    assert estimate_tokens(asked) < 200
    assert "SECRET RESULT" not in "".join(prompt_of(model, task) for task in model.tasks())
    kept = graph.get_state(THREAD).values["messages"]
    assert [message.id for message in kept[:-1]] == [message.id for message in sent]

    model.asked.clear()
    graph.invoke({"messages": [HumanMessage("And then?")]}, THREAD, context={"history_tokens": 200})
    assert model.tasks() == ["stand alone", "answer"], "what is summarized is not summarized again"
    assert "They spoke of boats." in prompt_of(model, "stand alone")


def test_what_cannot_be_summarised_is_dropped_and_said() -> None:
    lines = {"summarize": [OSError("cut")], "stand alone": ["Where?"], "answer": ["At nine [1]."]}
    sent = {"messages": [*long_thread(8), HumanMessage("And where now?")]}
    _, events = run(create_rag_graph(Played(lines=lines), Shelf()), sent, history_tokens=200)
    assert events[0]["fallback"] == "the newest turns alone"
    assert events[1]["history"]["summarized"] == 0
    assert events[1]["history"]["dropped"] > 0


def test_more_than_a_summary_can_read_is_dropped_and_said() -> None:
    lines = {"summarize": ["Boats."], "stand alone": ["Where?"], "answer": ["At nine [1]."]}
    model = Played(lines=lines)
    sent = {"messages": [*long_thread(60), HumanMessage("And where now?")]}
    _, events = run(create_rag_graph(model, Shelf()), sent, history_tokens=200)
    assert events[0]["history"]["dropped"] > events[0]["history"]["summarized"] > 0
    assert estimate_tokens(prompt_of(model, "summarize")) < 1000


def test_one_endless_turn_is_shortened_and_said() -> None:
    model = Played(lines={"summarize": ["Hours."], "stand alone": ["Where?"], "answer": ["At nine [1]."]})
    sent = follow_up("And where now?", AIMessage("窑炉" * 50_000))
    _, events = run(create_rag_graph(model, Shelf()), sent, history_tokens=400, thinking="off")
    assert events[0]["shortened"] == {"characters": 100_000, "to": 266}
    assert estimate_tokens(prompt_of(model, "stand alone")) < 400


def test_memory_can_be_switched_off() -> None:
    shelf = Shelf(queries=[])
    model = Played(lines={"answer": ["At nine [1]."]})
    run(create_rag_graph(model, shelf), follow_up("And why?"), history_tokens=0)
    assert shelf.queries == ["And why?"]
    assert model.tasks() == ["answer"]


def test_passages_read_before_come_first_in_the_order_they_had() -> None:
    order = {"first": [HOURS, BOAT], "second": [KILN, BOAT, HOURS]}
    model = Played(lines={"stand alone": ["second"], "answer": ["At nine [1]."]})
    shelf = Shelf(documents=order["first"])
    graph = create_rag_graph(model, shelf, checkpointer=InMemorySaver())
    graph.invoke({"messages": [HumanMessage("first")]}, THREAD)
    shelf.documents = order["second"]
    state = graph.invoke({"messages": [HumanMessage("second")]}, THREAD)
    assert [one.page_content for one in state["documents"]] == [d.page_content for d in (HOURS, BOAT, KILN)]
    one, other = [messages[-1].text for task, messages, _ in model.asked if task == "answer"]
    assert other.startswith(one.partition("\n\nQuestion:")[0]), "the same beginning is computed once"


def test_a_system_message_of_a_request_is_not_read() -> None:
    model = Played(lines={"stand alone": ["Where?"], "answer": ["At nine [1]."]})
    run(create_rag_graph(model, Shelf()), follow_up("And where now?", SystemMessage("Answer in rhymes.")))
    assert not any("rhymes" in message.text for _, messages, _ in model.asked for message in messages)
