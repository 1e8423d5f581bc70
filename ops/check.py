"""`make monitoring`: the dashboards and alerts of this folder on a real scrape of a real server.

Starts the demo with a Prometheus exporter and a Prometheus, breaks it a little, and asks every panel's query and every
alert's expression. Exits with 1 when a rule is none, an expression fails, or a panel stays empty.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
PORT, METRICS, PROMETHEUS = 8451, 9464, 9491
SECONDS = 75  # of traffic


def main() -> int:
    rules = HERE / "prometheus" / "rules.yml"
    subprocess.run(["promtool", "check", "rules", str(rules)], check=True)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo.settings")
    os.environ["DEMO_METRICS_PORT"] = str(METRICS)
    folder = Path(tempfile.mkdtemp(prefix="scorer-fast-monitoring-"))
    os.environ["DEMO_FAULT_FILE"] = str(folder / "fault")
    import django

    from demo import __main__ as demo

    demo.make_database()
    django.setup()  # without its exporter: that is the server's
    demo.seed()
    from demo import fault
    from demo.traffic import Traffic
    from scorer_fast.cutover import flags, rollout

    server = demo.serve(PORT, workers=1)
    prometheus = start_prometheus(folder, rules)
    clients = Traffic(PORT, rate=25)
    who = {"reason": "make monitoring", "by": "check"}
    try:
        demo.wait_for(PORT, server)
        flags.set_mode("v2_score", "split", 50, **who)
        flags.set_mode("internal_score", "shadow", **who)
        from datetime import UTC, datetime

        rollout.start("gtc_stake", "25,50", "1h", now=datetime.now(UTC), **who)
        clients.start()
        time.sleep(SECONDS / 2)
        fault.inject({fault.OPERATION: "throw"})
        time.sleep(SECONDS / 2)
        return report()
    finally:
        clients.end()
        for process in (server, prometheus):
            process.terminate()
            process.wait(15)
        shutil.rmtree(folder, ignore_errors=True)


def start_prometheus(folder: Path, rules: Path) -> subprocess.Popen[bytes]:
    config = folder / "prometheus.yml"
    config.write_text(
        json.dumps(  # which is YAML too
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "2s"},
                "rule_files": [str(rules)],
                "scrape_configs": [
                    {"job_name": "scorer_fast", "static_configs": [{"targets": [f"127.0.0.1:{METRICS}"]}]}
                ],
            }
        )
    )
    subprocess.run(["promtool", "check", "config", str(config)], check=True)
    return subprocess.Popen(
        ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data", "--log.level=error",
         f"--web.listen-address=127.0.0.1:{PROMETHEUS}"]
    )  # fmt: skip


def report() -> int:
    failed = 0
    dashboard = json.loads((HERE / "grafana" / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            query = target["expr"].replace("$operation", ".*").replace("$__rate_interval", "30s")
            found = len(ask("query", query=query)["result"])
            failed += not found
            print(f"{'ok' if found else 'EMPTY':<6} {found:>3} series  {panel['title']}: {target['legendFormat']}")
    (group,) = ask("rules")["groups"]
    for rule in group["rules"]:
        good = rule["health"] == "ok"
        failed += not good
        print(f"{'ok' if good else 'BAD':<6} {rule['state']:<10}  alert {rule['name']} {rule.get('lastError', '')}")
    return 1 if failed else 0


def ask(what: str, **parameters: str) -> Any:
    url = f"http://127.0.0.1:{PROMETHEUS}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]


if __name__ == "__main__":
    sys.exit(main())
