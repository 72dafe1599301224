"""How the documentation is built: ``make docs``."""

import sys
from pathlib import Path

import django
from django.conf import settings

sys.path[:0] = [str(Path(__file__).parent / "_ext"), str(Path(__file__).parents[1])]
settings.configure(
    BASE_DIR=Path(__file__).parent,
    INSTALLED_APPS=["django_spooler"],
    TASKS={"default": {"BACKEND": "django_spooler.backend.SpoolerBackend"}},
    USE_TZ=True,
)
django.setup()

project = "django-spooler"
author = "the django-spooler contributors"
project_copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc", "command_line"]
exclude_patterns = ["_build", "requirements.txt"]
highlight_language = "none"
smartquotes_action = "qe"  # not "D": the dashes of options such as --all stay two

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_display_short_literal_types = True

nitpicky = True
# Names of Python and Django: their inventories are on the internet, and the build needs none.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!django_spooler\.).*"),
    (r"py:class", r"django_spooler\.[\w.]+\.(F|P|R|Unset)"),
]

html_theme = "furo"
html_title = "django-spooler"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
