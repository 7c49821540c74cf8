"""What is to be measured: one data set, one protocol, any methods, scales and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.metrics import create_metric
from benchmarks.metrics.base import Column, Metric
from benchmarks.store import SOURCE, CellKey
from benchmarks.store.rows import hash_json
from casarbi.data import DATASETS, create_dataset
from casarbi.data.base import Dataset
from casarbi.data.protocol import Protocol
from casarbi.errors import CasarbiError
from casarbi.plugin_source import plugin_source
from casarbi.scales import scale_label
from casarbi.sr import MODELS, SRModel, create_model, image_seed

GROUND_TRUTH = "ground-truth"
"""Name under which the GT's own features are kept, as if it were a method."""


@dataclass(frozen=True)
class Job:
    """References and settings of one panel, as typed; small and picklable, so that workers can open it.

    Attributes:
        data, protocol, scales, models, metrics, seed, device: as measured.
        noise: how the scales of an image draw noise, one of `benchmarks.metrics.NOISES`.
        along: metrics of other tables, whose columns are filled while outputs are at hand: they never cause one.
    """

    data: str
    protocol: Protocol
    scales: tuple[float, ...]
    models: tuple[str, ...]
    metrics: tuple[str, ...]
    seed: int = 0
    device: str = "cpu"
    noise: str = "shared"
    along: tuple[str, ...] = ()


class OpenModels:
    """Models by reference, opened on first use and kept.

    Attributes:
        device: where they are opened.
        failed: reason for each model that could not be opened; the others go on.
        sources: hash of the source behind each opened model, "" for those that are registered by name.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.failed: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        self._opened: dict[str, SRModel] = {}

    def get(self, reference: str) -> SRModel | None:
        """The model of a reference, or None if it could not be opened."""
        if reference not in self._opened and reference not in self.failed:
            try:
                model = create_model(reference)
                self.sources[reference] = plugin_source(reference, MODELS.names(), model)
                self._opened[reference] = model.to(self.device)
            except CasarbiError as error:
                self.failed[reference] = str(error)
        return self._opened.get(reference)


class Bench:
    """A job with everything it names opened: data set, metrics and models.

    The jobs of one experiment may share their opened models.

    Raises:
        CasarbiError: if a metric cannot be opened, or the protocol does not fit the scales or a metric.
    """

    def __init__(self, job: Job, models: OpenModels | None = None) -> None:
        job.protocol.check(job.scales)
        self.job = job
        self.metrics = {name: create_metric(name).to(job.device) for name in job.metrics}
        self._along = [create_metric(name).to(job.device) for name in job.along]
        self._models = models or OpenModels(job.device)
        # Asked for with every image, and some models count their parameters to answer.
        self._keys: dict[tuple[str, float], CellKey] = {}
        self._noise: dict[str, str] = {}

        for metric in (*self.metrics.values(), *self._along):
            if metric.between_scales and not job.protocol.one_lr:
                raise CasarbiError(
                    f"{metric.info.label} compares outputs made from one LR, but protocol {job.protocol.name} makes "
                    "an LR per scale: use --protocol face or photo."
                )

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, opened and listed once."""
        return create_dataset(self.job.data)

    @cached_property
    def digests(self) -> dict[str, str]:
        """Digest of every image, in the data set's order; of a typed `module:factory`, its source is a part of it."""
        digests = {image_id: self.dataset.digest(image_id) for image_id in self.dataset.ids}
        source = plugin_source(self.job.data, DATASETS.names(), self.dataset)
        return {image: hash_json([digest, source]) for image, digest in digests.items()} if source else digests

    def model(self, reference: str) -> SRModel | None:
        """The model of a reference, or None if it could not be opened (see `failed`)."""
        return self._models.get(reference)

    @property
    def failed(self) -> Mapping[str, str]:
        """Reason for each model that could not be opened."""
        return self._models.failed

    @property
    def methods(self) -> list[str]:
        """References of the models that open, and the ground truth if a metric compares its features with theirs."""
        methods = [reference for reference in self.job.models if self.model(reference)]
        features = any(self.columns(GROUND_TRUTH, scale) for scale in self.job.scales)
        return [*methods, GROUND_TRUTH] if methods and features else methods

    def key(self, method: str, scale: float) -> CellKey:
        """The cell of a method at a scale."""
        if (method, scale) not in self._keys:
            self._keys[method, scale] = self._key(method, scale)
        return self._keys[method, scale]

    def _key(self, method: str, scale: float) -> CellKey:
        model = None if method == GROUND_TRUTH else self.model(method)
        identity = model.identity if model else {"method": GROUND_TRUTH}
        # A typed module:factory counts with the hash of its source: an edited file is another method.
        if source := self._models.sources.get(method):
            identity = {**identity, SOURCE: source}
        return CellKey(identity, self.dataset.name, self.job.protocol.hash, scale, self.seed(method, scale))

    def noise(self, method: str) -> str:
        """How the scales of a method draw noise: what draws none is measured once for both rules."""
        if method not in self._noise:
            model = None if method == GROUND_TRUTH else self.model(method)
            self._noise[method] = self.job.noise if model and model.info.stochastic else "shared"
        return self._noise[method]

    def seed(self, method: str, scale: float) -> int:
        """Seed of a method's run at a scale: the job's, or under independent noise one of the scale's own."""
        if method == GROUND_TRUTH:
            return 0  # it has no randomness: one cell serves every seed
        if self.noise(method) == "shared":
            return self.job.seed
        # 31 bits: a table's `seed` column and --seed hold such a number as it is.
        return image_seed(f"x{scale_label(scale)}", self.job.seed) >> 32

    def columns(self, method: str, scale: float) -> dict[str, Column]:
        """Columns that a cell of the store needs, by name; metrics may share one."""
        return self._columns(method, scale, self.metrics.values())

    def columns_along(self, method: str, scale: float) -> dict[str, Column]:
        """Columns that are filled if outputs at all scales are at hand (see `Job.along`)."""
        return self._columns(method, scale, self._along)

    def _columns(self, method: str, scale: float, metrics: Iterable[Metric]) -> dict[str, Column]:
        # Scores compare an output with the GT, so of the GT itself only features are kept.
        drawn = [metric.drawn(self.noise(method)) for metric in metrics]
        columns = [c for metric in drawn for c in metric.columns(scale, self.job.scales)]
        return {c.name: c for c in columns if c.is_features or method != GROUND_TRUTH}


def open_benches(jobs: Sequence[Job]) -> list[Bench]:
    """Open jobs that run on one device; a model that several name is opened once."""
    models = OpenModels(jobs[0].device) if jobs else None
    return [Bench(job, models) for job in jobs]
