"""The graphs of langgraph.json: Mermaid text for Markdown viewers, and PNG pictures for the others.

LangGraph makes PNG files only with a web service or a browser, so networkx and matplotlib draw them here. A
PNG holds the Mermaid text that it shows; so a check can tell whether it is up to date.
"""

from __future__ import annotations

import json
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

import networkx as nx
from langchain_core.runnables.graph import Graph
from matplotlib.figure import Figure
from PIL import Image

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"
SERVED: dict[str, dict[str, str]] = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))[
    "graphs"
]


def sections() -> str:
    """Return a section for each graph: its description and its Mermaid text."""
    return "".join(
        f"\n## {name}\n\n{entry['description']}\n\n"
        f"```mermaid\n{mermaid(name)}\n```\n\n[The same as a PNG picture](pictures/{name}.png)\n"
        for name, entry in SERVED.items()
    )


def mermaid(name: str) -> str:
    """Return a graph as Mermaid text."""
    return _load_graph(name).draw_mermaid(with_styles=False).strip().replace("\t", "  ")


def stale_pictures() -> list[str]:
    """Return the names of the graphs whose PNG is missing or shows another graph."""
    return [name for name in SERVED if _read_picture(name) != mermaid(name)]


def draw_picture(name: str) -> None:
    """Write the PNG of a graph; edges that depend on a condition are dashed."""
    network = nx.DiGraph()
    for edge in _load_graph(name).edges:
        network.add_edge(edge.source, edge.target, dashed=edge.conditional)
    layers = _compute_layers(network)
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
    figure.savefig(FOLDER / f"{name}.png", dpi=90, metadata={"Description": mermaid(name), "Software": None})


def _read_picture(name: str) -> str | None:
    path = FOLDER / f"{name}.png"
    if not path.is_file():
        return None
    with Image.open(path) as picture:
        return picture.info.get("Description")


def _compute_layers(network: Any) -> dict[str, int]:
    """Return for each node its distance from the start, along the longest path without backward edges."""
    order = list(nx.dfs_postorder_nodes(network, "__start__"))[::-1]
    layers = dict.fromkeys(order, 0)
    for n, node in enumerate(order):
        for target in set(network.successors(node)).intersection(order[n + 1 :]):
            layers[target] = max(layers[target], layers[node] + 1)
    return layers


def _load_graph(name: str) -> Graph:
    module, _, variable = SERVED[name]["path"].partition(":")
    graph: Graph = getattr(import_module(module), variable)().get_graph()
    return graph
