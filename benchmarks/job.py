"""What is to be measured: one data set, one protocol, any methods, scales and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from benchmarks.metrics import create_metric
from benchmarks.metrics.base import ConsistencyMetric, DerivedMetric, DistributionMetric, ImageMetric, Metric
from benchmarks.store import SOURCE, CellKey, column_name
from benchmarks.store.parts import hash_json
from casarbi.data import DATASETS, create_dataset
from casarbi.data.base import Dataset
from casarbi.data.protocol import Protocol
from casarbi.errors import CasarbiError
from casarbi.plugin_source import plugin_source
from casarbi.scales import scale_label
from casarbi.sr import MODELS, SRModel, create_model

GROUND_TRUTH = "ground-truth"
"""Name under which the GT's own features are kept, as if it were a method."""


@dataclass(frozen=True)
class Job:
    """References and settings of one panel, as typed; small and picklable, so that workers can open it."""

    data: str
    protocol: Protocol
    scales: tuple[float, ...]
    models: tuple[str, ...]
    metrics: tuple[str, ...]
    seed: int = 0
    device: str = "cpu"


@dataclass
class Bench:
    """A job with everything it names opened: data set, metrics and models.

    Models are opened on first use. One that cannot be opened is remembered with its reason; the others go on.

    Attributes:
        job: what is to be measured.
        models: opened models by reference, which the jobs of one experiment may share.
        failed: reason for each model that could not be opened.
        sources: hash of the source behind each opened model, "" for those that are registered by name.
    """

    job: Job
    models: dict[str, SRModel] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.job.protocol.check(self.job.scales)
        self.metrics = {name: create_metric(name) for name in self.job.metrics}
        if any(isinstance(m, ConsistencyMetric) for m in self.metrics.values()) and not self.job.protocol.one_lr:
            raise CasarbiError(
                f"SelfSSIM compares outputs made from one LR, but protocol {self.job.protocol.name} makes an LR "
                "for each scale: use --protocol face or photo."
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
        """The model of a reference, or None where it could not be opened (see `failed`)."""
        if reference not in self.models and reference not in self.failed:
            try:
                model = create_model(reference)
                self.sources[reference] = plugin_source(reference, MODELS.names(), model)
                self.models[reference] = model.to(self.job.device)
            except CasarbiError as error:
                self.failed[reference] = str(error)
        return self.models.get(reference)

    @property
    def methods(self) -> list[str]:
        """References of the models that open, and the ground truth where a metric compares distributions."""
        methods = [reference for reference in self.job.models if self.model(reference)]
        return [*methods, GROUND_TRUTH] if self.feature_columns() else methods

    def key(self, method: str, scale: float) -> CellKey:
        """The cell of a method at a scale."""
        model = None if method == GROUND_TRUTH else self.model(method)
        identity = model.identity if model else {"method": GROUND_TRUTH}
        if source := self.sources.get(method):
            identity = {**identity, SOURCE: source}
        # The ground truth has no randomness: one cell serves every seed.
        seed = self.job.seed if model else 0
        return CellKey(identity, self.dataset.name, self.job.protocol.hash, scale, seed)

    def columns(self, method: str, scale: float) -> dict[str, Metric]:
        """Stored columns wanted of a cell, each with the metric that fills it."""
        columns: dict[str, Metric] = dict(self.feature_columns())
        if method == GROUND_TRUTH:
            return columns
        for metric in self.metrics.values():
            if isinstance(metric, DerivedMetric):
                metric = create_metric(metric.source)
            if isinstance(metric, ImageMetric):
                columns[column_name(metric.info.name, metric.identity)] = metric
            elif isinstance(metric, ConsistencyMetric):
                others = [other for other in self.job.scales if other != scale]
                columns |= {selfssim_column(metric, other): metric for other in others}
        return columns

    def feature_columns(self) -> dict[str, DistributionMetric]:
        """Feature columns wanted of every method and of the ground truth; FID and KID share one."""
        found = [m for m in self.metrics.values() if isinstance(m, DistributionMetric)]
        return {column_name(m.features_name, m.identity): m for m in found}


def open_benches(jobs: Sequence[Job]) -> list[Bench]:
    """Open jobs that run on one device; a model that several name is opened once."""
    models: dict[str, SRModel] = {}
    failed: dict[str, str] = {}
    sources: dict[str, str] = {}
    return [Bench(job, models, failed, sources) for job in jobs]


def stored_column(metric: Metric) -> str:
    """Column of a cell that a metric's value comes from (not SelfSSIM, which has one for each other scale)."""
    if isinstance(metric, DistributionMetric):
        return column_name(metric.features_name, metric.identity)
    source = create_metric(metric.source) if isinstance(metric, DerivedMetric) else metric
    return column_name(source.info.name, source.identity)


def selfssim_column(metric: ConsistencyMetric, reference_scale: float) -> str:
    """Column of a cell that holds SelfSSIM towards another scale."""
    return column_name(f"{metric.info.name}@{scale_label(reference_scale)}", metric.identity)
