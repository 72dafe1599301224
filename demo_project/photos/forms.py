"""What a visitor may send."""

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat

from .models import Photo, new_name

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 50_000_000
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif"}


def check_size(file: UploadedFile) -> None:
    """Refuse a file that is too large, before it is looked into."""
    if file.size and file.size > MAX_BYTES:
        raise ValidationError(
            f"This file has {filesizeformat(file.size)}."
            f" The wall takes up to {filesizeformat(MAX_BYTES)}."
        )


class PictureField(forms.ImageField):
    """An image, looked into only when its size is fine."""

    def to_python(self, data: UploadedFile | None) -> UploadedFile | None:
        if data:
            check_size(data)
        return super().to_python(data)


class PhotoForm(forms.ModelForm):
    """A photo with an optional title."""

    original = PictureField(
        label="Picture",
        help_text="JPEG, PNG, WebP or GIF, up to 10 MB.",
        widget=forms.FileInput(
            attrs={
                "accept": "image/jpeg,image/png,image/webp,image/gif",
                "data-max-bytes": MAX_BYTES,
                "data-too-large": "This file is too large. The wall takes up to 10 MB.",
            }
        ),
    )

    class Meta:
        model = Photo
        fields = ["original", "title"]
        widgets = {"title": forms.TextInput(attrs={"placeholder": "optional"})}

    def clean_original(self) -> UploadedFile:
        """Refuse what we do not draw, and name the file ourselves."""
        file = self.cleaned_data["original"]
        suffix = SUFFIXES.get(file.image.format)
        if suffix is None:
            raise ValidationError(
                "This kind of picture is not known here. Send JPEG, PNG, WebP or GIF."
            )
        width, height = file.image.size
        if width * height > MAX_PIXELS:
            raise ValidationError(
                f"This picture has {width} × {height} pixels. The wall takes up to 50 megapixels."
            )
        file.name = new_name() + suffix
        return file
