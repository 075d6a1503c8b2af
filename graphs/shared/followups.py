"""Follow-up questions without content words: "And why?", "还有呢？", "ومتى؟". Knows stop words only."""

from __future__ import annotations

import re

__all__ = ["has_content_words"]

# Stop words of many languages together. A stop word of one language may be a content word of another: then
# the question before is read needlessly, which does no harm.
_STOP_WORDS = """
and or but so then also what which who whom whose when where why how much many about is are was
were do does did the a an it its that this these those they them he she his her there here else
more same again one ones of in on at to for with can could would should will be been has have
had me i you we please tell ok okay yes no really not any some und oder aber dann auch welche
welcher welches wer wem wen wann wo warum wieso wie viel viele ist sind war waren der die das
ein eine es er sie ihn ihm ihr dort hier noch mehr davon dazu damit darüber et ou mais alors
aussi quoi quel quelle quels quelles qui quand où pourquoi comment combien est sont le la les un
une il elle ils elles ce cela ça ceci y en encore plus de du des o pero entonces también qué que
cuál cuáles quién cuándo dónde por porqué cómo cuánto cuánta son el los las una lo ella ellos
eso esto ese aquí allí más del и или но тогда также а что какой какая какое какие кто когда где
куда почему зачем как сколько это этот эта эти тот та те он она оно они его её их там тут здесь
ещё еще больше же ли о об و أو لكن ثم أيضا أيضًا ما ماذا وماذا ولماذا لماذا متى ومتى أين وأين من
كيف وكيف كم وكم هل وهل هو هي هم هذا هذه ذلك تلك هناك هنا عن عنه عنها ذا لم और या लेकिन फिर भी
क्या कौन कब कहाँ क्यों कैसे कितना कितने कितनी है हैं था थे यह वह ये वे उस इस उसका इसका में का की
के को से पर
"""
# Stop words of scripts without spaces, longer ones first, so that no part of a word is left.
_UNSPACED_STOP_WORDS = """
เมื่อไหร่ เท่าไหร่ เมื่อไร อย่างไร ที่ไหน เท่าไร ยังไง 什么时候 どうして ทำไม
อะไร แล้ว นั้น ครับ 为什么 為什麼 怎么样 怎麼樣 いくら じゃあ そして ですか ใคร กี่ ล่ะ มัน
นี้ และ ค่ะ 什么 什麼 怎么 怎麼 多少 哪里 哪裡 哪个 哪個 何时 何時 还有 還有 那么 那麼 这个 這個 那个 那個
它们 他们 なぜ いつ どこ だれ なに どう それ これ あれ そこ ここ では また です คะ
谁 誰 那 这 這 它 他 她 呢 吗
嗎 的 了 是 和 几 幾 点 點 何 は が を に で の か も と
"""
_STOP_WORD_SET = frozenset(_STOP_WORDS.split())
_UNSPACED = re.compile("|".join(_UNSPACED_STOP_WORDS.split()))
_WORD = re.compile(r"[^\W_][\w\u0300-\u036f\u0900-\u0963\u0e31-\u0e4e]*")


def has_content_words(question: str) -> bool:
    """Whether a question has a word other than question words, pronouns and the like."""
    words = _WORD.findall(_UNSPACED.sub(" ", question.casefold()))
    return any(word not in _STOP_WORD_SET for word in words)
