"""Mail: the head, the body and the attachments of .eml and .msg files."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from contextlib import suppress
from email.message import EmailMessage, MIMEPart
from typing import Any, cast

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.archives import ReadMember, read_member
from qwen_agentkit.ingest.encodings import decode_text, to_utf8
from qwen_agentkit.ingest.parts import Part, replace_surrogates
from qwen_agentkit.ingest.webpages import html_as_text, read_html

__all__ = ["read_eml", "read_msg"]

_RAW = re.compile("[\udc80-\udcff]")
_WORD = re.compile(r"\w+")
_RECIPIENT_TYPE = 0x0C15
_FLOWED = re.compile(r" \n(?![>\n])")
_MOST = 200
"""Attachments of a message."""


def read_eml(data: bytes, read: ReadMember) -> list[Part]:
    """Read a message (RFC 5322): who, when and about what, its body, and its attachments as parts.

    Args:
        data: The bytes of the message.
        read: Reads an attachment by its ending.

    Raises:
        LoadError: The file is no message.
    """
    try:
        return _read_message(data, read)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        # The standard library raises nearly anything for a damaged head or body.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise LoadError(
            f"The file is a broken mail message ({reason}); expected a readable one. Save it anew and "
            "try again."
        ) from error


def _read_message(data: bytes, read: ReadMember) -> list[Part]:
    message = email.message_from_bytes(data, policy=email.policy.default)
    if not any(message[name] for name in ("from", "to", "subject", "date", "received", "message-id")):
        raise LoadError("The file is not an email message; expected headers. Give it its true ending.")
    body, warnings = _read_body(message)
    head = [(name, _header(message, name)) for name in ("Subject", "From", "To", "Cc", "Date")]
    parts = [_write_message(head, body, tuple(warnings))]
    for number, attachment in enumerate(_attachments(message), start=1):
        if number > _MOST:
            parts.append(Part("", {}, (f"Only {_MOST} attachments were read.",)))
            break
        parts += _read_attachment(attachment, number, read)
    return parts


def _header(message: EmailMessage, name: str) -> str:
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")
    if _RAW.search(raw):  # Older programs write heads in the encoding of their country.
        return " ".join(decode_text(raw.encode("utf-8", "surrogateescape"), _charset(message)).text.split())
    try:
        return replace_surrogates(" ".join(str(message[name] or "").split()))
    except (
        ValueError,
        LookupError,
        AttributeError,
        IndexError,
        TypeError,
    ):  # Damaged heads raise nearly anything.
        return ""


def _write_message(head: list[tuple[str, str]], body: str, warnings: tuple[str, ...]) -> Part:
    lines = "\n".join(f"{name}: {value}" for name, value in head if value)
    subject = dict(head).get("Subject", "")
    return Part(f"{lines}\n\n{body}".strip(), {"title": subject} if subject else {}, warnings)


def _read_body(message: EmailMessage) -> tuple[str, tuple[str, ...]]:
    """Return the text of a message: the plain one, unless it only says that there is another."""
    texts: dict[str, tuple[str, tuple[str, ...]]] = {}
    for kind in ("plain", "html"):
        body = message.get_body(preferencelist=(cast(Any, kind),))
        if body is not None:
            decoded = decode_text(_payload(body), _charset(body))
            text = (
                html_as_text(decoded.text)[0] if kind == "html" else _join_flowed(body, decoded.text).strip()
            )
            texts[kind] = text, decoded.warnings
    plain, html = texts.get("plain", ("", ())), texts.get("html", ("", ()))
    if not message.is_multipart() or not any(
        part.get_content_type() == "multipart/alternative" for part in message.walk()
    ):  # One follows the other.
        return "\n\n".join(filter(None, (plain[0], html[0]))), plain[1] + html[1]
    return html if _says_more(html[0], plain[0]) else plain


def _join_flowed(body: MIMEPart, text: str) -> str:
    """Join lines that a space at their end continues (RFC 3676); "delsp" drops the space."""
    if str(body.get_param("format", "")).lower() != "flowed":
        return text
    end = " " if str(body.get_param("delsp", "")).lower() != "yes" else ""
    lines = re.sub(r"(?m)^ (?=[ >]|From )", "", text).replace("\n-- \n", "\n--\n")
    return _FLOWED.sub(end, lines)


def _says_more(html: str, plain: str) -> bool:
    """Tell whether the plain text of a message is a short or another one, such as a hint at the real one."""
    words = set(_WORD.findall(plain))
    shared = len(words.intersection(_WORD.findall(html)))
    return len(html) > 4 * len(plain) or (any(map(str.isalnum, html)) and 2 * shared < len(words))


def _charset(part: MIMEPart) -> str:
    """Return the encoding that a part declares; that of the first text for a message of several."""
    texts = (one.get_param("charset") for one in part.walk() if one.get_content_maintype() == "text")
    return next((str(charset) for charset in texts if charset), "")


def _payload(part: MIMEPart) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _attachments(message: EmailMessage) -> Iterator[MIMEPart]:
    try:
        yield from message.iter_attachments()
    except (AttributeError, KeyError):  # a body of another kind than it says
        return


def _read_attachment(attachment: MIMEPart, number: int, read: ReadMember) -> list[Part]:
    if attachment.get_content_type() == "message/rfc822":
        inner = attachment.get_payload(0)
        return read_member(cast(EmailMessage, inner).as_bytes(), f"message {number}.eml", read)
    name = attachment.get_filename() or ""
    if not name and attachment.get_content_maintype() == "image":  # A picture in the text of the message.
        return []
    if not name and attachment.get_content_type() == "text/html":
        return read_html(_payload(attachment))
    data = _payload(attachment)
    if attachment.get_content_maintype() == "text" and (charset := _charset(attachment)):
        with suppress(LoadError):  # What it declares may be wrong.
            data = to_utf8(data, charset)
    return read_member(data, replace_surrogates(name or f"attachment {number}.txt"), read)


def read_msg(data: bytes, read: ReadMember) -> list[Part]:
    """Read a message of Outlook, through python-oxmsg (extra `formats`).

    Args:
        data: The bytes of the message.
        read: Reads an attachment by its ending.

    Raises:
        LoadError: The file is no such message, or the extra is not installed.
    """
    try:
        return _read_outlook(data, read)
    except ImportError as error:
        raise LoadError(
            f"The file is an Outlook message, which needs the extra 'formats' ({error}). "
            "Type: pip install 'qwen-agentkit[formats]'"
        ) from error
    except LoadError:
        raise
    except Exception as error:  # The library raises nearly anything for a damaged file.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise LoadError(
            f"The file is a broken Outlook message ({reason}); expected a readable one. Save it anew, as "
            ".eml if that fails too."
        ) from error


def _read_outlook(data: bytes, read: ReadMember) -> list[Part]:
    import io

    from oxmsg import Message

    message = Message.load(io.BytesIO(data))
    html = html_as_text(message.html_body)[0] if message.html_body else ""
    plain = (message.body or "").replace("\r\n", "\n").strip()
    body = html if _says_more(html, plain) else plain
    head = [
        ("Subject", message.subject or ""),
        ("From", message.sender or ""),
        ("To", _recipients(message, 1)),
        ("Cc", _recipients(message, 2)),
        ("Date", message.sent_date.isoformat(" ") if message.sent_date else ""),
    ]
    warnings = () if body else ("The body of the message could not be read. Save it as .eml and try again.",)
    parts = [_write_message(head, body, warnings)]
    for number, attachment in enumerate(message.attachments, start=1):
        name = attachment.file_name or f"attachment {number}"
        parts += read_member(attachment.file_bytes or b"", name, read)
    return parts


def _recipients(message: Any, kind: int) -> str:
    """Return who a message is for, 1, or in copy, 2 (MS-OXOMSG, 2.2.3.1)."""
    return ", ".join(
        str(one.email_address or one.name)
        for one in message.recipients
        if (one.properties.int_prop_value(_RECIPIENT_TYPE) or 1) & 0xF == kind
    )
