"""Has Snakemake ask a cluster what became of jobs as often as it was told to.

Its plug-in asks ten seconds later each time that no job has ended, which is longer than a test's jobs take.
"""

import sys

if "snakemake" in sys.orig_argv:
    from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

    RemoteExecutor.next_seconds_between_status_checks = property(
        lambda self: self.workflow.remote_execution_settings.seconds_between_status_checks, lambda self, seconds: None
    )
