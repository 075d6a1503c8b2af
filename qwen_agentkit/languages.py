"""Which language a text is written in, and the few phrases each language needs.

Knows scripts, tell-tale letters and, for Latin script, py3langid's bundled model. Works on three
words as well as on a page, and never touches the network. Does not translate.

Languages are ISO 639-1 codes; clearly traditional Chinese is ``"zh-hant"``.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from functools import lru_cache
from importlib import resources
from itertools import groupby
from typing import Any, cast

__all__ = ["detect_language", "is_rtl", "language_name", "phrase"]

_READ = 4000
"""Characters looked at: more of the same text changes no answer."""

# First code point of each block, and the script it holds ("" for blocks that tell nothing).
_BLOCKS = (
    (0x0000, ""), (0x0041, "latin"), (0x005B, ""), (0x0061, "latin"), (0x007B, ""), (0x00C0, "latin"),
    (0x00D7, ""), (0x00D8, "latin"), (0x02B0, ""), (0x0370, "greek"), (0x0400, "cyrillic"),
    (0x0530, "armenian"), (0x0590, "hebrew"), (0x0600, ""), (0x0620, "arabic"), (0x0640, ""),
    (0x0641, "arabic"), (0x064B, ""), (0x066E, "arabic"), (0x06D4, ""), (0x06D5, "arabic"), (0x06D6, ""),
    (0x06EE, "arabic"), (0x06F0, ""), (0x06FA, "arabic"), (0x0700, ""), (0x0750, "arabic"), (0x0780, ""),
    (0x0900, "devanagari"), (0x0980, "bengali"), (0x0A00, "gurmukhi"), (0x0A80, "gujarati"),
    (0x0B00, "oriya"), (0x0B80, "tamil"), (0x0C00, "telugu"), (0x0C80, "kannada"), (0x0D00, "malayalam"),
    (0x0D80, "sinhala"), (0x0E00, "thai"), (0x0E80, "lao"), (0x0F00, "tibetan"), (0x1000, "myanmar"),
    (0x10A0, "georgian"), (0x1100, "hangul"), (0x1200, "ethiopic"), (0x13A0, ""), (0x1780, "khmer"),
    (0x1800, "mongolian"), (0x18B0, ""), (0x1E00, "latin"), (0x1F00, "greek"), (0x2000, ""),
    (0x3041, "kana"), (0x30FB, ""), (0x30FC, "kana"), (0x3100, ""), (0x3131, "hangul"), (0x318F, ""),
    (0x3400, "han"), (0x4DC0, ""), (0x4E00, "han"), (0xA000, ""), (0xAC00, "hangul"), (0xD7B0, ""),
    (0xF900, "han"), (0xFB00, "latin"), (0xFB13, ""), (0xFB50, "arabic"), (0xFDFE, ""), (0xFE70, "arabic"),
    (0xFEFF, ""), (0xFF21, "latin"), (0xFF3B, ""), (0xFF41, "latin"), (0xFF5B, ""), (0xFF66, "kana"),
    (0xFFA0, "hangul"), (0xFFE0, ""), (0x20000, "han"), (0x32000, ""),
)  # fmt: skip
_STARTS = [start for start, _ in _BLOCKS]

# Scripts that one language (nearly) owns.
_OWNER = {
    "hangul": "ko", "thai": "th", "lao": "lo", "khmer": "km", "myanmar": "my", "greek": "el",
    "armenian": "hy", "georgian": "ka", "hebrew": "he", "ethiopic": "am", "tibetan": "bo",
    "mongolian": "mn", "bengali": "bn", "gurmukhi": "pa", "gujarati": "gu", "oriya": "or",
    "tamil": "ta", "telugu": "te", "kannada": "kn", "malayalam": "ml", "sinhala": "si",
}  # fmt: skip

# Scripts that write sentences without spaces between words.
_UNSEGMENTED = frozenset({"han", "kana", "thai", "lao", "khmer", "myanmar", "tibetan"})

# Characters that exist in one of the two Chinese writings only; shared ones are dropped below.
_SIMPLIFIED = (
    "这个们来时说为国会学对过后发经动种现进没从还间问无开长见东马车书电话语让请认识谁该谢难应当实样点业"
    "几气关门两头买卖红绿钱银铁错线级给统续维编网义习乡买乱亚产亲仅价众优体儿党兰兴养军农写决况净减务"
    "华单压厅历县参双变叶号听员响图团圆场坏块声处备复够妇妈宝专将导岁币师帮并广库异张录总战户扩护报担"
    "拥择换据损机权条极构标树欢汉汇沟济测湾满灭灯灵热爱状独环确础礼离税稳简类红组细终结绝练罗职联肃脑"
    "药营虑虽补装规视觉计订讨训议记许论设证评词试详误读课调谈败质购费资赶车轮软轻输边达运远连迟适选邮"
    "释钟针钢键长闭闻队阳际险随页项顺须预领频题额风飞饭馆验驻鱼鸟龙"
)
_TRADITIONAL = (
    "這個們來時說為國會學對過後發經動種現進沒從還間問無開長見東馬車書電話語讓請認識誰該謝難應當實樣點業"
    "幾氣關門兩頭買賣紅綠錢銀鐵錯線級給統續維編網義習鄉買亂亞產親僅價眾優體兒黨蘭興養軍農寫決況淨減務"
    "華單壓廳歷縣參雙變葉號聽員響圖團圓場壞塊聲處備復夠婦媽寶專將導歲幣師幫並廣庫異張錄總戰戶擴護報擔"
    "擁擇換據損機權條極構標樹歡漢匯溝濟測灣滿滅燈靈熱愛狀獨環確礎禮離稅穩簡類紅組細終結絕練羅職聯肅腦"
    "藥營慮雖補裝規視覺計訂討訓議記許論設證評詞試詳誤讀課調談敗質購費資趕車輪軟輕輸邊達運遠連遲適選郵"
    "釋鐘針鋼鍵長閉聞隊陽際險隨頁項順須預領頻題額風飛飯館驗駐魚鳥龍"
)
_ONLY_SIMPLIFIED = frozenset(_SIMPLIFIED) - frozenset(_TRADITIONAL)
_ONLY_TRADITIONAL = frozenset(_TRADITIONAL) - frozenset(_SIMPLIFIED)

# Letters that tell the languages of one script apart: the first language with a hit wins.
_LETTERS = {
    "arabic": (("ps", "ټډړږښڼۍ"), ("ur", "ٹڈڑںےۓہھ"), ("fa", "پچژگکی")),
    "cyrillic": (
        ("be", "ў"), ("uk", "їєґ"), ("kk", "ұәғқң"), ("mk", "ѓќѕ"), ("sr", "ђљњћџј"), ("ru", "ыэё"),
        ("uk", "і"),
    ),
}  # fmt: skip

# Short words that nearly every sentence of a language holds.
_WORDS = {
    "arabic": {
        "ar": "ما ماذا هل كيف متى أين من في على إلى هو هي التي الذي كم لماذا أي عن هذا هذه مع أن لا",
        "fa": "است این اين که در از با چیست چیه آیا کدام چگونه چرا چند برای را های به و می",
        "ur": "کیا ہے ہیں میں سے کا کی کے کو نے پر اور کون کہاں کیسے",
    },
    "devanagari": {
        "hi": "है हैं का की के में से को क्या और कैसे कब कहाँ कौन यह पर",
        "mr": "आहे आहेत काय आणि कसे कधी कुठे मध्ये हे ही तो कोण",
        "ne": "छ छन् हो के र मा को कसरी कहिले कहाँ हुन्छ गर्न",
    },
    "cyrillic": {
        "ru": "и в не на с что как кто где когда какой какая какие сколько для по это из был ли почему чем",
        "uk": "і в не на з що як хто де коли який яка які скільки для по це був чи чому та від у",
        "bg": "и в не на с какво как кой къде кога колко за по това от беше ли защо се да са е",
    },
    "latin": {
        "en": (
            "the of and to in is are was what how can i do does did where when which who why on with "
            "for it a my"
        ),
        "de": (
            "der die das und in ist sind war was wie kann ich wo wann welche wer warum auf mit für "
            "nicht ein eine"
        ),
        "fr": (
            "le la les des et est sont quel quelle comment puis je où quand qui pourquoi sur avec pour "
            "un une que du il elle se si a ce dans par au aux plus n qu mi"
        ),
        "es": (
            "el la los las y es son qué cómo puedo dónde cuándo cuál quién por con para un una que del "
            "en se si no a su lo ser más como mi"
        ),
        "pt": (
            "o os as e é são que como posso onde quando qual quem por com para uma do da em não no na "
            "um se a de foi mais di es"
        ),
        "it": (
            "il lo gli le e è sono che come posso dove quando quale chi perché con per una un del della "
            "di in non si la se su o i mi"
        ),
        "nl": (
            "de het een en is zijn wat hoe kan ik waar wanneer welke wie waarom op met voor niet van "
            "was die dat"
        ),
        "id": (
            "yang dan di ke dari apa bagaimana saya kapan mana siapa mengapa dengan untuk adalah ini "
            "itu tidak apakah"
        ),
        "tr": "ve bir bu ne nasıl nedir nerede zaman hangi kim neden ile için mi mı mu mü değil",
        "vi": "và là của các có không gì như thế nào ở đâu khi ai tại sao cho với được trong bao nhiêu",
        "ro": ("și este sunt ce cum pot unde când care cine de cu pentru o un nu din la a se mai al prin în"),
        "pl": "i w jest są co jak mogę gdzie kiedy który która kto dlaczego na z dla nie się do to",
        "sv": "och är var vad hur kan jag när vilken vem varför på med för inte en ett som av det",
    },
}


def _distinct(languages: dict[str, str]) -> dict[str, frozenset[str]]:
    """Keep of each language the words that no other language of the script has."""
    counts = Counter(word for words in languages.values() for word in set(words.split()))
    return {code: frozenset(w for w in words.split() if counts[w] == 1) for code, words in languages.items()}


_KNOWN = {script: _distinct(languages) for script, languages in _WORDS.items()}

# py3langid's languages to choose from when words decide nothing. Rare ones (Latin, Maltese, Galician, ...)
# would win short questions by chance. A script without an entry falls back to its first language in _WORDS.
_CANDIDATES = {
    "latin": (
        "en", "de", "fr", "es", "pt", "it", "nl", "pl", "cs", "sk", "sl", "hr", "ro", "hu", "fi", "et", "lv",
        "lt", "sv", "da", "no", "is", "tr", "vi", "id", "ca", "sq", "sw", "tl", "af",
    ),
    "cyrillic": ("ru", "uk", "bg"),
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_][\w\u0300-\u036f\u0900-\u097f]*")
_CHINESE_TITLE = re.compile("《[^》]*》")
# A word is tried from its beginning only: a text that is one long word must not take for ever.
_CODE = re.compile(r"(?:(?<![\w-])[\w-]+)?[._/:@\\=<>(){}#]+[!-~]*")

_RTL = frozenset({"ar", "fa", "ur", "ps", "he", "yi", "sd", "ug", "dv", "ckb"})


def detect_language(text: str, default: str = "en") -> str:
    """Name the language of a text from three words up.

    Script decides first, then letters and short words that only one language has, then (Latin and
    Cyrillic script) py3langid, whose first call in a process takes about 0.7 s to load its model.

    Args:
        text: Any text; the first 4,000 characters are read.
        default: What to say of a text without letters.

    Returns:
        An ISO 639-1 code, or ``"zh-hant"`` for clearly traditional Chinese.
    """
    text = text[:_READ]
    # File names, addresses and code inside a question say nothing about the language it is asked in.
    scripts = _scripts(_CODE.sub(" ", text)) or _scripts(text)
    if not scripts:
        return default
    script = max(scripts, key=lambda name: scripts[name])
    if script in ("han", "kana"):
        return _han_language(text, scripts)
    if script in _OWNER:
        return _OWNER[script]
    return _by_letters(text, script) or _by_words(text, script) or _by_model(text, script)


@lru_cache(maxsize=1 << 14)  # a page is a few thousand characters of some hundred kinds
def _script(char: str) -> str:
    return _BLOCKS[bisect_right(_STARTS, ord(char)) - 1][1]


def _scripts(text: str) -> Counter[str]:
    """Weigh the scripts of a text by words; where words are not separated, two characters are one."""
    counts: Counter[str] = Counter()
    for script, run in groupby(text, _script):
        if script:
            words = max(1, len(list(run)) // 2) if script in _UNSEGMENTED else 1
            # Technical text in any language is full of English terms, seldom the other way round.
            counts[script] += words if script == "latin" else 2 * words
    return counts


def _han_language(text: str, scripts: Counter[str]) -> str:
    # A Chinese text may quote a Japanese title, but no Japanese sentence does without particles in kana.
    kana = _scripts(_CHINESE_TITLE.sub("", text))["kana"]
    if kana * 10 > scripts["han"]:
        return "ja"
    simplified = sum(char in _ONLY_SIMPLIFIED for char in text)
    traditional = sum(char in _ONLY_TRADITIONAL for char in text)
    return "zh-hant" if traditional > 2 * simplified else "zh"


def _by_letters(text: str, script: str) -> str | None:
    present = set(text.lower())
    for code, letters in _LETTERS.get(script, ()):
        if not present.isdisjoint(letters):
            return code
    return None


def _by_words(text: str, script: str) -> str | None:
    words = _WORD.findall(text.lower())
    votes = sorted(
        (sum(word in known for word in words), code) for code, known in _KNOWN.get(script, {}).items()
    )
    if len(votes) < 2 or votes[-1][0] < 2 * votes[-2][0] or votes[-1][0] < 2:
        return None
    return votes[-1][1]


def _by_model(text: str, script: str) -> str:
    if script not in _CANDIDATES:
        return next(iter(_WORDS[script]))
    return cast(str, _identifier(_CANDIDATES[script]).classify(text)[0])


@lru_cache
def _identifier(candidates: tuple[str, ...]) -> Any:
    # Imported here because it loads numpy, which most callers (scripts other than Latin) never need.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(list(candidates))
    return identifier


@lru_cache
def _phrases() -> dict[str, dict[str, Any]]:
    text = resources.files("qwen_agentkit").joinpath("data/phrases.json").read_text("utf-8")
    return cast("dict[str, dict[str, Any]]", json.loads(text))


def phrase(language: str, key: str) -> str:
    """Return a fixed phrase in a language, in English where the language has none.

    Args:
        language: A code as `detect_language` gives it.
        key: One of ``abstain``, ``from_documents``, ``sources``, ``name``, ``endonym``.
    """
    table = _phrases()
    for code in (language, language.split("-")[0], "en"):
        if key in table.get(code, {}):
            return str(table[code][key])
    raise KeyError(key)


def language_name(code: str) -> str:
    """Return the English name of a language, or the code itself when it is not known."""
    table = _phrases()
    entry = table.get(code) or table.get(code.split("-")[0]) or {}
    return str(entry.get("name", code))


def is_rtl(code: str) -> bool:
    """Tell whether a language is written from right to left."""
    return code.split("-")[0] in _RTL
