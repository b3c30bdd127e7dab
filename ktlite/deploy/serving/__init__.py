"""A saved predictor as a web service, with a page for people and an interface for programs."""

from ktlite.errors import ArgumentError

try:
    import fastapi  # noqa: F401
    import prometheus_client  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise ArgumentError(
        f"serving needs {error.name}, which is not installed: pip install 'ktlite[serve]'."
    ) from None

from ktlite.deploy.serving.app import create_app
from ktlite.deploy.serving.limits import Limits
from ktlite.deploy.serving.server import serve

__all__ = ["Limits", "create_app", "serve"]
