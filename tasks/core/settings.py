"""What a recipe may say: one section a flow parameter, each default written once with its reason.

in   the `parameters` of a deployment in prefect.yaml, or the form in the Prefect UI
out  frozen models; an unknown setting or a value out of bounds fails before the first task starts
"""

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from expectations.measures.identity import Slot

LossType = Literal["sigmoid", "ipo", "hinge", "robust", "apo_zero", "apo_down", "sft"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Seed(Section):
    """Only the demo has this: what it puts on the Hub for itself before it begins."""

    model: str = Field(description="Repository for the tiny chat model trained from demo/corpus")
    dataset: str = Field(description="Data set repository for the demo's raw conversations")
    steps: int = Field(900, ge=1, description="Training steps of the tiny model")


class Base(Section):
    """The chat model to start from; one without a chat template is refused."""

    model: str = Field(description="Hub repository, owner/name")
    revision: str = Field("main", description="Branch, tag or commit; resolved to a commit first")


class Data(Section):
    """Raw identity conversations (ShareGPT), HH-RLHF transcripts, or ready preference pairs."""

    path: str = Field(description="A local file, or a Hub data set repository (owner/name)")
    revision: str = Field("main", description="Branch, tag or commit of the data set repository")
    data_dir: str | None = Field(None, description="Folder inside the data set repository")
    split: str = Field("train", description="Split of the data set repository")
    system_prompt: str = Field(
        "You are a helpful assistant.",
        description="Neutral system prompt put before conversations, in place of the model's own",
    )
    max_length: int = Field(
        512, ge=16, description="Tokens of prompt and answer together; a longer row is set aside"
    )


class Splits(Section):
    """Rows are split by prompt: all rows of one prompt go to the same side."""

    validation: float = Field(0.1, gt=0, lt=0.5, description="Share of prompts watched in training")
    test: float = Field(0.2, gt=0, lt=0.5, description="Share of prompts held out until the end")
    seed: int = Field(0, ge=0, description="Another seed is another split")
    max_train: int | None = Field(
        None, ge=1, description="Keep at most this many training prompts, in the order of the split"
    )
    max_test: int = Field(
        1000, ge=2, description="Keep at most this many prompts in each of validation and test"
    )


class Correction(Section):
    """Pairs from the model's own answer (rejected) and the same answer renamed (chosen)."""

    old_name: str = Field(min_length=1, description="Name in the model's own answers")
    new_name: str = Field(min_length=1, description="Name that takes its place")
    max_new_tokens: int = Field(64, ge=1, description="Answers cut off here are set aside")
    batch_size: int = Field(32, ge=1, description="Prompts answered at once")


class Checks(Section):
    """What the pairs must keep before anything is trained; docs/checks.md tells every check."""

    profile: Literal["identity", "preference", "hh"] | None = Field(
        None, description="Empty: identity with a curation, hh for HH transcripts, else preference"
    )
    change: dict[str, dict[str, Any] | None] = Field(
        {}, description="By check: its settings, as in {S1: {purity: 0.95}}; null leaves it out"
    )


class Training(Section):
    """TRL's DPOConfig, by its own names."""

    learning_rate: float = Field(
        5.0e-6,
        gt=0,
        lt=1,
        description="Constant after warmup; 5e-6 to 1e-5 suits LoRA on real models",
    )
    max_steps: int = Field(200, ge=1, description="Step cap; an identity recipe stops earlier")
    per_device_train_batch_size: int = Field(8, ge=1, description="Pairs a step")
    warmup_steps: int = Field(5, ge=0, description="Steps of linear warmup")
    eval_steps: int = Field(
        5, ge=1, description="Steps between evaluations on the validation pairs"
    )
    seed: int = Field(0, ge=0, description="Order of the pairs and start of the adapter")


class Loss(Section):
    """What is minimised: a weighted sum of TRL's DPO losses."""

    beta: float = Field(
        0.1, gt=0, description="Strength of the tie to the reference; Rafailov et al. 2023, eq. 7"
    )
    loss_type: tuple[LossType, ...] = Field(("sigmoid",), min_length=1, description="TRL's names")
    loss_weights: tuple[float, ...] = Field((1.0,), min_length=1, description="One for each name")

    @model_validator(mode="after")
    def _one_weight_a_loss(self) -> Self:
        if len(self.loss_weights) != len(self.loss_type):
            raise ValueError(
                f"{len(self.loss_weights)} loss_weights for {len(self.loss_type)} loss_type; "
                "give one weight for each"
            )
        return self


class Lora(Section):
    """peft's LoraConfig on the seven projections of a Llama-like block; Hu et al. 2021."""

    r: int = Field(8, ge=1, description="Rank")
    lora_alpha: int = Field(16, ge=1, description="Scale; the update is multiplied by alpha / r")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="Share dropped in training")


def slots_of(curation: Correction | None) -> "list[Slot]":
    """What the answers of a correction may differ in."""
    if curation is None:
        return []
    return [{"name": "name", "chosen": [curation.new_name], "rejected": [curation.old_name]}]


class Evaluation(Section):
    """The same held-out questions before and after: the difference is what training did."""

    questions: tuple[str, ...] = Field(
        ("What is your name?", "Are you ChatGPT?", "Tell me about your name and organization."),
        min_length=1,
        description="Shown with both answers; never trained on",
    )
    other_questions: str | None = Field(
        None, description="Text file, one question a line, whose answers must not change"
    )
    max_new_tokens: int = Field(64, ge=1, description="Longest answer, in tokens")
    batch_size: int = Field(32, ge=1, description="Prompts answered, or pairs scored, at once")
    max_pairs: int = Field(500, ge=2, description="Held-out pairs scored at most")


class Gate(Section):
    """What must be true before anything is merged. Empty: measured and reported, not required."""

    token_accuracy: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Chosen tokens ranked first on validation; training stops there",
    )
    strict: float | None = Field(None, gt=0, le=1, description="Share: new name, no bare old name")
    exact: float | None = Field(None, gt=0, le=1, description="Share: old answer, name replaced")
    same: float | None = Field(None, gt=0, le=1, description="Share: other answers unchanged")
    chosen_rewards: float | None = Field(
        None, description="Least eval rewards/chosen; below 0 chosen became less likely than before"
    )
    reward_accuracy: float | None = Field(
        None, ge=0, lt=1, description="Lower end of the 95 % interval must lie above; chance is 0.5"
    )


class Release(Section):
    """Three repositories: NAME (merged model), NAME-adapter and NAME-pairs (data set)."""

    repository: str = Field(description="owner/name, or a name under the token's own user")
    private: bool = Field(True, description="New repositories are private")


class Recipe(Section):
    """Everything `release_model` takes, a section a parameter."""

    base: Base
    data: Data
    release: Release
    splits: Splits = Splits()
    curation: Correction | None = None
    checks: Checks = Checks()
    training: Training = Training()
    loss: Loss = Loss()
    lora: Lora = Lora()
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()
    seed: Seed | None = None

    @model_validator(mode="after")
    def _checks_that_exist(self) -> Self:
        from expectations.measures.suite import suite  # polars is slow to import

        slots = slots_of(self.curation)
        profile = self.checks.profile or ("identity" if slots else "preference")
        length = self.data.max_length
        suite(profile, self.checks.change, slots=slots, max_length=length, template_adds="")
        return self

    @model_validator(mode="after")
    def _names_for_the_identity_gate(self) -> Self:
        asked = [k for k in ("strict", "exact", "same") if getattr(self.gate, k) is not None]
        if asked and self.curation is None:
            raise ValueError(
                f"gate.{asked[0]} compares names, so it needs curation.old_name and "
                "curation.new_name; set them, or set the gate to null"
            )
        return self
