"""Settings for all tests: no test fails because the machine was busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("zonelab", deadline=None)
settings.load_profile("zonelab")
