from django.db import migrations, models

import demo_project.photos.models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Album",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("asked_at", models.DateTimeField(auto_now_add=True)),
                ("archive", models.FileField(blank=True, upload_to="albums")),
                ("pictures", models.PositiveIntegerField(default=0)),
            ],
            options={
                "ordering": ("-pk",),
            },
        ),
        migrations.CreateModel(
            name="Photo",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("title", models.CharField(blank=True, max_length=60)),
                (
                    "original",
                    models.FileField(
                        blank=True, storage=demo_project.photos.models.originals, upload_to=""
                    ),
                ),
                ("added_at", models.DateTimeField(auto_now_add=True)),
                ("views", models.PositiveIntegerField(default=0)),
                (
                    "picture",
                    models.ImageField(
                        blank=True,
                        height_field="picture_height",
                        upload_to="",
                        width_field="picture_width",
                    ),
                ),
                ("picture_width", models.PositiveIntegerField(editable=False, null=True)),
                ("picture_height", models.PositiveIntegerField(editable=False, null=True)),
                (
                    "thumbnail",
                    models.ImageField(
                        blank=True,
                        height_field="thumbnail_height",
                        upload_to="",
                        width_field="thumbnail_width",
                    ),
                ),
                ("thumbnail_width", models.PositiveIntegerField(editable=False, null=True)),
                ("thumbnail_height", models.PositiveIntegerField(editable=False, null=True)),
                ("ready_at", models.DateTimeField(editable=False, null=True)),
                (
                    "made_by",
                    models.PositiveIntegerField(editable=False, null=True, verbose_name="process"),
                ),
            ],
            options={
                "ordering": ("-pk",),
            },
        ),
    ]
