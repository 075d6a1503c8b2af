#!/usr/bin/env bash
# python-pptx 1.0.2: a shape inside mc:AlternateContent is not among the shapes of its slide. PowerPoint writes every text
# box that holds a formula like this, so its whole text is missed without a word.
#
# Documented (ECMA-376 part 3, "Markup Compatibility"): a program that does not know a choice reads the fallback.
# Seen: 1 text box before, 0 when it is written with an alternative.
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet python-pptx==1.0.2

cat >alternatives.py <<'PYTHON'
import copy
import io

from pptx import Presentation
from pptx.oxml import parse_xml

deck = Presentation()
slide = deck.slides.add_slide(deck.slide_layouts[6])
box = slide.shapes.add_textbox(0, 0, 9525, 9525)
box.text_frame.text = "The fee is 12 euros."
before = len(slide.shapes)

both = parse_xml(
    '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:a14="http://schemas.microsoft.com/office/drawing/2010/main">'
    '<mc:Choice Requires="a14"/><mc:Fallback/></mc:AlternateContent>'
)
box._element.getparent().replace(box._element, both)
both[0].append(box._element)
both[1].append(copy.deepcopy(box._element))
file = io.BytesIO()
deck.save(file)
after = len(Presentation(file).slides[0].shapes)
print(before, after)
if (before, after) != (1, 0):
    raise SystemExit("the finding is out of date")
PYTHON
venv/bin/python alternatives.py
