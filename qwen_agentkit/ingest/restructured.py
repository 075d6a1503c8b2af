"""reStructuredText into text, through docutils (extra `formats`), which makes a web page of it."""

from __future__ import annotations

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.encodings import decode_text
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.webpages import html_as_text

__all__ = ["read_rst"]

_SETTINGS = {
    "file_insertion_enabled": False,  # No other file is opened.
    "raw_enabled": False,
    "report_level": 5,  # Unknown roles and directives are no text of the document.
    "halt_level": 5,
    "input_encoding": "unicode",
    "output_encoding": "unicode",
    "embed_stylesheet": False,
    "stylesheet_path": "",
    "math_output": "LaTeX",
    "syntax_highlight": "none",
    "initial_header_level": 2,
    "_disable_config": True,
    "line_length_limit": 100_000,
}


def read_rst(data: bytes) -> list[Part]:
    """Read reStructuredText.

    Raises:
        LoadError: The text cannot be read, or the extra is not installed.
    """
    try:
        from docutils.core import publish_string
    except ImportError as error:
        raise LoadError(
            f"The file is reStructuredText, which needs the extra 'formats' ({error}). "
            "Type: pip install 'qwen-agentkit[formats]'"
        ) from error
    decoded = decode_text(data)
    try:
        page = publish_string(decoded.text, writer="html5", settings_overrides=_SETTINGS)
    except Exception as error:  # Extensions of docutils raise what they like.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise LoadError(
            f"The file is broken reStructuredText ({reason}); expected readable text. Correct it, or save it "
            "as .txt."
        ) from error
    text, metadata, _ = html_as_text(str(page))
    metadata.pop("language", None)  # docutils writes "en" whatever the text is.
    return [Part(text, metadata, decoded.warnings)]
