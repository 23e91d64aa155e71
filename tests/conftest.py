"""Asserts in the files that several tests share are told as those in tests are."""

import pytest

pytest.register_assert_rewrite("browser", "drawn", "sources")
