"""`bellcast job`: lists, retries and deletes dead jobs."""

from bellcast.cli import objects, options

job, app = options.group("job", "List, retry and delete jobs that failed several times in a row.")
group = objects.CommandGroup(commands=job, plural="jobs", key="The job's id.", key_name="ID")
group.add_list(
    lambda one: f"{one['id']}  {one['kind']}  {one['error'] or ''}".rstrip(),
    "List the dead jobs, with their last error.",
)
group.add_retry("Retry a dead job, and reset its failure count.")
group.add_delete("Delete a job. It never runs again.")
