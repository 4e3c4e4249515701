"""Workflows of an app in code, as `bellcast serve --workflows` loads them."""

from bellcast import Workflows

workflows = Workflows()


@workflows.define("booking-created", type="booking")
def booking_created(flow):
    flow.inbox("bell", title="Booked by {{ data.client }}")
    with flow.when(flow.data.total >= 100):
        flow.python("risk", "score")
    with flow.branch("size") as size:
        with size.when(flow.results.risk.result.score > 10):
            flow.inbox("high", title="High")
        with size.otherwise():
            flow.inbox("low", title="Low")


@workflows.function("score")
def score(run):
    return {"score": run.data["total"] / 10, "attempt": run.attempt, "recipient": run.recipient["key"]}


@workflows.task("remind", cron="0 8 * * *")
def remind(task):
    task.notify("bob", title="Good morning")
