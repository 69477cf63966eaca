"""How Sphinx makes the pages; `python .reference FOLDER` calls it."""

from names import GROUND, ROOMS, public_names
from numpydoc.xref import DEFAULT_LINKS

import sigma_scale

project = "sigma_scale"
author = "The sigma_scale developers"
copyright = author  # noqa: A001 - Sphinx's name
version = release = sigma_scale.__version__

extensions = ["sphinx.ext.autodoc", "numpydoc", "references"]
nitpicky = True

smartquotes = False
autodoc_typehints = "none"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
# Our own classes are linked where a type names them; types of others stay text.
numpydoc_xref_aliases = {word: word for word in DEFAULT_LINKS} | {
    public.name: public.path
    for room in [*ROOMS, *GROUND]
    for public in public_names(room)
    if public.kind in {"class", "exception", "data"}
}
# Unknown sections, sections out of order, parameters that the function hasn't.
numpydoc_validation_checks = {"GL06", "GL07", "PR02"}

language = "en"
html_theme = "furo"
html_title = f"sigma_scale {release}"
html_static_path = ["reference.css"]
html_css_files = ["reference.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
