"""Draws every graph of langgraph.json into the README and examples/pictures: python -m tests.pictures

Mermaid, which Markdown viewers draw themselves, and PNG for those that do not. LangGraph makes PNGs only by a
service or a browser, so networkx lays them out here. A PNG holds the Mermaid text that it shows, by which a
test knows whether it is of today.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

import networkx as nx
from langchain_core.runnables.graph import Graph
from matplotlib.figure import Figure
from PIL import Image

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FOLDER = ROOT / "examples" / "pictures"
PLACE = re.compile(r"(?<=<!-- graphs -->\n).*?(?=<!-- end of graphs -->)", re.DOTALL)
_CONFIG = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
SERVED: dict[str, dict[str, str]] = _CONFIG["graphs"]


def drawn(readme: str) -> str:
    """The README with every graph that the server serves, each a block that opens on a click."""
    blocks = "".join(
        f"<details><summary><code>{name}</code>: {entry['description']}</summary>\n\n"
        f"```mermaid\n{mermaid(name)}\n```\n\n[PNG](examples/pictures/{name}.png)\n\n</details>\n"
        for name, entry in SERVED.items()
    )
    text, places = PLACE.subn(lambda _: blocks, readme)
    assert places == 1, "the README has lost its <!-- graphs --> markers"
    return text


def mermaid(name: str) -> str:
    """A graph in Mermaid's words."""
    return _graph(name).draw_mermaid(with_styles=False).strip().replace("\t", "  ")


def shown(name: str) -> str:
    """The graph in Mermaid's words that the PNG was drawn from."""
    with Image.open(FOLDER / f"{name}.png") as picture:
        return str(picture.info.get("Description"))


def paint(name: str) -> None:
    """Write the PNG of a graph: dashed where it may go one way or another."""
    network = nx.DiGraph()
    for edge in _graph(name).edges:
        network.add_edge(edge.source, edge.target, dashed=edge.conditional)
    layers = _layers(network)
    places: dict[Any, tuple[float, float]] = {}
    for layer, group in groupby(sorted(layers, key=lambda node: layers[node]), key=lambda node: layers[node]):
        nodes = list(group)
        places |= {node: (n - (len(nodes) - 1) / 2, -float(layer)) for n, node in enumerate(nodes)}
    widest = max(x for x, _ in places.values())
    figure = Figure(figsize=(3.2 + 3.6 * widest, 1 + 0.75 * max(layers.values())), layout="tight")
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set(xlim=(-widest - 0.9, widest + 0.9), ylim=(-max(layers.values()) - 0.4, 0.4))
    for source, target, edge in network.edges(data=True):
        outwards = -0.45 if max(places[source][0], places[target][0]) > 0 else 0.45
        nx.draw_networkx_edges(
            network,
            places,
            [(source, target)],
            ax=axes,
            style="--" if edge["dashed"] else "-",
            connectionstyle=f"arc3,rad={0 if layers[target] - layers[source] == 1 else outwards}",
            node_size=700,
            edge_color="#666677",
        )
    box = {"boxstyle": "round,pad=0.35", "facecolor": "#eef2ff", "edgecolor": "#5b6ee1"}
    names = {node: node.strip("_") for node in network}
    nx.draw_networkx_labels(network, places, names, ax=axes, font_size=10, bbox=box)
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / f"{name}.png", dpi=90, metadata={"Description": mermaid(name), "Software": None})


def _layers(network: Any) -> dict[str, int]:
    """How many steps each node is from the start, by the longest way that does not go back."""
    order = list(nx.dfs_postorder_nodes(network, "__start__"))[::-1]
    layers = dict.fromkeys(order, 0)
    for n, node in enumerate(order):
        for target in set(network.successors(node)).intersection(order[n + 1 :]):
            layers[target] = max(layers[target], layers[node] + 1)
    return layers


def _graph(name: str) -> Graph:
    module, _, variable = SERVED[name]["path"].partition(":")
    found: Graph = getattr(import_module(module), variable)().get_graph()
    return found


if __name__ == "__main__":
    README.write_text(drawn(README.read_text(encoding="utf-8")), encoding="utf-8")
    for each in SERVED:
        paint(each)
