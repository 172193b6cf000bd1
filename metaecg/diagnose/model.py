"""A trained model that is ready to answer: an artefact and a work directory are loaded into it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from metaecg.data.library import Library
from metaecg.diagnose.background import Background, unlikeness
from metaecg.diagnose.calibration import Calibration, Row
from metaecg.diagnose.predictor import Predictor
from metaecg.errors import MetaecgError


class Form(NamedTuple):
    """The form of the recordings that a model reads.

    Attributes:
      hz: samples per second.
      samples: samples of each lead.
      leads: names of the leads, in order.
      scale: the step in mV to which signals are rounded.
      bandpass: (low, high) in Hz of the filter that recordings pass through, or None.
      processing: what was done to the library's recordings, in words.
    """

    hz: float
    samples: int
    leads: tuple[str, ...]
    scale: float = 0.001
    bandpass: tuple[float, float] | None = None
    processing: tuple[str, ...] = ()

    @classmethod
    def of(cls, library: Library) -> "Form":
        """The form of a library's records."""
        fields = (library.hz, library.signals.shape[1], library.leads, library.scale)
        return cls(*fields, library.bandpass, library.processing)

    def to_json(self) -> dict[str, Any]:
        """Numbers, texts and lists, for `json.dumps`."""
        values = self._asdict().items()
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Form":
        """Reads what `to_json` wrote.

        Raises:
          KeyError, TypeError, ValueError: a field is missing or of another type.
        """
        band = fields.get("bandpass")
        return cls(
            float(fields["hz"]),
            int(fields["samples"]),
            tuple(map(str, fields["leads"])),
            float(fields.get("scale", 0.001)),
            None if band is None else (float(band[0]), float(band[1])),
            tuple(map(str, fields.get("processing", ()))),
        )

    def check(
        self, library: Library, *, name: str = "library", reader: str = "the model reads"
    ) -> None:
        """Asserts that a library's records have this form.

        Args:
          library: the records.
          name: what the message calls the library.
          reader: who needs the form, in the message.

        Raises:
          MetaecgError: rate, length or leads differ; says both, and by which flags they agree.
        """
        mine = Form.of(library)
        if mine[:3] != self[:3]:
            differing = [flag for flag in self._flags() if flag not in mine._flags()]
            raise MetaecgError(
                f"{name}: {mine._words()}; {reader} {self._words()}: prepare the library alike, by "
                f"metaecg prepare … {' '.join(differing)}"
            )

    def windows_of(self, signals: Sequence[np.ndarray], names: Sequence[str]) -> list[np.ndarray]:
        """Recordings of this form, each as its windows: float32 [windows, samples, leads].

        Args:
          signals: [samples, leads], or [windows, samples, leads] of a longer one, in mV.
          names: what a message calls each of them.

        Raises:
          MetaecgError: one is not finite or of another shape.
        """
        needed = (self.samples, len(self.leads))
        for name, signal in zip(names, signals):
            shape = np.shape(signal)
            if shape[-2:] != needed or len(shape) > 3 or 0 in shape:
                turned = shape == needed[::-1]
                raise MetaecgError(
                    f"{name}: shape {shape}, and this model reads [samples, leads] {needed}"
                    + ("; transpose it" if turned else "")
                )
            if not np.isfinite(signal).all():
                raise MetaecgError(
                    f"{name}: there are missing samples (NaN); interpolate or cut them"
                )
        return [np.reshape(signal, (-1, *needed)).astype(np.float32) for signal in signals]

    def _flags(self) -> tuple[str, ...]:
        """What `metaecg prepare` makes a library of this form by."""
        seconds = self.samples / self.hz
        return f"--hz={self.hz:g}", f"--seconds={seconds:g}", f"--leads={','.join(self.leads)}"

    def _words(self) -> str:
        return f"{self.hz:g} Hz, {self.samples} samples, leads {' '.join(self.leads)}"

    def invented(self, count: int = 3) -> np.ndarray:
        """float32 [count, samples, leads] in mV to compare programs by: a beat a second, in noise.

        Like recordings, they are whole multiples of `scale`.
        """
        rng = np.random.default_rng(0)
        shape = (count, self.samples, len(self.leads))
        seconds = np.arange(self.samples)[None, :, None] / self.hz
        since = (seconds + rng.uniform(size=(count, 1, 1))) % rng.uniform(0.7, 1.2, (count, 1, 1))
        size = rng.uniform(-1.5, 1.5, (count, 1, shape[2]))
        signals = size * np.exp(-(((since - 0.3) / 0.02) ** 2)) + rng.normal(0, 0.05, shape)
        return np.rint(signals / self.scale).astype(np.float32) * np.float32(self.scale)


class Model(NamedTuple):
    """A trained model that is ready to answer.

    Attributes:
      predictor: the learner with its variables inside.
      calibration: what makes its answers mean what they say.
      form: of the recordings that it reads.
      provenance: where it comes from, for JSON.
      background: by which a diagnosis outside the candidates is noticed; None: it is not.
    """

    predictor: Predictor
    calibration: Calibration
    form: Form
    provenance: dict[str, Any]
    background: Background | None = None

    @property
    def origin(self) -> dict[str, Any]:
        """The provenance without its long parts: the recordings seen, and what was measured."""
        long = ("ancestry", "measured")
        return {key: value for key, value in self.provenance.items() if key not in long}

    def likeness(
        self, row: Row, queries: np.ndarray, examples: np.ndarray | None, slots: np.ndarray
    ) -> np.ndarray | None:
        """How like the examples of any label some recordings are, or None without a background.

        Args:
          row: of this way and shot.
          queries: float32 [Q, D], embeddings.
          examples: float32 [S, K], `placed`.
          slots: int [S], the label of each example.

        Returns:
          float [Q], of `Row.likeness`.
        """
        if self.background is None or examples is None:
            return None
        return row.likeness(unlikeness(self.background.place(queries), examples, slots))

    def placed(self, embeddings: np.ndarray) -> np.ndarray | None:
        """Embeddings in the space of the background, once for all queries; None without one."""
        return None if self.background is None else self.background.place(embeddings)
