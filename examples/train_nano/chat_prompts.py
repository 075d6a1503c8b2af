# Tables of words and phrases read better in whole lines than one entry a line.
# ruff: noqa: E501
"""The fixed words of nano-chat's training dialogues: the instruction, and per language what is thought and said."""

from __future__ import annotations

# The instruction that the project's graphs send, word for word.
RAG_SYSTEM = (
    "Answer the question from the numbered passages only. Quote or paraphrase them closely and put the number of the "
    "passage after each sentence, like [1]. If the passages do not answer the question, say so. Answer in {language}."
)
OTHER_SYSTEMS = (
    "You are a helpful assistant. Answer from the passages and cite them like [1].",
    "Use only the numbered passages. Cite the number of the passage.",
    "You are a careful assistant.",
)

LANGUAGES = {
    "en": "English", "ar": "Arabic", "zh": "Chinese", "de": "German", "es": "Spanish", "ru": "Russian", "hi": "Hindi",
    "tr": "Turkish", "vi": "Vietnamese", "el": "Greek", "fr": "French", "pt": "Portuguese", "it": "Italian",
    "id": "Indonesian", "fa": "Persian", "th": "Thai", "ja": "Japanese", "ko": "Korean", "sw": "Swahili",
}  # fmt: skip

# What is thought when passage {n} answers; short, because every thought is paid for in tokens.
THINK = {
    "en": "Passage [{n}] answers the question.", "ar": "المقطع [{n}] يجيب عن السؤال.", "zh": "第 [{n}] 段回答了这个问题。",
    "de": "Abschnitt [{n}] beantwortet die Frage.", "es": "El pasaje [{n}] responde a la pregunta.",
    "ru": "На вопрос отвечает отрывок [{n}].", "hi": "अंश [{n}] प्रश्न का उत्तर देता है।", "tr": "Soruyu [{n}] numaralı bölüm yanıtlıyor.",
    "vi": "Đoạn [{n}] trả lời câu hỏi.", "el": "Το απόσπασμα [{n}] απαντά στην ερώτηση.", "fr": "Le passage [{n}] répond à la question.",
    "pt": "O trecho [{n}] responde à pergunta.", "it": "Il brano [{n}] risponde alla domanda.", "id": "Bagian [{n}] menjawab pertanyaan.",
    "fa": "بخش [{n}] به پرسش پاسخ می‌دهد.", "th": "ข้อความ [{n}] ตอบคำถามนี้", "ja": "[{n}] の文章が質問に答えています。",
    "ko": "[{n}] 단락이 질문에 답합니다.", "sw": "Kifungu [{n}] kinajibu swali.",
}  # fmt: skip
THINK_NONE = {
    "en": "No passage answers the question.", "ar": "لا يوجد مقطع يجيب عن السؤال.", "zh": "没有段落回答这个问题。",
    "de": "Kein Abschnitt beantwortet die Frage.", "es": "Ningún pasaje responde a la pregunta.",
    "ru": "Ни один отрывок не отвечает на вопрос.", "hi": "कोई अंश प्रश्न का उत्तर नहीं देता।", "tr": "Soruyu hiçbir bölüm yanıtlamıyor.",
    "vi": "Không đoạn nào trả lời câu hỏi.", "el": "Κανένα απόσπασμα δεν απαντά στην ερώτηση.", "fr": "Aucun passage ne répond à la question.",
    "pt": "Nenhum trecho responde à pergunta.", "it": "Nessun brano risponde alla domanda.", "id": "Tidak ada bagian yang menjawab pertanyaan.",
    "fa": "هیچ بخشی به پرسش پاسخ نمی‌دهد.", "th": "ไม่มีข้อความใดตอบคำถามนี้", "ja": "質問に答える文章はありません。",
    "ko": "질문에 답하는 단락이 없습니다.", "sw": "Hakuna kifungu kinachojibu swali.",
}  # fmt: skip
ABSTAIN = {
    "en": "The passages do not answer this question.", "ar": "لا تجيب المقاطع عن هذا السؤال.", "zh": "这些段落没有回答这个问题。",
    "de": "Die Abschnitte beantworten diese Frage nicht.", "es": "Los pasajes no responden a esta pregunta.",
    "ru": "Отрывки не отвечают на этот вопрос.", "hi": "ये अंश इस प्रश्न का उत्तर नहीं देते।", "tr": "Bölümler bu soruyu yanıtlamıyor.",
    "vi": "Các đoạn này không trả lời câu hỏi.", "el": "Τα αποσπάσματα δεν απαντούν σε αυτή την ερώτηση.",
    "fr": "Les passages ne répondent pas à cette question.", "pt": "Os trechos não respondem a esta pergunta.",
    "it": "I brani non rispondono a questa domanda.", "id": "Bagian-bagian ini tidak menjawab pertanyaan.",
    "fa": "این بخش‌ها به این پرسش پاسخ نمی‌دهند.", "th": "ข้อความเหล่านี้ไม่ได้ตอบคำถามนี้", "ja": "これらの文章はこの質問に答えていません。",
    "ko": "이 단락들은 이 질문에 답하지 않습니다.", "sw": "Vifungu hivi havijibu swali hili.",
}  # fmt: skip

# Shells around key words: how a question begins and ends. Two or three a language are enough to teach that they do not matter.
SHELLS = {
    "en": ("What is said about {}?", "Who or what is {}?", "How is {}?", "When did {}?", "Why {}?", "Which {}?", "{}?", "Tell me about {}."),
    "ar": ("ماذا قيل عن {}؟", "ما هو {}؟", "متى {}؟", "كيف {}؟", "من {}؟", "أين {}؟", "{}؟"),
    "zh": ("关于{}，有什么说明？", "{}是什么？", "什么时候{}？", "为什么{}？", "{}有多少？", "谁{}？", "{}？"),
    "de": ("Was wird über {} gesagt?", "Was ist {}?", "Wann {}?", "Wie {}?", "{}?"),
    "es": ("¿Qué se dice de {}?", "¿Qué es {}?", "¿Cuándo {}?", "¿Cómo {}?", "¿{}?"),
    "ru": ("Что сказано о {}?", "Что такое {}?", "Когда {}?", "Как {}?", "{}?"),
    "hi": ("{} के बारे में क्या कहा गया है?", "{} क्या है?", "{} कब?", "{} कैसे?", "{}?"),
    "tr": ("{} hakkında ne deniyor?", "{} nedir?", "{} ne zaman?", "{} nasıl?", "{}?"),
    "vi": ("Có gì nói về {}?", "{} là gì?", "Khi nào {}?", "{} như thế nào?", "{}?"),
    "el": ("Τι λέγεται για {};", "Τι είναι {};", "Πότε {};", "Πώς {};", "{};"),
    "fr": ("Que dit-on de {} ?", "Qu'est-ce que {} ?", "Quand {} ?", "Comment {} ?", "{} ?"),
    "pt": ("O que se diz sobre {}?", "O que é {}?", "Quando {}?", "{}?"),
    "it": ("Che cosa si dice di {}?", "Che cos'è {}?", "Quando {}?", "{}?"),
    "id": ("Apa yang dikatakan tentang {}?", "Apa itu {}?", "Kapan {}?", "{}?"),
    "fa": ("درباره {} چه گفته شده است؟", "{} چیست؟", "{} کی؟", "{}؟"),
    "th": ("มีการกล่าวถึง{}ว่าอย่างไร", "{}คืออะไร", "{}เมื่อไร", "{}?"),
    "ja": ("{}について何と言っていますか？", "{}とは何ですか？", "{}はいつですか？", "{}？"),
    "ko": ("{}에 대해 무엇이라고 합니까?", "{}은 무엇인가?", "{} 언제인가?", "{}?"),
    "sw": ("Nini kinasemwa kuhusu {}?", "{} ni nini?", "{} lini?", "{}?"),
}  # fmt: skip
