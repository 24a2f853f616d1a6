"""The fixtures of tests/support.py: prise, serve."""

# pylint: disable=unused-import
from support import Daemon, Prise, free_port, has_ipv6, wait_until  # noqa: F401
from support import prise, pytest_collection_modifyitems, serve  # noqa: F401
from peers import datagrams, peer  # noqa: F401
