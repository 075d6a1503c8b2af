"""Forms on web pages: what was typed, ticked and chosen is text behind its label."""

from __future__ import annotations

import pytest

from qwen_agentkit.ingest import read_document


def read(form: str) -> str:
    [part] = read_document(f"<body><main><p>Form 7</p>{form}</main></body>".encode(), ".html")
    return " ".join(part.text.removeprefix("Form 7").split())


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("<label for=n>Name</label> <input id=n value='Zubaida Karimova'>", "Name: Zubaida Karimova"),
        ("<label>الاسم <input type=text value='زبيدة'></label>", "الاسم: زبيدة"),
        ("<label>Name:</label><input value=Ines>", "Name: Ines"),
        ("<label>Any pets?</label><input value=None>", "Any pets? None"),
        ("<label>Rent</label><input type=number value=1200> EUR", "Rent: 1200 EUR"),
        ("<input aria-label='Postal code' value=10115>", "Postal code: 10115"),
        (
            "<label for=t>Remarks</label><textarea id=t>Call\nafter six.</textarea>",
            "Remarks: Call after six.",
        ),
        (
            "<label for=c>City</label><select id=c><option>Cairo<option selected>Bonn<option>Lyon</select>",
            "City: Bonn",
        ),
        (
            "<label>Days</label><select multiple><option selected>Monday</option><option>Tuesday</option>"
            "<option selected>Friday</option></select>",
            "Days: Monday Friday",
        ),
        (
            "<input type=radio name=p checked> <label>monthly</label><input type=radio name=p> yearly",
            "[x] monthly [ ] yearly",
        ),
        ("<label><input type=checkbox name=k> I agree</label>", "[ ] I agree"),
    ],
)
def test_a_field_is_written_behind_its_label(form: str, text: str) -> None:
    assert read(f"<form>{form}</form>") == text


def test_a_field_in_a_table_stays_in_its_cell() -> None:
    rows = "".join(f"<tr><td>{name}<td><input value={age}>" for name, age in (("Anna", 31), ("Boris", 42)))
    assert "Name: Anna | Age: 31" in read(f"<table><tr><th>Name<th>Age{rows}</table>")
    labelled = "<tr><td><label>Name</label></td><td><input value=Ines></td></tr>"
    assert read(f"<table>{labelled * 2}</table>").count("Ines") == 2
    assert ": Ines" not in read(f"<table>{labelled * 2}</table>").replace("Name: Ines", "")


@pytest.mark.parametrize(
    "form",
    [
        "<input type=hidden value=secret>",
        "<input type=password value=secret>",
        "<input type=submit value=Send><button>Send</button>",
        "<input type=search value='Search the site'>",
        "<label>Name</label><input hidden value=secret>",
        "<input type=checkbox id=menu>",
        "<select><option>English<option>العربية</select>",
        "<textarea></textarea>",
    ],
)
def test_what_is_no_answer_is_left_out(form: str) -> None:
    assert read(f"<form>{form}</form>").removeprefix("Name") == ""
