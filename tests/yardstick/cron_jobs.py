"""The jobs that django-cron's tests run: its distribution has the tests, but not these.

They go by the names and the outcomes that the tests ask for.
"""

import time

from django_cron import CronJobBase, Schedule


class TestSuccessCronJob(CronJobBase):
    """Is always due."""

    code = "success"
    schedule = Schedule(run_every_mins=0)

    def do(self):
        pass


class TestErrorCronJob(CronJobBase):
    code = "error"
    schedule = Schedule(run_every_mins=0)

    def do(self):
        raise ValueError("as told")


class Test5minsCronJob(CronJobBase):
    code = "every 5 minutes"
    schedule = Schedule(run_every_mins=5)

    def do(self):
        pass


class Test5minsWithToleranceCronJob(CronJobBase):
    code = "every 5 minutes or so"
    schedule = Schedule(run_every_mins=5, run_tolerance_seconds=5)

    def do(self):
        pass


class TestRunAtTimesCronJob(CronJobBase):
    code = "at times"
    schedule = Schedule(run_at_times=["0:00", "0:05"])

    def do(self):
        pass


class Wait3secCronJob(CronJobBase):
    code = "long"
    schedule = Schedule(run_every_mins=5)

    def do(self):
        time.sleep(3)


class RunOnWeekendCronJob(CronJobBase):
    code = "weekends"
    schedule = Schedule(run_weekly_on_days=[5, 6], run_at_times=["0:00"])

    def do(self):
        pass


class NoCodeCronJob(CronJobBase):
    def do(self):
        pass


class RunOnMonthDaysCronJob(CronJobBase):
    code = "month's days"
    schedule = Schedule(run_monthly_on_days=[1, 10, 20], run_at_times=["0:00"])

    def do(self):
        pass


class RunEveryMinuteAndRemoveOldLogs(CronJobBase):
    code = "leaves one row"
    schedule = Schedule(run_every_mins=1)
    remove_successful_cron_logs = True

    def do(self):
        pass
