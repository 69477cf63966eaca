"""References between pages: all of ours resolve, and those to other libraries name what exists."""

from __future__ import annotations

import builtins
import pkgutil
from typing import TYPE_CHECKING, Any

from docutils import nodes
from names import PACKAGE, is_known, public_path, top_level
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment


def add_short_names(app: Sphinx, env: BuildEnvironment) -> list[str]:  # noqa: ARG001
    """Let ``sigma_scale.read`` mean what ``sigma_scale.readers.read`` means."""
    domain = env.domains.python_domain
    for name, public in top_level().items():
        short = f"{PACKAGE}.{name}"
        if public.path in domain.modules:
            domain.modules[short] = domain.modules[public.path]
        elif public.path in domain.objects:
            domain.objects[short] = domain.objects[public.path]._replace(aliased=True)
    return []


def look_up(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.Node | None:
    """
    Follow a reference by what it names instead of by how it is written.

    What is public here is linked, by whatever path it was reached. What isn't, or belongs to
    another library, is shown as text, since pages are read without a network. Nothing is given
    back, and so a warning follows, where no such thing exists.
    """
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py":
        return None
    for inner in ("", *_endings(target)):
        named = _named(target.removesuffix(f".{inner}") if inner else target)
        path = public_path(named)
        if path is not None:
            entry = env.domains.python_domain.objects.get(f"{path}.{inner}".rstrip("."))
            return entry and make_refnode(
                app.builder, node["refdoc"], entry.docname, entry.node_id, text.deepcopy()
            )
    return nodes.literal("", text.astext()) if _named(target) is not None else None


def only_known_bases(
    app: Sphinx,  # noqa: ARG001
    name: str,  # noqa: ARG001
    value: type,  # noqa: ARG001
    options: object,  # noqa: ARG001
    bases: list[type],
) -> None:
    """Keep what a class is built of inside out of its entry."""
    bases[:] = [base for base in bases if is_known(base)]


def plain_defaults(*event: Any) -> tuple[str | None, str | None]:
    """Write ``...`` for a default that is made anew each time."""
    signature, returned = event[-2:]
    return signature and signature.replace("=<factory>", "=..."), returned


def _endings(target: str) -> list[str]:
    """The last part of a name, which may be a method's."""
    return [target.rpartition(".")[2]] if "." in target else []


def _named(target: str) -> Any:
    """What a full name stands for; None if there is no such thing."""
    if "." not in target and hasattr(builtins, target):
        return getattr(builtins, target)
    try:
        return pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError):
        return None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("env-updated", add_short_names)
    app.connect("missing-reference", look_up)
    app.connect("autodoc-process-bases", only_known_bases)
    app.connect("autodoc-process-signature", plain_defaults)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
