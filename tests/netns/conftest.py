"""The fixtures of tests/support.py and tests/hosts.py: prise, serve, net."""

# pylint: disable=unused-import
from hosts import net  # noqa: F401
from support import Daemon, Prise, free_port, has_ipv6, wait_until  # noqa: F401
from support import prise, pytest_collection_modifyitems, serve  # noqa: F401
