"""What a reader of a PDF sees besides its pages' own text: filled form fields, notes and free text."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import pypdfium2.raw as pdfium

__all__ = ["page_fields"]


def page_fields(document: Any, page: Any) -> list[str]:
    """Return the filled fields of a page as "name: value" and the texts of its notes.

    Args:
        document: A document of pypdfium2 whose forms are initialized, if it has any.
        page: A page of it.
    """
    found: list[str] = []
    form = document.formenv.raw if document.formenv else None
    for index in range(pdfium.FPDFPage_GetAnnotCount(page.raw)):
        annotation = pdfium.FPDFPage_GetAnnot(page.raw, index)
        if annotation:
            try:
                found += _read(annotation, form)
            finally:
                pdfium.FPDFPage_CloseAnnot(annotation)
    return list(dict.fromkeys(found))


def _read(annotation: Any, form: Any) -> Iterator[str]:
    kind = pdfium.FPDFAnnot_GetSubtype(annotation)
    if kind == pdfium.FPDF_ANNOT_WIDGET:
        if form is not None:
            yield from _read_field(annotation, form)
    elif kind not in (pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP):
        note = _string(lambda *at: pdfium.FPDFAnnot_GetStringValue(annotation, b"Contents", *at))
        if note:
            yield note


def _read_field(annotation: Any, form: Any) -> Iterator[str]:
    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in (pdfium.FPDF_FORMFIELD_PUSHBUTTON, pdfium.FPDF_FORMFIELD_SIGNATURE):
        return
    name = _string(lambda *at: pdfium.FPDFAnnot_GetFormFieldAlternateName(form, annotation, *at)) or _string(
        lambda *at: pdfium.FPDFAnnot_GetFormFieldName(form, annotation, *at)
    )
    if kind in (pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON):
        if not pdfium.FPDFAnnot_IsChecked(form, annotation):
            return
        value = _string(lambda *at: pdfium.FPDFAnnot_GetFormFieldExportValue(form, annotation, *at)) or "✓"
        value = "✓" if value in ("Yes", "On", "1") and kind == pdfium.FPDF_FORMFIELD_CHECKBOX else value
    else:
        value = _string(lambda *at: pdfium.FPDFAnnot_GetFormFieldValue(form, annotation, *at))
    if value:
        yield f"{name}: {value}" if name else value


def _string(ask: Callable[[Any, int], int]) -> str:
    """Return a string of PDFium, which first tells its length in bytes."""
    length = ask(None, 0)
    if length <= 2:
        return ""
    buffer = ctypes.create_string_buffer(length)
    ask(ctypes.cast(buffer, ctypes.POINTER(pdfium.FPDF_WCHAR)), length)
    text = buffer.raw[: length - 2].decode("utf-16-le", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\0 \n")
