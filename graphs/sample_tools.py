"""Two sample tools: a calculator and a clock. Knows arithmetic and time zones. Runs no code."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from langchain_core.tools import tool

from qwen_agentkit.errors import InputError

__all__ = ["calculate", "calculator", "clock"]

Number = int | float

_MAX_EXPRESSION = 500
"""Characters."""
_MAX_VALUE = 10**100
"""Bound of every intermediate value: without it 9**9**9 would take all memory."""

_BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda base, exponent: _raise_to_power(base, exponent),
}
_UNARY: dict[type[ast.unaryop], Callable[[Number], Number]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "abs": abs, "ceil": math.ceil, "floor": math.floor, "max": max, "min": min, "round": round,
    "sqrt": math.sqrt, "log": math.log, "exp": math.exp, "sin": math.sin, "cos": math.cos, "tan": math.tan,
}  # fmt: skip
_CONSTANTS = {"pi": math.pi, "e": math.e}


def calculate(expression: str) -> Number:
    """Compute an arithmetic expression.

    Args:
        expression: Numbers, ``+ - * / // % **``, brackets, pi, e, and functions such as ``sqrt(2)``.

    Raises:
        InputError: The expression is no arithmetic or too long, or a value is undefined or above 1e100.
    """
    if len(expression) > _MAX_EXPRESSION:
        raise InputError(
            f"The expression has {len(expression)} characters; expected at most {_MAX_EXPRESSION}. Split it."
        )
    try:
        return _evaluate(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ArithmeticError, TypeError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{expression!r} has no value ({reason}); expected arithmetic such as 2 * (3 + 4)."
        ) from error


def _evaluate(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _check_bound(number)
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            return _check_bound(_BINARY[type(op)](_evaluate(left), _evaluate(right)))
        case ast.UnaryOp(op, operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_evaluate(operand))
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _check_bound(_FUNCTIONS[name](*map(_evaluate, arguments)))
    raise InputError(
        f"{ast.unparse(node)!r} is no arithmetic; expected numbers, + - * / // % **, brackets, "
        f"{', '.join([*_CONSTANTS, *_FUNCTIONS])}."
    )


def _raise_to_power(base: Number, exponent: Number) -> Number:
    # Checked by logarithms: Python would compute the power in full first.
    if base and abs(exponent) * abs(math.log10(abs(base))) > math.log10(_MAX_VALUE):
        raise InputError(f"{base} ** {exponent} is too large; expected values up to 1e100.")
    power = base**exponent
    if isinstance(power, complex):
        raise InputError(f"{base} ** {exponent} is no real number; expected a root of a positive number.")
    return float(power) if isinstance(power, float) else int(power)


def _check_bound(number: Number) -> Number:
    if not abs(number) <= _MAX_VALUE:  # nan compares false
        raise InputError("A value is too large; expected values up to 1e100.")
    return number


@tool
def calculator(expression: str) -> str:
    """Calculate. Use it for every computation beyond counting.

    Args:
        expression: arithmetic such as "17.5 * (3 + 4) ** 2", "sqrt(2)" or "round(10 / 3, 2)".
    """
    return str(calculate(expression))


@tool
def clock(time_zone: str = "UTC") -> str:
    """Tell the date, the day of the week and the time now.

    Args:
        time_zone: an IANA name such as "Africa/Cairo" or "Asia/Shanghai".
    """
    try:
        now = datetime.now(ZoneInfo(time_zone.strip()))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f"{time_zone!r} is no known time zone; expected an IANA name such as Africa/Cairo."
        ) from error
    return now.strftime("%Y-%m-%d %H:%M:%S %z") + f" ({time_zone.strip()}), {_DAYS[now.weekday()]}"


# strftime writes the days in the machine's locale.
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
