"""Extension of Griffe, which reads docstrings for the site: what Google's style does not know becomes what it knows."""
from __future__ import annotations

import re
from typing import Any

from griffe import Docstring, Extension, Object

_ROLE = re.compile(r':(?:attr|class|data|func|meth|mod):`(?:(?P<title>[^`<]+?) <[^`>]+>|(?P<name>[^`]+))`')


def without_roles(text: str) -> str:
    """The text with roles of Sphinx as Markdown code: their title, or with ``~`` the last part of the name."""
    return _ROLE.sub(lambda role: f'`{role["title"] or _shown(role["name"])}`', text)


def _shown(name: str) -> str:
    return name.rpartition('.')[2] if name.startswith('~') else name


class Roles(Extension):
    """Applies :func:`without_roles` to every docstring; config keys (``Keys:``) become keyword arguments."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called for each module, class, function and attribute."""
        if isinstance(obj.docstring, Docstring):
            text = without_roles(obj.docstring.value)
            obj.docstring.value = re.sub('^Keys:$', 'Keyword Args:', text, flags=re.MULTILINE)
