#!/usr/bin/env python3
"""Reads a load test's latency.hlog with HdrHistogram's own Python package and holds it against report.json.

    hlog.py DIR        DIR has latency.hlog and report.json

The seconds of the log, added up, must be the distribution that the report summarises: the same number of latencies, and
the same percentiles to one part in a hundred. Ends with 1 and says what differs otherwise.
"""

import json
import sys
from pathlib import Path

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

# One hour in microseconds, three significant digits: as the log is written.
HIGHEST_US, DIGITS = 3_600_000_000, 3
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
TOLERANCE = 0.01


def read(path):
    """All seconds of a log added up, by tag."""
    total = {}
    reader = HistogramLogReader(str(path), HdrHistogram(1, HIGHEST_US, DIGITS))
    while (second := reader.get_next_interval_histogram()) is not None:
        tag = second.get_tag()
        total.setdefault(tag, HdrHistogram(1, HIGHEST_US, DIGITS)).add(second)
    return total


def differences(log, report):
    for tag in ("receipt", "feed"):
        stated, measured = report["latency_us"][tag], log.get(tag)
        count = measured.get_total_count() if measured else 0
        if count != stated["count"]:
            yield f"{tag}: {count} latencies in the log, {stated['count']} in the report"
            continue
        if count == 0:
            continue
        for name, percentile in PERCENTILES.items():
            value = measured.get_value_at_percentile(percentile)
            if abs(value - stated[name]) > max(2, TOLERANCE * stated[name]):
                yield f"{tag} {name}: {value} us in the log, {stated[name]} us in the report"


def main():
    folder = Path(sys.argv[1])
    report = json.loads((folder / "report.json").read_text())
    found = list(differences(read(folder / "latency.hlog"), report))
    for difference in found:
        print(difference, file=sys.stderr)
    if not found:
        print(f"latency.hlog agrees with report.json: {report['latency_us']['receipt']['count']} receipts")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
