"""Follow-up questions: "And why?", "还有呢？", "ومتى؟", "When does it close?". Knows words alone."""

from __future__ import annotations

import re

__all__ = ["has_content_words", "stands_alone"]

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


# Words that may point at something said before, and those that join a question to it at its beginning. Where
# one of them means nothing of the kind, a question is rewritten needlessly.
_POINTING = {
    "en": """
it its itself this that these those they them their theirs he she him his her hers there here then such
same one ones else more another other others former latter above previous again too also both either
neither instead""",
    "de": """
er sie es ihn ihm ihr ihre ihren ihrem ihrer seine seinen seiner sein dessen deren dies diese dieser
dieses diesen diesem jene jener jenes dort da dann davon dazu damit darüber dafür daran darin solche
gleiche selbe noch sonst auch andere anderen stattdessen""",
    "fr": """
il elle ils elles ce cela ça ceci cet cette ces y en lui leur leurs son sa ses là ici même autre autres
encore aussi celui celle ceux celles alors plus""",
    "nl": "hij zij ze dit dat deze die daar hier ervan ook nog dezelfde hun hen haar zijn anders dan",
    "sv": "han hon den det de dem denna detta dessa deras dess där här också samma andra annan då",
    "da": "han hun den det de dem denne dette disse deres dens der her også samme andre anden så",
    "no": "han hun den det de dem denne dette disse deres dens der her også samme andre annen da",
    "es": """
él ella ello ellos ellas eso esto ese esa esos esas este esta estos estas aquel aquello allí ahí su sus
otro otra otros otras también entonces mismo misma lo le les""",
    "it": "esso essa lui lei loro questo questa quello quella ciò lì là qui ne ci suo sua stesso altro anche",
    "pt": "ele ela eles elas isso isto aquilo esse essa este esta lá ali aqui seu sua mesmo outro também",
    "ru": """
он она оно они его её ее их ему ей им нем ней них этот эта это эти того тот та то те там тут здесь такой
же ещё еще тоже также другой другие тогда""",
    "ar": "هو هي هم هن هذا هذه ذلك تلك هؤلاء هناك هنا أيضا أيضًا",
    "fa": "او آن این آنها ایشان آنجا اینجا همان همین نیز هم",
    "hi": "वह यह ये वे उस इस उसका उसकी उसके इसका इसकी इसके उनका उनकी इनका वहाँ यहाँ वहां यहां भी वही यही",
}
_JOINING = """
and or but so und oder aber et ou mais y e o pero ma of maar och og men и а но или و या और
"""
_POINTING_WORDS = {language: frozenset(words.split()) for language, words in _POINTING.items()}
_JOINING_WORDS = frozenset(_JOINING.split())
_UNSPACED_POINTING = """
它 他 她 这 這 那 其 该 該 此 同样 同樣 还 還 也 呢 另外 又 それ これ あれ そこ ここ あそこ その この あの 彼
同じ も では じゃあ
"""
_POINTING_SIGNS = re.compile("|".join(_UNSPACED_POINTING.split()))
_ATTACHED = re.compile(r"\w{2,}(?:ه|ها|هم|هما|هن)\b")  # Arabic pronouns at the end of a word

# Languages that do not leave a known subject out. In others a short question may lack what it is about.
_NAMES_SUBJECTS = ("en", "de", "fr", "nl", "sv", "da", "no")
_FEW, _MANY, _MANY_SIGNS = 2, 5, 10
_SIGN = re.compile(r"[^\W\d_]")


def stands_alone(question: str, language: str) -> bool:
    """Whether a question can be understood without what was said before it.

    It has words that say something, and none that points back. In languages that leave out a known subject,
    it is long, too. When in doubt, as in a language of which this knows no words, it does not stand alone.

    Args:
        question: A question in any language.
        language: Its language, as an ISO 639-1 code.
    """
    language = language.split("-")[0]
    if language in ("zh", "ja"):
        said = _UNSPACED.sub(" ", question)
        return not _POINTING_SIGNS.search(question) and len(_SIGN.findall(said)) >= _MANY_SIGNS
    words = _WORD.findall(question.casefold())
    pointing = _POINTING_WORDS.get(language)
    if not words or pointing is None or words[0] in _JOINING_WORDS or not pointing.isdisjoint(words):
        return False
    if _ATTACHED.search(question):
        return False
    content = [word for word in words if word not in _STOP_WORD_SET]
    return len(content) >= (_FEW if language in _NAMES_SUBJECTS else _MANY)
