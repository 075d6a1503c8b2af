"""PDF files into text, a part per page, through pypdf."""

from __future__ import annotations

import io
import logging

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.parts import Part, replace_surrogates

__all__ = ["read_pdf"]


def read_pdf(data: bytes) -> list[Part]:
    """Read a PDF, a part per page.

    Raises:
        LoadError: The PDF is broken or encrypted.
    """
    # Imported here because most runs read no PDF.
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    # pypdf logs what is wrong with a file. Without this, Python prints it where no logging is set up.
    logging.getLogger("pypdf").addHandler(_NO_OUTPUT)
    try:
        reader = PdfReader(io.BytesIO(data))
        # Many files are encrypted with an empty password, only to restrict printing.
        if reader.is_encrypted and not reader.decrypt(""):
            raise LoadError("The file is an encrypted PDF; expected one without a password. Save it without.")
        texts = [page.extract_text() for page in reader.pages]
        title = str(reader.metadata.title or "").strip() if reader.metadata else ""
    except LoadError:
        raise
    except DependencyError as error:
        raise LoadError(
            f"The file is an encrypted PDF that needs another package ({error}). "
            "Type: pip install cryptography"
        ) from error
    except Exception as error:  # pypdf raises nearly anything for a damaged file.
        raise LoadError(
            f"The file is a broken PDF ({error}); expected a readable one. Save it anew and try again."
        ) from error
    shared = {"title": title} if title else {}
    return [
        Part(replace_surrogates(text), {**shared, "page": number})
        for number, text in enumerate(texts, start=1)
    ]


_NO_OUTPUT = logging.NullHandler()
