"""The nodes that `research` does not share: planning, searching side by side, judging what is missing.

Knows that a plan comes from the question or a person, and that what comes out of passages is searched for at
most.
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
from qwen_agentkit.graphs.shared.asking import filled_in, one_liners
from qwen_agentkit.graphs.shared.branches import NOT_OF_ONE_BRANCH, interleaved, refuse_if_all_failed
from qwen_agentkit.graphs.shared.models import Thought, thought_for, thought_so_far
from qwen_agentkit.graphs.shared.nodes import Stage, Update, numbered
from qwen_agentkit.graphs.shared.passages import as_data
from qwen_agentkit.graphs.shared.prompts import MISSING, OUTLINE, PLAN, REVIEWED
from qwen_agentkit.text.languages import detect_language, language_name

__all__ = ["Missing", "Plan", "ResearchNodes", "searches"]

_STEPS_OF_A_ROUND = 7
"""Steps from one review over a further round to the end of the graph, this review included."""


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
    """What `research` does otherwise than `corrective_rag`."""

    model: BaseChatModel | None
    shared: CorrectiveNodes

    def prepare(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Find the question, and forget the last one."""
        fresh = {"plan": [], "further": [], "findings": [], "rounds": 0}
        return {**self.shared.prepare(state, settings, stage), **fresh}

    def plan(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Split the question into sub-questions, thinking; without a model it is the only one."""
        question, most = state["question"], settings.sub_questions
        found: list[str] = []
        spent = state["thought"]
        if self.model is not None and most > 1:
            instruction = PLAN.format(most=most, language=language_name(detect_language(question)))
            thought = thought_for("generate", settings, spent, hard=True)  # of the answer's budget
            instead = "the question as it is"
            plan, taken = filled_in(
                Plan, self.model, instruction, as_data(question), stage, thought=thought, instead=instead
            )
            spent += taken
            found = one_liners(plan.sub_questions if plan else [], [])
        stage.details |= {"plan": found[:most] or [question], "left_out": found[most:]}
        return {**_planned(found[:most] or [question]), "thought": spent}

    def approve(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Wait for a person's word on the plan, and ask again while it cannot be understood."""
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
            return _planned(list(dict.fromkeys(one.strip() for one in decision.plan if one.strip())))
        return {}

    def research(self, state: CorrectiveState, settings: ResearchContext, stage: Stage) -> Update:
        """Search for one sub-question; when nothing is relevant, also in the documents' languages."""
        finding: Finding = {"question": state["question"], "queries": [], "documents": [], "error": ""}
        try:
            found = self._found(state, settings, stage)
            finding |= {"queries": found["queries"], "documents": found["documents"]}
        except NOT_OF_ONE_BRANCH:
            raise
        except Exception as error:
            stage.fall_back("the other searches", error)
            finding["error"] = f"{type(error).__name__}: {error}"
        stage.details |= {"question": finding["question"], "kept": len(finding["documents"])}
        return {"findings": [finding]}

    def review(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Gather the passages, and decide whether to look for more."""
        findings = state["findings"]
        refuse_if_all_failed([finding["error"] for finding in findings])
        gathered = interleaved([finding["documents"] for finding in findings])
        documents = gathered[: settings.evidence]
        searched = list(dict.fromkeys(query for finding in findings for query in finding["queries"]))
        looking: Any = {**state, "documents": documents, "queries": searched}
        further = self._further(looking, settings, stage)
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
            "thought": thought_so_far(state, stage),
        }

    def generate(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Write the answer from all that was found, or quote it."""
        return self.shared.generate(_outlined(state), settings, stage)

    def verify(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Hold the answer against its passages."""
        return self.shared.verify(state, settings, stage)

    def repair(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Ask once for a better answer."""
        return self.shared.repair(_outlined(state), settings, stage)

    def cite(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Treat what is unsupported as the settings say, and resolve the markers."""
        return self.shared.cite(state, settings, stage)

    def abstain(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> Update:
        """Say in the reader's language that the documents hold no answer."""
        return self.shared.abstain(state, settings, stage)

    def _found(self, state: CorrectiveState, settings: ResearchContext, stage: Stage) -> CorrectiveState:
        """The state after one search, and after a second one in other languages if the first was in vain."""
        found = self._searched(state, settings, stage)
        if found["documents"] or self.model is None or settings.attempts == 0:
            return found
        found = _with(found, self.shared.translate(found, settings, stage))
        return self._searched(found, settings, stage) if len(found["queries"]) > 1 else found

    def _searched(self, state: CorrectiveState, settings: ResearchContext, stage: Stage) -> CorrectiveState:
        found = _with(state, self.shared.retrieve(state, settings, stage))
        return _with(found, self.shared.rerank(found, settings, stage))

    def _further(self, state: ResearchState, settings: ResearchContext, stage: Stage) -> list[str]:
        """What to look for in a further round; [] if nothing is missing or may be looked for."""
        if state["remaining_steps"] < _STEPS_OF_A_ROUND:
            return []
        looked_for = [*state["plan"], *state["further"]]
        if not state["documents"] and state["question"] not in looked_for:
            stage.fall_back("the question as it is", "No sub-question found a passage.")
            return [state["question"]]
        if self.model is None or state["rounds"] >= settings.attempts:
            return []
        if not state["documents"]:
            rewritten = self.shared.rewrite(state, settings, stage)["queries"]
            return one_liners(rewritten, [*looked_for, *state["queries"]])
        if _all_answered(state, settings.sure_score):
            stage.details["by"] = "score"
            return []
        stage.details["by"] = "model"
        return self._missing(self.model, state, settings, stage)

    def _missing(
        self, model: BaseChatModel, state: ResearchState, settings: ResearchContext, stage: Stage
    ) -> list[str]:
        """What the model misses in the passages."""
        question, most = state["question"], settings.sub_questions
        searched = "\n".join(f"- {query}" for query in state["queries"])
        passages = numbered(state["documents"])
        request = REVIEWED.format(passages=passages, question=as_data(question), queries=as_data(searched))
        instruction = MISSING.format(most=most, language=language_name(detect_language(question)))
        instead = "the passages so far"
        thought = Thought(False, None)
        missing, _ = filled_in(Missing, model, instruction, request, stage, thought=thought, instead=instead)
        if missing is None or missing.sufficient:
            return []
        known = [*state["plan"], *state["further"], *state["queries"]]
        return one_liners(missing.questions, known)[:most]


def searches(state: ResearchState) -> list[Send]:
    """A branch for each sub-question that has no finding yet."""
    done = {finding["question"] for finding in state["findings"]}
    open_ones = [one for one in (*state["plan"], *state["further"]) if one not in done]
    return [Send("research", _branch(state, question)) for question in open_ones]


def _branch(state: ResearchState, question: str) -> dict[str, Any]:
    """What a branch needs to know: a search of its own, without the conversation."""
    fresh = {"queries": [question], "translations": {}, "tried": [], "retrieved": [], "documents": []}
    return {
        **fresh,
        "question": question,
        "language": state["language"],
        "width": state["width"],
        "thought": state["thought"],
        "timings": state["timings"],
    }


def _planned(plan: list[str]) -> Update:
    # An answer that combines several searches is worth thinking about.
    return {"plan": plan, "hard": len(plan) > 1}


def _outlined(state: ResearchState) -> ResearchState:
    """The state with a question that names the parts of its answer."""
    if len(state["plan"]) < 2:
        return state
    parts = "\n".join(f"- {part}" for part in state["plan"])
    question = OUTLINE.format(question=state["question"], parts=parts)
    return cast(ResearchState, {**state, "question": question})


def _all_answered(state: ResearchState, sure_score: float) -> bool:
    best = (
        max((float(d.metadata.get("relevance_score") or 0) for d in finding["documents"]), default=0.0)
        for finding in state["findings"]
    )
    return all(score >= sure_score for score in best)


def _with(state: CorrectiveState, update: Update) -> CorrectiveState:
    return cast(CorrectiveState, {**state, **update})
