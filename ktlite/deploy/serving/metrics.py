"""What a server counts, for Prometheus."""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
# Where several processes put their counts together; prometheus_client reads it, too.
SHARED = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters and histograms of one server."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._requests = Counter(
            "ktlite_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "ktlite_request_seconds",
            "From the request's arrival to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch = Histogram(
            "ktlite_batch_texts", "Texts run together.", buckets=_TEXTS, registry=registry
        )
        self._model = Histogram(
            "ktlite_batch_seconds", "Of a batch.", buckets=_SECONDS, registry=registry
        )
        self._waiting = Gauge(
            "ktlite_requests_waiting",
            "Requests that are being answered or wait for it.",
            multiprocess_mode="livesum",
            registry=registry,
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """Counts a request that was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, texts: int, seconds: float) -> None:
        """Counts a batch that was run."""
        self._batch.observe(texts)
        self._model.observe(seconds)

    def waiting(self, requests: int) -> None:
        """Notes how many requests there are."""
        self._waiting.set(requests)

    def text(self) -> bytes:
        """Returns everything in Prometheus' format, of all processes of the server."""
        registry = self._registry
        if SHARED in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry)
