"""Suites that state promises once, run against everything that must keep them."""

import pytest

pytest.register_assert_rewrite("tests.suites.store_promises")
