"""Sphinx configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import sklearn_rcrnn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from command_pages import write_columns, write_commands  # noqa: E402

project = "sklearn_rcrnn"
author = "the sklearn_rcrnn developers"
copyright = "2026, the sklearn_rcrnn developers"
release = version = sklearn_rcrnn.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"(quickstart|onnx_without_torch)\.py",
    "download_all_examples": False,
    "show_memory": False,
    "capture_repr": ("_repr_html_",),
    "within_subsection_order": "FileNameSortKey",
    "remove_config_comments": True,
    "abort_on_example_error": True,
}
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
exclude_patterns = ["_build", "generated", "sg_execution_times.rst"]
templates_path = ["_templates"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_rcrnn"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_logo = html_favicon = "_static/logo.svg"
html_theme_options = {
    "logo": {"text": "sklearn_rcrnn"},
    "show_toc_level": 2,
    "navigation_with_keys": False,
    # All pages stand in the sidebar, which is the menu of a phone as well.
    "navbar_center": [],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_end": [],
}
html_sidebars = {"**": ["site-nav"]}
html_show_sphinx = False
html_show_sourcelink = False

write_commands(HERE / "commands.md")
write_columns(HERE / "generated" / "columns.md")
