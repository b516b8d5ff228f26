"""How a measure becomes a Great Expectations expectation, with a page to read.

in   a pandas frame whose columns are polars' own Arrow columns (`expectations.gate` makes it), and
     the measure that a subclass names
out  expectation: success, an observed value, the finding under result["details"], and the texts
     and the table of Data Docs
     https://docs.greatexpectations.io/docs/core/customize_expectations/
"""

# Great Expectations' base classes and decorators have no types that a strict reading accepts.
# mypy: disable-error-code="misc,untyped-decorator"

import re
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar

import polars as pl
from great_expectations.compatibility import pydantic as v1
from great_expectations.core import ExpectationValidationResult
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation, MetaExpectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.render import (
    LegacyDiagnosticRendererType,
    LegacyRendererType,
    RenderedStringTemplateContent,
    RenderedTableContent,
)
from great_expectations.render.renderer.renderer import renderer

from expectations.measures.measure import Measure, RowMeasure
from expectations.measures.pairs import Pairs
from expectations.measures.telling import cells, summary, visible

PAIRS = "pairs"

# What a suite asks of the next batch: a metric is not told, and the checks of single rows are
# answered in one pass when it is known. Unknown, each of them reads by itself.
ASKED: ContextVar[Sequence[Measure]] = ContextVar("asked", default=())
# Called after each check, for whoever shows how far a long suite has come.
ANSWERED: ContextVar[Callable[[], None]] = ContextVar("answered", default=lambda: None)


class PairsOfBatch(TableMetricProvider):
    """The batch as `Pairs`. It is a metric, so that all checks get the same object and those that
    share counts find them again."""

    metric_name = PAIRS

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        **_: Any,
    ) -> Pairs:
        frame, _domain, _accessor = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        converted = pl.from_pandas(frame)
        assert isinstance(converted, pl.DataFrame)
        pairs = Pairs(converted)
        pairs.read_ahead([measure for measure in ASKED.get() if isinstance(measure, RowMeasure)])
        return pairs


class FieldsOfMeasure(MetaExpectation):
    """Gives a class the fields of the measure that it names, each with its default and reason.

    `severity` is a field of every expectation already. Great Expectations takes "critical" for the
    default of all classes when it stores one, so a measure's own "warning" is set by `__init__`.
    """

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        if measure := body.get("measure"):
            fields = {k: f for k, f in measure.model_fields.items() if k != "severity"}
            for key, field in fields.items():
                default = ... if field.is_required() else field.get_default()
                body[key] = v1.Field(default, description=field.description)
            types = {key: field.annotation for key, field in fields.items()}
            body["__annotations__"] = body.get("__annotations__", {}) | types
            body["success_keys"] = tuple(fields)
        return super().__new__(mcs, name, bases, body)


class PairsExpectation(BatchExpectation, metaclass=FieldsOfMeasure):
    """Base of the expectations; a subclass gives its `measure`."""

    measure: ClassVar[type[Measure]]
    metric_dependencies: ClassVar[tuple[str, ...]] = (PAIRS,)

    def __init__(self, **fields: Any) -> None:
        default = self.measure.model_fields["severity"].default
        super().__init__(**({"severity": default} | fields))

    @v1.root_validator(skip_on_failure=True)
    def _means_something(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Bounds and sense are the measure's own to judge."""
        cls._measure_of(values)
        return values

    @classmethod
    def _measure_of(cls, values: dict[str, Any]) -> Measure:
        fields = {key: values[key] for key in cls.success_keys}
        return cls.measure(**fields, severity=values["severity"].value)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        details = self._measure_of(dict(self)).judge(metrics[PAIRS]).as_dict()
        ANSWERED.get()()
        return {
            "success": details["passed"],
            "result": {"observed_value": summary(details["observed"]), "details": details},
        }

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    def _prescriptive_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> list[RenderedStringTemplateContent]:
        severity = "critical" if configuration is None else configuration.severity.value
        words = re.sub(r"(?<!^)(?=[A-Z])", " ", cls.__name__).capitalize()
        badge = "badge-danger" if severity == "critical" else "badge-warning"
        return [
            _text("$words ($check) ", "strong", words=words, check=cls.measure.check),
            _text("$severity", "span", badge, severity=severity),
        ]

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.STATUS_ICON)
    def _diagnostic_status_icon_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> RenderedStringTemplateContent:
        icon = super()._diagnostic_status_icon_renderer(result=result)
        details = _details(result)
        if details and not details["passed"] and details["severity"] == "warning":
            classes = ["fas", "fa-exclamation-circle", "text-warning"]
            icon.string_template["styling"]["params"]["icon"]["classes"] = classes
        return icon

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_STATEMENT)
    def _diagnostic_unexpected_statement_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> list[RenderedStringTemplateContent]:
        if (details := _details(result)) is None:
            return [_text("Crashed: this check says nothing about the data.", "p")]
        status = "Failed" if details["severity"] == "critical" else "Warning"
        status = "Passed" if details["passed"] else status
        texts = [
            _text(f"{status}: $number. $promise", "p", **_named(details, "number", "promise")),
            _text("Allowed: $threshold", "p", **_named(details, "threshold")),
        ]
        if not details["passed"]:
            texts.append(_text("What to do: $remedy", "p", **_named(details, "remedy")))
        return texts

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_TABLE)
    def _diagnostic_unexpected_table_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> list[RenderedTableContent] | None:
        details = _details(result)
        if details is None or not details["examples"]:
            return None
        return [
            RenderedTableContent(
                content_block_type="table",
                header_row=["Row", "Why", "End of the prompt", "Chosen", "Rejected"],
                table=[
                    [_text("$cell", "span", cell=cell) for cell in cells(example)]
                    for example in details["examples"]
                ],
                # The classes need a style sheet from the net, the attributes are there without it.
                styling={
                    "body": {
                        "classes": ["table", "table-sm", "table-bordered", "mt-3"],
                        "attributes": {"border": "1", "cellpadding": "4", "cellspacing": "0"},
                    }
                },
            )
        ]

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.OBSERVED_VALUE)
    def _diagnostic_observed_value_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> Any:
        if result is None or _details(result) is None:
            return "--"
        # Not from the details: the store has put their names into alphabetical order.
        seen = result.result["observed_value"].splitlines()
        lines = {f"v{i}": line for i, line in enumerate(seen)}
        return _text("\n".join(f"${key}" for key in lines), "span", **lines)


def _details(result: ExpectationValidationResult | None) -> dict[str, Any] | None:
    details = result.result.get("details") if result is not None else None
    return details if isinstance(details, dict) else None


def _named(details: dict[str, Any], *names: str) -> dict[str, str]:
    return {name: visible(details[name]) for name in names}


def _text(template: str, tag: str, *classes: str, **params: str) -> RenderedStringTemplateContent:
    """Texts of the data travel as parameters: those Great Expectations escapes, templates not, and
    a "$" inside a parameter is only a dollar."""
    styling = {"classes": ["badge", *classes] if classes else []}
    return RenderedStringTemplateContent(
        content_block_type="string_template",
        string_template={"template": template, "params": params, "tag": tag, "styling": styling},
    )
