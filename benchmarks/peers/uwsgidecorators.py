"""The spooler as uWSGI itself offers it: values are text, and are passed as they are."""

from uwsgidecorators import spool

from benchmarks import board


@spool
def work(arguments: dict[str, str]) -> None:
    """Take some time."""
    board.work(float(arguments["seconds"]))


def enqueue(seconds: float) -> None:
    """Spool a call."""
    work.spool(seconds=str(seconds))
