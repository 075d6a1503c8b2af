"""Middleware for LangChain's `create_agent`. Each class has one purpose, and works in any agent.

Settings are arguments. A field of the same name in the run's context, as in `AgentContext`, has priority.
"""

from qwen_agentkit.errors import missing_extra

try:
    from qwen_agentkit.graphs.middleware.citations import CitationMiddleware
    from qwen_agentkit.graphs.middleware.history import HistoryMiddleware
    from qwen_agentkit.graphs.middleware.language import LanguageMiddleware
    from qwen_agentkit.graphs.middleware.model_fallback import ModelFallbackMiddleware
    from qwen_agentkit.graphs.middleware.passages import PassagesMiddleware
    from qwen_agentkit.graphs.middleware.question import QuestionMiddleware
    from qwen_agentkit.graphs.middleware.search_budget import SearchBudgetMiddleware
    from qwen_agentkit.graphs.middleware.stages import StagesMiddleware
    from qwen_agentkit.graphs.middleware.thinking_budget import ThinkingBudgetMiddleware
    from qwen_agentkit.graphs.middleware.tool_limits import ToolLimitsMiddleware
    from qwen_agentkit.graphs.middleware.turn_limit import TurnLimitMiddleware
except ModuleNotFoundError as error:
    raise missing_extra(error, "langchain", "agent") from error

__all__ = [
    "CitationMiddleware",
    "HistoryMiddleware",
    "LanguageMiddleware",
    "ModelFallbackMiddleware",
    "PassagesMiddleware",
    "QuestionMiddleware",
    "SearchBudgetMiddleware",
    "StagesMiddleware",
    "ThinkingBudgetMiddleware",
    "ToolLimitsMiddleware",
    "TurnLimitMiddleware",
]
