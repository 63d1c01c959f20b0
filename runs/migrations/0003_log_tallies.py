"""Lines of each kind are counted as running tallies; the newest values know how many points they hold."""

import json
import zlib
from collections import Counter

from django.db import migrations, models

CHUNKS_AT_ONCE = 50


def tally_chunks(apps, schema_editor):
    """Count the lines of every chunk in order; the counter takes over the last tally and the size of that chunk."""
    chunks = apps.get_model("runs", "LogChunk").objects
    for counter in apps.get_model("runs", "TelemetryCounter").objects.filter(log_lines__gt=0).iterator():
        counts = Counter()
        place, last = 0, None
        while rows := list(
            chunks.filter(run_id=counter.run_id, first_line__gte=place).order_by("first_line")[:CHUNKS_AT_ONCE]
        ):
            for last in rows:
                counts.update(kinds_of(last.payload))
                last.tally = [[*kind, count] for kind, count in sorted(counts.items())]
            chunks.bulk_update(rows, ["tally"])
            place = last.first_line + 1
        if last is not None:
            counter.log_tally, counter.log_open_lines, counter.log_open_bytes = last.tally, last.lines, last.text_bytes
            counter.save(update_fields=["log_tally", "log_open_lines", "log_open_bytes"])


def kinds_of(payload):
    columns = json.loads(zlib.decompress(payload))
    attempts = (number for number, lines in columns["attempt"] for _ in range(lines))
    return zip(attempts, bytes.fromhex(columns["stream"]), bytes.fromhex(columns["level"]), strict=True)


class Migration(migrations.Migration):
    dependencies = [("runs", "0002_executor_lock")]

    operations = [
        migrations.RemoveField(model_name="logchunk", name="level_counts"),
        migrations.AddField(
            model_name="logchunk",
            name="tally",
            field=models.JSONField(
                default=list, help_text="[attempt, stream, level, lines so far] of each kind of line."
            ),
        ),
        migrations.AddField(
            model_name="telemetrycounter",
            name="log_tally",
            field=models.JSONField(default=list, help_text="As LogChunk.tally, of the whole log."),
        ),
        migrations.AddField(
            model_name="telemetrycounter",
            name="log_open_lines",
            field=models.IntegerField(default=0, help_text="Lines in the newest chunk."),
        ),
        migrations.AddField(
            model_name="telemetrycounter",
            name="log_open_bytes",
            field=models.IntegerField(default=0, help_text="UTF-8 bytes of text in the newest chunk."),
        ),
        migrations.AddField(
            model_name="telemetrycounter",
            name="newest_points",
            field=models.BigIntegerField(default=0, help_text="Points of those batches: of metric_points, how many."),
        ),
        migrations.RunPython(tally_chunks, migrations.RunPython.noop, elidable=True),
        migrations.AddIndex(
            model_name="telemetrycounter",
            index=models.Index(
                condition=models.Q(metric_points__gt=models.F("newest_points")),
                fields=["newest_at"],
                name="newest_lagging",
            ),
        ),
    ]
