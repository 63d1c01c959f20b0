import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("artifacts", "0002_initial"),
        ("projects", "0001_initial"),
        ("runs", "0004_metric_sections"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="RunParameter",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("group", models.CharField(max_length=16)),
                ("name", models.CharField(max_length=250)),
                ("number", models.FloatField(null=True)),
                ("text", models.CharField(max_length=250, null=True)),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="parameters",
                        to="runs.run",
                    ),
                ),
            ],
        ),
        migrations.RemoveIndex(
            model_name="run",
            name="run_newest_in_project",
        ),
        migrations.RemoveIndex(
            model_name="run",
            name="run_newest",
        ),
        migrations.RemoveIndex(
            model_name="runmetric",
            name="newest_metric_value",
        ),
        migrations.AlterField(
            model_name="run",
            name="created_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                fields=["-created_at", "-id", "project", "status", "recipe", "executor", "created_by", "name"],
                name="run_newest_listed",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                fields=["project", "-created_at", "-id", "status", "recipe", "executor", "created_by", "name"],
                name="run_newest_of_project",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                fields=["status", "-created_at", "-id", "project", "recipe", "executor", "created_by", "name"],
                name="run_newest_of_status",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["name", "-id", "project"], name="run_by_name"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["-progress", "-id", "project"], name="run_by_progress"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["-priority", "-id", "project"], name="run_by_priority"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["-completed_at", "-id", "project"], name="run_by_end"),
        ),
        migrations.AddIndex(
            model_name="runmetric",
            index=models.Index(
                condition=models.Q(("value__isnull", False)),
                fields=["key", "value", "run"],
                name="newest_metric_finite",
            ),
        ),
        migrations.AddIndex(
            model_name="runparameter",
            index=models.Index(
                condition=models.Q(("number__isnull", False)),
                fields=["group", "name", "number", "run"],
                name="run_parameter_number",
            ),
        ),
        migrations.AddIndex(
            model_name="runparameter",
            index=models.Index(
                condition=models.Q(("text__isnull", False)),
                fields=["group", "name", "text", "run"],
                name="run_parameter_text",
            ),
        ),
        migrations.AddConstraint(
            model_name="runparameter",
            constraint=models.UniqueConstraint(fields=("run", "group", "name"), name="run_parameter_once"),
        ),
        migrations.AddConstraint(
            model_name="runparameter",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("number__isnull", False), ("text__isnull", True)),
                    models.Q(("number__isnull", True), ("text__isnull", False)),
                    _connector="OR",
                ),
                name="run_parameter_number_or_text",
            ),
        ),
    ]
