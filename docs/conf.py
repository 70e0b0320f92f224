"""Sphinx configuration."""

from __future__ import annotations

import sklearn_rcrnn

project = "sklearn_rcrnn"
author = "the sklearn_rcrnn developers"
copyright = "2026, the sklearn_rcrnn developers"
release = version = sklearn_rcrnn.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"(quickstart|rare_events_corpus|onnx_without_torch)\.py",
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
exclude_patterns = ["_build", "sg_execution_times.rst"]
templates_path = ["_templates"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "pydata_sphinx_theme"
html_title = "sklearn_rcrnn"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
html_show_sourcelink = False
