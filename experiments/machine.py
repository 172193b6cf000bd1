"""What a measurement was made on."""

import platform

import jax


def facts() -> dict[str, str | int]:
    """The devices and versions behind a figure, for results.json."""
    return {
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }
