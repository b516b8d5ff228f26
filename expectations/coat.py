"""How a measure becomes a Great Expectations metric and expectation, with a page to read.

in   a pandas frame whose columns are polars' own Arrow columns (`expectations.gate` makes it), and
     the measure that a subclass names
out  metric "pairs.<check>": the finding as a dict; expectation: success, an observed value, the
     finding under result["details"], and the texts and the table of Data Docs
     https://docs.greatexpectations.io/docs/core/customize_expectations/
"""

# Great Expectations' base classes and decorators have no types that a strict reading accepts.
# mypy: disable-error-code="misc,untyped-decorator"

import re
from collections.abc import Callable
from typing import Any, ClassVar

import polars as pl
from great_expectations.core import ExpectationValidationResult
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import ExecutionEngine, PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
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
from great_expectations.validator.metric_configuration import MetricConfiguration

from expectations.measures.finding import Finding

FRAME = "pairs.frame"


class PairsFrame(TableMetricProvider):
    """The batch as a polars frame. A metric of its own, so that all checks get the same object and
    the measures that share counts find them again."""

    metric_name = FRAME

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        **_: Any,
    ) -> pl.DataFrame:
        frame, _domain, _accessor = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        converted = pl.from_pandas(frame)
        assert isinstance(converted, pl.DataFrame)
        return converted


class Measured(TableMetricProvider):
    """Base of the metrics; a subclass gives `metric_name`, `measure` and, if any, `value_keys`."""

    measure: ClassVar[Callable[..., Finding]]

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        **_: Any,
    ) -> dict[str, Any]:
        return cls.measure(metrics[FRAME], **metric_value_kwargs).as_dict()

    @classmethod
    def _get_evaluation_dependencies(
        cls,
        metric: MetricConfiguration,
        configuration: ExpectationConfiguration | None = None,
        execution_engine: ExecutionEngine | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> dict[str, MetricConfiguration]:
        return {FRAME: MetricConfiguration(FRAME, metric.metric_domain_kwargs)}


class PairsExpectation(BatchExpectation):
    """Base of the expectations; a subclass gives `check` and the one metric it depends on."""

    check: ClassVar[str]

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine | None = None,
    ) -> dict[str, Any]:
        details = metrics[self.metric_dependencies[0]]
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
            _text("$words ($check) ", "strong", words=words, check=cls.check),
            _text("$severity", "span", badge, severity=severity),
        ]

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
        status = "Passed" if details["passed"] else "Failed"
        texts = [
            _text(f"{status}. $promise", "p", promise=details["promise"]),
            _text("Allowed: $threshold", "p", threshold=details["threshold"]),
        ]
        if not details["passed"]:
            texts.append(_text("What to do: $remedy", "p", remedy=details["remedy"]))
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
        columns = ("row", "why", "prompt_end", "chosen", "rejected")
        return [
            RenderedTableContent(
                content_block_type="table",
                header_row=["Row", "Why", "End of the prompt", "Chosen", "Rejected"],
                table=[
                    [_text("$cell", "span", cell=visible(example[column])) for column in columns]
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


def summary(observed: dict[str, float | int | str]) -> str:
    """{"pairs": 1000, "share": 0.0021} -> "pairs: 1,000" and "share: 0.0021", a line each."""
    return "\n".join(_line(*item) for item in observed.items())


def visible(value: float | int | str) -> str:
    """White space at the ends, and line ends, as signs: a page would swallow them."""
    if not isinstance(value, str):
        return f"{value:,}"
    inner = value.strip()
    head, tail = value[: len(value) - len(value.lstrip())], value[len(value.rstrip()) :]
    if not inner:
        head, tail = value, ""
    shown = head.replace(" ", "\u2423") + inner + tail.replace(" ", "\u2423")
    return shown.replace("\r", "\u240d").replace("\n", " \u21b5 ").replace("\t", "\u21e5")


def _line(name: str, value: float | int | str) -> str:
    shown = f"{value:.3g}" if isinstance(value, float) else visible(value)
    return f"{name.replace('_', ' ')}: {shown}"


def _details(result: ExpectationValidationResult | None) -> dict[str, Any] | None:
    details = result.result.get("details") if result is not None else None
    return details if isinstance(details, dict) else None


def _text(template: str, tag: str, *classes: str, **params: str) -> RenderedStringTemplateContent:
    """Texts of the data travel as parameters: those Great Expectations escapes, templates not, and
    a "$" inside a parameter is only a dollar."""
    styling = {"classes": ["badge", *classes] if classes else []}
    return RenderedStringTemplateContent(
        content_block_type="string_template",
        string_template={"template": template, "params": params, "tag": tag, "styling": styling},
    )
