"""The locustfile of test_locust.py: users of several agents; each process writes what it has measured."""

import json
import os
import sys
from pathlib import Path
from typing import ClassVar

from locust import LoadTestShape, constant, events, task
from locust.runners import MasterRunner, WorkerRunner
from runagent_locust import AgentUser, measure

MEASURED = Path(os.environ["MEASURED"])


class Asker(AgentUser):
    abstract = True
    client_options: ClassVar = {"max_retries": 0, "max_resumes": 0}
    wait_time = constant(0.05)

    @task
    def ask(self):
        name = "story" if self.agent_id == "writer" else self.agent_id
        self.stream(name, "Tell me a story", check=self.check)

    def check(self, run):
        assert run.text == "Once upon a time"


class Browser(Asker):
    agent_id = "writer"


class App(Asker):
    agent_id = "writer"
    transport = "websocket"


class Doubter(Asker):
    agent_id = "liar"
    transport = "chunked"
    fixed_count = 2


class Unlucky(Asker):
    agent_id = "broken"
    fixed_count = 2


class Early(Asker):
    agent_id = "overloaded"
    fixed_count = 2


class Patient(Asker):
    agent_id = "endless"
    fixed_count = 4


class UpAndDown(LoadTestShape):
    """Users for a while, then none: all that they have counted is reported before the master quits."""

    abstract = "--run-time" in sys.argv

    def tick(self):
        seconds = self.get_run_time()
        if seconds < 6:
            return 30, 100
        return (0, 100) if seconds < 11 else None


@events.init.add_listener
def write_at_end(environment, **_):
    def write(**_):
        kind = {MasterRunner: "master", WorkerRunner: "worker"}.get(type(environment.runner), "local")
        text = json.dumps(measure(environment).all.as_data())
        (MEASURED / f"{kind}-{os.getpid()}.json").write_text(text, encoding="utf-8")

    environment.events.quit.add_listener(write)
