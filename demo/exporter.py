"""Metrics of the demo's server for Prometheus, where DEMO_METRICS_PORT names a port; with one worker alone."""

import os
import sys

from django.apps import AppConfig


class ExporterConfig(AppConfig):
    name = "demo.exporter"
    label = "demo_exporter"
    path = os.path.dirname(__file__)

    def ready(self) -> None:
        port = os.environ.get("DEMO_METRICS_PORT")
        if port is None or "gunicorn" not in sys.argv[0]:
            return
        from opentelemetry import metrics
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from opentelemetry.sdk.metrics import MeterProvider
        from prometheus_client import start_http_server

        metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))
        start_http_server(int(port), "127.0.0.1")
