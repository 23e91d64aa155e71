"""Tests and notebooks run without what a reader has predicted and written: it is kept in memory only."""

import os

os.environ["RMT_LAB_ANSWERS"] = ""
