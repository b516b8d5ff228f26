"""The Hub of all tests with its fault switch, cleared before and after each test."""

from collections.abc import Iterator

import pytest
from kilobytes import Switch

from localhub.client_env import Server


@pytest.fixture(scope="session")
def one_switch(hub: Server) -> Switch:
    return Switch(hub)


@pytest.fixture
def switch(one_switch: Switch) -> Iterator[Switch]:
    one_switch.clear()
    yield one_switch
    one_switch.clear()
