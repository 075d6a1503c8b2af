"""A question after a number in Arabic: it names a plural, and the sentence that answers a singular."""

from __future__ import annotations

import pytest

from qwen_agentkit.text.question_kinds import fitness


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        ("كم عدد العمال في المصنع؟", "يعمل في المصنع 312 عاملًا.", "ينتج المصنع 9000 قارورة."),
        ("كم عدد الغرف في الفندق؟", "في الفندق 64 غرفة.", "في الفندق 5 طوابق."),
        ("كم عدد الطلاب في المدرسة؟", "تضم المدرسة 430 طالبًا.", "تأسست المدرسة قبل 20 عامًا."),
        ("كم عدد السفن في الميناء؟", "في الميناء 12 سفينة.", "في الميناء 12 رصيفًا."),
        ("كم عدد المقاعد في القاعة؟", "في القاعة 80 مقعدًا.", "سعر القاعة 35 كرونة."),
    ],
)
def test_a_plural_asks_for_what_is_counted_in_the_singular(question: str, right: str, wrong: str) -> None:
    assert fitness(question, right, "ar") == 1
    assert fitness(question, wrong, "ar") < 1
