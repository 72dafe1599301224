"""The sign-up."""

from django import forms

from .models import Member


class JoinForm(forms.ModelForm):
    """A new member's name and address."""

    class Meta:
        model = Member
        fields = ["name", "email"]
        help_texts = {"email": "Any address will do: no mail leaves this machine."}
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "name"}),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
        }
