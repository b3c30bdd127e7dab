"""A saved predictor as a web service, with a page for people and an interface for programs."""

from ktlite._extras import needs_extra

with needs_extra("serve", "serving"):
    import fastapi  # noqa: F401
    import prometheus_client  # noqa: F401
    import uvicorn  # noqa: F401

from ktlite.deploy.serving.app import create_app
from ktlite.deploy.serving.limits import Limits
from ktlite.deploy.serving.server import serve

__all__ = ["Limits", "create_app", "serve"]
