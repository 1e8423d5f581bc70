"""What the admin's console hangs on: its place in the index, and its three permissions."""

from .flags import OperationFlag


class Console(OperationFlag):
    """No table of its own: the page of all operations."""

    class Meta:
        proxy = True
        verbose_name = "console"
        verbose_name_plural = "Console: who answers what"
        default_permissions = ("view", "change")
        permissions = (("kill_console", "Can kill and release operations"),)
