"""The nodes of `research`: those of `corrective_rag`, and planning, parallel searches, and a review.

Knows that a plan comes from the question or a person. Questions that passages suggest are only searched for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langgraph.types import Send, interrupt
from pydantic import BaseModel, Field, ValidationError

from qwen_agentkit.graphs.corrective_rag.nodes import CorrectiveNodes
from qwen_agentkit.graphs.corrective_rag.state import CorrectiveState
from qwen_agentkit.graphs.research.state import Finding, PlanDecision, ResearchContext, ResearchState
from qwen_agentkit.graphs.shared.models import NO_THOUGHT, ask_object, plan_thought
from qwen_agentkit.graphs.shared.parallel import RAISED_BY_BRANCHES, check_not_all_failed
from qwen_agentkit.graphs.shared.passages import escape_markup, format_passages
from qwen_agentkit.graphs.shared.prompts import MISSING, OUTLINE, PLAN, REVIEWED
from qwen_agentkit.graphs.shared.retrieval import interleave_rankings, relevance_score
from qwen_agentkit.graphs.shared.runtime import Stage, Update
from qwen_agentkit.text.languages import detect_language, language_name

__all__ = ["Missing", "Plan", "ResearchNodes", "send_sub_questions"]

_MAX_QUESTION = 300
"""Characters. A longer text is no sub-question: the model rambles, or copies a passage."""
_STEPS_OF_A_ROUND = 7
"""Steps from a review over a further round to the end of the graph, this review included."""


class Plan(BaseModel):
    """The sub-questions that together answer a question."""

    sub_questions: list[str] = Field(
        description="Each for a search of its own; one is enough for a simple one"
    )


class Missing(BaseModel):
    """Whether the passages answer the question, and what to look for if not."""

    sufficient: bool = Field(description="Whether the passages hold all that the answer needs")
    questions: list[str] = Field(description="Further questions to search for; empty if sufficient")


@dataclass(frozen=True)
class ResearchNodes:
    """The nodes of `research`, over those of `corrective_rag`."""

    corrective: CorrectiveNodes

    @property
    def model(self) -> BaseChatModel | None:
        """The chat model."""
        return self.corrective.model

    def prepare(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Find the question and its language, and clear the last answer and its findings."""
        fresh = {"plan": [], "further": [], "findings": [], "rounds": 0}
        return {**self.corrective.prepare(state, settings, stage), **fresh}

    def plan(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Split the question into sub-questions, thinking; without a model it is the only one."""
        question, most = state["question"], settings.sub_questions
        found: list[str] = []
        if self.model is not None and most > 1:
            instruction = PLAN.format(
                most=most, language=language_name(detect_language(question, among=[state["language"]]))
            )
            # The thought is part of the budget of the answer.
            thought = plan_thought("generate", settings, state["thought"], hard=True)
            request, instead = escape_markup(question), "the question as it is"
            plan = ask_object(Plan, self.model, thought, instruction, request, stage, instead)
            found = _searchable(plan.sub_questions if plan else [], known=[])
        stage.details |= {"plan": found[:most] or [question], "left_out": found[most:]}
        return {**_set_plan(found[:most] or [question]), "thought": stage.total_thought(state)}

    def approve(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Wait for a person's decision about the plan; ask again until it is valid."""
        request: dict[str, Any] = {
            "question": state["question"],
            "plan": state["plan"],
            "answer": PlanDecision.model_json_schema(),
        }
        while True:
            answer = interrupt(request)
            try:
                decision = PlanDecision.model_validate(
                    {"type": answer} if isinstance(answer, str) else answer
                )
                break
            except ValidationError as error:
                request = {**request, "error": str(error)}
        stage.details["decision"] = decision.type
        if decision.type == "reject":
            return {"plan": [], "abstained": True}
        if decision.type == "edit":
            return _set_plan(list(dict.fromkeys(one.strip() for one in decision.plan if one.strip())))
        return {}

    def research(self, state: CorrectiveState, settings: ResearchContext, stage: Stage) -> Update:
        """Search for one sub-question; if nothing is relevant, also in the documents' languages."""
        finding: Finding = {"question": state["question"], "queries": [], "documents": [], "error": ""}
        try:
            found = self._search_twice(state, settings, stage)
            finding |= {"queries": found["queries"], "documents": found["documents"]}
        except RAISED_BY_BRANCHES:
            raise
        except Exception as error:
            stage.announce_fallback("the other searches", error)
            finding["error"] = f"{type(error).__name__}: {error}"
        stage.details |= {"question": finding["question"], "kept": len(finding["documents"])}
        return {"findings": [finding]}

    def review(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Gather the passages, and decide what else to search for."""
        findings = state["findings"]
        check_not_all_failed([finding["error"] for finding in findings])
        gathered = interleave_rankings([finding["documents"] for finding in findings])
        documents = gathered[: settings.evidence]
        searched = list(dict.fromkeys(query for finding in findings for query in finding["queries"]))
        reviewed = cast(ResearchState, {**state, "documents": documents, "queries": searched})
        further = self._choose_further(reviewed, settings, stage)
        stage.details |= {
            "kept": len(documents),
            "left_out": len(gathered) - len(documents),
            "further": further,
        }
        return {
            "retrieved": gathered,
            "documents": documents,
            "queries": searched,
            "further": [*state["further"], *further],
            "rounds": state["rounds"] + bool(further),
            "thought": stage.total_thought(state),
        }

    def generate(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Write the answer from all that was found, or quote it."""
        return self.corrective.generate(_with_outline(state), settings, stage)

    def verify(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Check the answer against its passages, and decide whether it needs repair."""
        return self.corrective.verify(state, settings, stage)

    def repair(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Ask once for a better answer, and take it if it has fewer faults."""
        return self.corrective.repair(_with_outline(state), settings, stage)

    def cite(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Treat unsupported sentences as the settings say, and resolve the markers."""
        return self.corrective.cite(state, settings, stage)

    def abstain(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Say in the reader's language that the documents hold no answer."""
        return self.corrective.abstain(state, settings, stage)

    def _search_twice(
        self, state: CorrectiveState, settings: ResearchContext, stage: Stage
    ) -> CorrectiveState:
        """The state after a search, and if it found nothing, after a second one in other languages."""
        found = self._search(state, settings, stage)
        if found["documents"] or self.model is None or settings.attempts == 0:
            return found
        found = _merge(found, self.corrective.translate(found, settings, stage))
        return self._search(found, settings, stage) if len(found["queries"]) > 1 else found

    def _search(self, state: CorrectiveState, settings: ResearchContext, stage: Stage) -> CorrectiveState:
        found = _merge(state, self.corrective.retrieve(state, settings, stage))
        return _merge(found, self.corrective.rerank(found, settings, stage))

    def _choose_further(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> list[str]:
        """Sub-questions of a further round; [] if nothing is missing or no round is left."""
        if state["remaining_steps"] < _STEPS_OF_A_ROUND:
            return []
        searched = [*state["plan"], *state["further"]]
        if not state["documents"] and state["question"] not in searched:
            stage.announce_fallback("the question as it is", "No sub-question found a passage.")
            return [state["question"]]
        if self.model is None or state["rounds"] >= settings.attempts:
            return []
        if not state["documents"]:
            queries = self.corrective.rewrite(state, settings, stage)["queries"]
            return _searchable(queries, known=[*searched, *state["queries"]])
        if _all_answered(state, settings.sure_score):
            stage.details["by"] = "score"
            return []
        stage.details["by"] = "model"
        return _ask_missing(self.model, state, settings, stage)


def _ask_missing(
    model: BaseChatModel, state: ResearchState, settings: ResearchContext, stage: Stage
) -> list[str]:
    """The questions that the passages leave open, in the model's view."""
    question, most = state["question"], settings.sub_questions
    request = REVIEWED.format(
        passages=format_passages(state["documents"]),
        question=escape_markup(question),
        queries=escape_markup("\n".join(f"- {query}" for query in state["queries"])),
    )
    instruction = MISSING.format(
        most=most, language=language_name(detect_language(question, among=[state["language"]]))
    )
    instead = "the passages so far"
    missing = ask_object(Missing, model, NO_THOUGHT, instruction, request, stage, instead)
    if missing is None or missing.sufficient:
        return []
    known = [*state["plan"], *state["further"], *state["queries"]]
    return _searchable(missing.questions, known)[:most]


def _searchable(texts: list[str], known: list[str]) -> list[str]:
    """The texts as search queries: each on one line, none too long, none twice, none of `known`."""
    lines = [" ".join(text.split()) for text in texts]
    fit = [line for line in lines if line and len(line) <= _MAX_QUESTION and line not in known]
    return list(dict.fromkeys(fit))


def send_sub_questions(state: ResearchState) -> list[Send]:
    """Start a branch for each sub-question that has no finding yet."""
    done = {finding["question"] for finding in state["findings"]}
    waiting = [one for one in (*state["plan"], *state["further"]) if one not in done]
    return [Send("research", _branch_state(state, question)) for question in waiting]


def _branch_state(state: ResearchState, question: str) -> dict[str, Any]:
    """The state of a branch: one search, without the conversation."""
    fresh = {"queries": [question], "translations": {}, "tried": [], "retrieved": [], "documents": []}
    return {
        **fresh,
        "question": question,
        "language": state["language"],
        "width": state["width"],
        "thought": state["thought"],
        "timings": state["timings"],
    }


def _set_plan(plan: list[str]) -> Update:
    # An answer that combines several searches is worth thinking about.
    return {"plan": plan, "hard": len(plan) > 1}


def _with_outline(state: ResearchState) -> ResearchState:
    """The state with a question that names the parts of its answer."""
    if len(state["plan"]) < 2:
        return state
    parts = "\n".join(f"- {part}" for part in state["plan"])
    question = OUTLINE.format(question=state["question"], parts=parts)
    return cast(ResearchState, {**state, "question": question})


def _all_answered(state: ResearchState, sure_score: float) -> bool:
    """Whether each sub-question has a passage that is sure to answer it."""
    best = (
        max((relevance_score(document) or 0.0 for document in finding["documents"]), default=0.0)
        for finding in state["findings"]
    )
    return all(score >= sure_score for score in best)


def _merge(state: CorrectiveState, update: Update) -> CorrectiveState:
    return cast(CorrectiveState, {**state, **update})
