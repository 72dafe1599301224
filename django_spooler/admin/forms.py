"""A form made from a task's signature: one field of JSON for each parameter."""

import json
from collections.abc import Mapping, Sequence
from inspect import Parameter
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..compat import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY, AnyTask
from ..message import Message
from ..redaction import MASK
from ..tasks import call_parameters

_MANY: dict[Any, type] = {Parameter.VAR_POSITIONAL: list, Parameter.VAR_KEYWORD: dict}
_PREFIX = "parameter-"


class JSONText(forms.CharField):
    """JSON text; unlike Django's field it tells null from nothing."""

    widget = forms.Textarea(attrs={"rows": 2, "cols": 60})

    def to_python(self, value: Any) -> Any:
        """Return the text if it is JSON."""
        text = super().to_python(value) or ""
        if text:
            try:
                json.loads(text)
            except (ValueError, RecursionError) as error:
                raise forms.ValidationError(
                    _("This is not JSON: %(error)s") % {"error": error}
                ) from error
        return text


class RoundForm(forms.Form):
    """How far an action has come: what one of its requests tells the next."""

    until = forms.FloatField(required=False, widget=forms.HiddenInput)
    """When all that matches was asked for (seconds since the epoch); what comes later is not meant."""

    position = forms.CharField(required=False, widget=forms.HiddenInput)
    """How far it has come among all that matches."""

    count = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)
    """Tasks it was done to so far."""

    total = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)
    """Tasks there were, as far as they were counted."""

    brief = forms.BooleanField(required=False, widget=forms.HiddenInput)
    """Whether the browser asks for the next round by itself."""

    @property
    def terms(self) -> dict[str, Any]:
        """What the action is told beside the task."""
        return {}


class PriorityForm(RoundForm):
    """The priority that waiting tasks are to have."""

    priority = forms.IntegerField(
        label=gettext_lazy("Priority"),
        min_value=TASK_MIN_PRIORITY,
        max_value=TASK_MAX_PRIORITY,
        help_text=gettext_lazy("-100 to 100; a higher one runs first."),
    )

    @property
    def terms(self) -> dict[str, Any]:
        """What the action is told beside the task."""
        return {"priority": self.cleaned_data["priority"]}


class CallForm(forms.Form):
    """One call of a task: its arguments, and when it runs."""

    priority = forms.IntegerField(
        label=gettext_lazy("Priority"), min_value=TASK_MIN_PRIORITY, max_value=TASK_MAX_PRIORITY
    )
    delay = forms.FloatField(
        label=gettext_lazy("Delay in seconds"), required=False, min_value=0, max_value=10**9
    )

    def __init__(
        self,
        task: AnyTask,
        *args: Any,
        call: Message | None = None,
        **kwargs: Any,
    ) -> None:
        """``call`` is what the fields show at first."""
        super().__init__(*args, **kwargs)
        self._parameters = call_parameters(task)
        self._hidden = frozenset(getattr(task, "redact", ()))
        self._original = self._sorted(call.args, call.kwargs) if call else {}
        self.fields["priority"].initial = call.priority if call else task.priority
        for parameter in self._parameters:
            self.fields[_PREFIX + parameter.name] = self._field(parameter)

    def _sorted(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a call by the names of the parameters they are for."""
        rest, named = list(args), dict(kwargs)
        values: dict[str, Any] = {}
        for parameter in self._parameters:
            if parameter.kind is Parameter.VAR_POSITIONAL:
                values[parameter.name], rest = rest, []
            elif parameter.kind is Parameter.VAR_KEYWORD:
                values[parameter.name] = named
            elif rest and parameter.kind is not Parameter.KEYWORD_ONLY:
                values[parameter.name] = rest.pop(0)
            elif parameter.name in named:
                values[parameter.name] = named.pop(parameter.name)
        return values

    def _field(self, parameter: Parameter) -> JSONText:
        initial = ""
        if parameter.name in self._original:
            hidden = parameter.name in self._hidden
            initial = json.dumps(MASK if hidden else self._original[parameter.name])
        return JSONText(
            label=str(parameter),
            required=parameter.default is Parameter.empty and parameter.kind not in _MANY,
            initial=initial,
            help_text=_('JSON, as in 7, "text" or [1, 2].'),
        )

    def clean(self) -> dict[str, Any]:
        """Refuse what the kinds of the parameters do not take."""
        for parameter in self._parameters:
            value = self._value(parameter)
            kind = _MANY.get(parameter.kind)
            if kind and value is not None and not isinstance(value, kind):
                text = _("It takes a JSON list.") if kind is list else _("It takes a JSON object.")
                self.add_error(_PREFIX + parameter.name, text)
        return self.cleaned_data

    def call(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments; a hidden one that was left as it was shown keeps its value."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        left_out = False
        for parameter in self._parameters:
            given = bool(self.cleaned_data.get(_PREFIX + parameter.name))
            value = self._value(parameter)
            if parameter.kind is Parameter.VAR_POSITIONAL:
                args += value or []
            elif parameter.kind is Parameter.VAR_KEYWORD:
                kwargs |= value or {}
            elif not given:
                left_out = True
            elif left_out or parameter.kind is Parameter.KEYWORD_ONLY:
                kwargs[parameter.name] = value
            else:
                args.append(value)
        return args, kwargs

    def _value(self, parameter: Parameter) -> Any:
        text = self.cleaned_data.get(_PREFIX + parameter.name)
        value = json.loads(text) if text else None
        if value == MASK and parameter.name in self._hidden and parameter.name in self._original:
            return self._original[parameter.name]
        return value
