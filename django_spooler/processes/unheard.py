"""Log records that nobody takes, which a runner does not make.

Django's Tasks framework logs the start and the end of each task at INFO, and this package that it
succeeded. As Django comes, no handler takes these outside DEBUG, and making them costs more than many
a task.
"""

import logging

from django.conf import settings
from django.utils.log import RequireDebugTrue

from ..compat import framework_logger
from ..logs import handlers_of
from ..logs import logger as own_logger


def spare_unheard_records() -> None:
    """Let the INFO records about tasks of this process be, where they would reach no handler."""
    for logger in (framework_logger, own_logger):
        if logger.isEnabledFor(logging.INFO) and not _is_heard(logger):
            logger.setLevel(logging.WARNING)


def _is_heard(logger: logging.Logger) -> bool:
    if logger.filters or logging.Logger.callHandlers.__module__ != "logging":
        return True  # a monitoring tool that put its own in the method's place
    return any(_takes_info(handler) for handler in handlers_of(logger))


def _takes_info(handler: logging.Handler) -> bool:
    if handler.level > logging.INFO:
        return False
    return settings.DEBUG or not any(type(one) is RequireDebugTrue for one in handler.filters)
