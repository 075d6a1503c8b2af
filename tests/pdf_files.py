"""PDF files for the tests: a page per text, by the producers that are installed here."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import pytest

Line = tuple[float, float, str]
"""A text and where it stands, in points from the left and from below."""

TEXTS = {
    "am": "ቤተ መጻሕፍቱ በ9:30 ይከፈታል እና 1250 መጻሕፍት አሉት።",
    "ar": "تفتح المكتبة في الساعة ٩:٣٠ وفيها ١٢٥٠ كتابا (كل يوم). في عام 2024 زارها 345 قارئا من QX-200.",
    "ar-vowels": "تُفْتَحُ المَكْتَبَةُ في السَّاعَةِ التَّاسِعَةِ وَفيها ١٢٥٠ كِتابًا.",
    "bn": "গ্রন্থাগার সকাল ৯:৩০ টায় খোলে এবং এতে ১২৫০টি বই আছে।",
    "de": "Die Bücherei öffnet um 9:30 Uhr und besitzt 1.250 Bücher. Größe: 12 m².",
    "el": "Η βιβλιοθήκη ανοίγει στις 9:30 και έχει 1.250 βιβλία.",
    "en": "The library opens at 9:30 and holds 1,250 books. Fines are 10% of the price (at most).",
    "fa": "کتابخانه در ساعت ۹:۳۰ باز شد و ۱۲۵۰ کتاب دارد. سال ۱۴۰۳ شمسی.",
    "fr": "La bibliothèque ouvre à 9 h 30 et possède 1 250 œuvres. « Très bien »",
    "he": "הספרייה נפתחת בשעה 9:30 ויש בה 1,250 ספרים. בשנת 2024 היו 15% יותר (בערך).",
    "hi": "पुस्तकालय सुबह 9:30 बजे खुलता है और इसमें १२५० किताबें हैं। शिक्षा और स्थिति।",
    "hy": "Գրադարանը բացվում է 9:30-ին և ունի 1250 գիրք։",
    "ja": "図書館は9時30分に開き、1250冊の本があります。ガラスのパン。",
    "ka": "ბიბლიოთეკა იხსნება 9:30-ზე და აქვს 1250 წიგნი.",
    "km": "បណ្ណាល័យបើកនៅម៉ោង 9:30 ហើយមានសៀវភៅ 1250 ក្បាល។",
    "ko": "도서관은 9시 30분에 문을 열고 1,250권의 책이 있습니다.",
    "my": "စာကြည့်တိုက်ကို 9:30 နာရီတွင် ဖွင့်ပြီး စာအုပ် 1250 ရှိသည်။",
    "pl": "Biblioteka w Łodzi otwiera się o 9:30 i ma 1250 książek.",
    "ru": "Библиотека открывается в 9:30 и хранит 1250 книг.",
    "ta": "நூலகம் காலை 9:30 மணிக்கு திறக்கும், அதில் 1250 புத்தகங்கள் உள்ளன.",
    "th": "ห้องสมุดเปิดเวลา 9:30 น. และมีหนังสือ 1,250 เล่ม ที่นี่มีน้ำดื่ม",
    "tr": "Kütüphane saat 9:30'da açılır ve 1.250 kitabı vardır. Işık, İstanbul.",
    "ur": "لائبریری صبح ۹:۳۰ بجے کھلتی ہے اور اس میں 1250 کتابیں ہیں۔",
    "vi": "Thư viện mở cửa lúc 9:30 và có 1.250 cuốn sách. Người đọc được mượn.",
    "zh": "图书馆九点三十分开门，藏书1250册。借书（每次）三本。",
}
_RTL = ("ar", "ar-vowels", "fa", "he", "ur")
_DEJAVU = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
_IN_DEJAVU = ("ar", "ar-vowels", "de", "el", "en", "fa", "fr", "he", "hy", "ka", "pl", "ru", "tr", "vi")
_NOTO = {
    **{"am": "Ethiopic", "bn": "Bengali", "hi": "Devanagari", "km": "Khmer", "my": "Myanmar"},
    **{"ta": "Tamil", "th": "Thai", "ur": "Arabic"},
}


def font_file(language: str) -> Path | None:
    """A font with the letters of a language, if there is one here."""
    if language in _IN_DEJAVU:
        return _DEJAVU
    name = f"NotoSans{_NOTO[language]}-Regular.ttf" if language in _NOTO else "NotoSansCJK-Regular.ttc"
    return next((path for root in ("/usr/share/fonts", "~/.fonts") for path in _files(root, name)), None)


def _files(root: str, name: str) -> list[Path]:
    return sorted(Path(root).expanduser().rglob(name))


def by_fpdf2(languages: Sequence[str], folder: Path) -> bytes:
    """Shaped by HarfBuzz, each text in one font and digits in another where it has none."""
    from fpdf import FPDF

    document = FPDF()
    document.add_font("digits", "", str(_DEJAVU))
    for language in languages:
        document.add_page()
        document.add_font(language, "", str(font_file(language)))
        document.set_font(language, size=12)
        document.set_fallback_fonts(["digits"])
        document.set_text_shaping(True, direction="rtl" if language in _RTL else None)
        document.multi_cell(0, 8, TEXTS[language], align="R" if language in _RTL else "L")
    return bytes(document.output())


def by_reportlab(languages: Sequence[str], folder: Path) -> bytes:
    """Characters one by one, in the encodings of Asian fonts where it has them."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    asian = {"zh": "STSong-Light", "ja": "HeiseiMin-W3", "ko": "HYSMyeongJo-Medium"}
    pdfmetrics.registerFont(TTFont("DejaVu", str(_DEJAVU)))
    for name in asian.values():
        pdfmetrics.registerFont(UnicodeCIDFont(name))
    return drawn(
        *([(50, 700, TEXTS[one])] for one in languages), fonts=[asian.get(one, "DejaVu") for one in languages]
    )


def by_weasyprint(languages: Sequence[str], folder: Path) -> bytes:
    """HTML through Pango."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import weasyprint
        except (ImportError, OSError) as error:
            pytest.skip(f"WeasyPrint is not here: {error}")
        return bytes(weasyprint.HTML(string=_html(languages)).write_pdf())


def by_chromium(languages: Sequence[str], folder: Path) -> bytes:
    """HTML through Skia."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not here")
    page, out = folder / "page.html", folder / "page.pdf"
    page.write_text(_html(languages), "utf-8")
    command = [program, "--headless", "--disable-gpu", "--no-pdf-header-footer", f"--print-to-pdf={out}"]
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    done = subprocess.run([*command, *root, page.as_uri()], capture_output=True, timeout=120)
    if not out.is_file():
        pytest.skip(f"Chromium does not run here: {done.stderr[-200:]!r}")
    return out.read_bytes()


def _html(languages: Sequence[str]) -> str:
    style = "page-break-after: always"
    pages = "".join(
        f'<p lang="{one[:2]}" dir="{"rtl" if one in _RTL else "ltr"}" style="{style}">{TEXTS[one]}</p>'
        for one in languages
    )
    return f'<meta charset="utf-8"><style>p {{font-family: DejaVu Sans, Noto Sans}}</style>{pages}'


PRODUCERS: dict[str, Callable[[Sequence[str], Path], bytes]] = {
    "fpdf2": by_fpdf2,
    "reportlab": by_reportlab,
    "WeasyPrint": by_weasyprint,
    "Chromium": by_chromium,
}


def drawn(*pages: Sequence[Line], size: float = 11, fonts: Sequence[str] = ()) -> bytes:
    """A PDF whose pages hold texts at given places."""
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out)
    for number, page in enumerate(pages):
        canvas.setFont(fonts[number] if fonts else "Helvetica", size)
        for x, y, text in page:
            canvas.drawString(x, y, text)
        canvas.showPage()
    canvas.save()
    return out.getvalue()
