"""What a recipe may say: one section a flow parameter, each default written once with its reason.

in   the `parameters` of a deployment in prefect.yaml, or the form in the Prefect UI
out  frozen models; an unknown setting or a value out of bounds fails before the first task starts

It is long because every setting of a recipe is here, where a person looks for it.
"""

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tasks.core.form_names import FormName
from tasks.core.spellings import name_slots

if TYPE_CHECKING:
    from expectations.measures.identity import Slot

Spelt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
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
    """Preference pairs or conversations of any common form; docs/forms.md lists them."""

    path: str = Field(
        description="A local file, folder or glob, or a Hub data set repository (owner/name)"
    )
    revision: str = Field("main", description="Branch, tag or commit of the data set repository")
    name: str | None = Field(None, description="Configuration of the data set repository")
    data_dir: str | None = Field(None, description="Folder inside the data set repository")
    data_files: str | None = Field(None, description="File or glob inside the data set repository")
    split: str = Field("train", description="Split of the data set repository")
    streaming: bool = Field(False, description="Read from the Hub without storing whole files")
    max_rows: int | None = Field(None, ge=1, description="Read at most this many rows")
    form: FormName | None = Field(None, description="Empty: told from the columns and first rows")
    turns: Literal["last", "every"] = Field(
        "last",
        description="Of a conversation: the last question, or every assistant turn a row of its "
        "own with what came before it",
    )
    system: Literal["keep", "replace", "drop"] | None = Field(
        None,
        description="What becomes of system messages; replace: `system_prompt` stands before every "
        "row. Empty: replace for conversations, keep for pairs",
    )
    system_prompt: str = Field(
        "You are a helpful assistant.",
        description="Neutral system prompt that is put before conversations",
    )
    placeholders: dict[str, str] = Field(
        {},
        description="By bare name, in any case: {name: Qwen} fills {{name}}, {{NAME}} and <NAME>. "
        "One that is left without a value refuses the run",
    )
    least_margin: float = Field(
        0.0, ge=0, description="Of scored answers: best and worst differ by more than this"
    )
    near_duplicates: float | None = Field(
        0.9,
        gt=0.5,
        le=1,
        description="Rows whose runs of three words agree to this share (Jaccard index, by "
        "MinHash) are one: the first stays. Empty: not looked for",
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


class Endpoint(Section):
    """A server that answers in the base model's place, by OpenAI's protocol."""

    url: str = Field(pattern=r"^https?://", description="Up to and including /v1")
    model: str = Field(min_length=1, description="What the server calls the base model")
    concurrency: int = Field(8, ge=1, le=256, description="Questions under way at once")
    timeout: float = Field(120.0, gt=0, description="Seconds for one answer")


class Rename(Section):
    """One name that changes. A slot may have several, as for the spellings of several scripts."""

    slot: str = Field("name", min_length=1, description="What is named, such as name or maker")
    old: tuple[Spelt, ...] = Field(min_length=1, description="Each name of it in the answers")
    new: Spelt = Field(description="What takes their place, in the same case")


class Correction(Section):
    """Pairs from the model's own answer (rejected) and the same answer renamed (chosen)."""

    renames: tuple[Rename, ...] = Field(
        min_length=1, description="strict and leak ask about the slot of the first"
    )
    max_new_tokens: int = Field(64, ge=1, description="Answers cut off here are set aside")
    batch_size: int = Field(32, ge=1, description="Prompts answered at once")
    endpoint: Endpoint | None = Field(
        None, description="Where to ask instead of here; it must serve the base model"
    )

    @model_validator(mode="after")
    def _one_new_name_for_each_old(self) -> Self:
        names: dict[str, Rename] = {}
        for one in self.renames:
            for old in one.old:
                if names.setdefault(old, one) is not one:
                    raise ValueError(
                        f"renames: {old!r} becomes {names[old].new!r} and {one.new!r}; "
                        "leave it out of one of them"
                    )
        olds = {old.casefold() for old in names}
        for one in self.renames:
            if one.new.casefold() in olds:
                raise ValueError(
                    f"renames: {one.new!r} takes the place of {one.old[0]!r} and is an old name "
                    "itself, at most in another case: no pair could show which is meant. Choose "
                    "another new name"
                )
        return self


class Rule(Section):
    """Points for an answer of which one thing is true; exactly one of the four is set."""

    pattern: str | None = Field(None, min_length=1, description="A regular expression is found")
    longer_than: int | None = Field(None, ge=0, description="It has more words than this")
    shorter_than: int | None = Field(None, ge=1, description="It has fewer words than this")
    refusal: bool | None = Field(
        None, description="It refuses (true), or does not (false); in English or Chinese"
    )
    score: float = Field(description="Added to the answer's score")

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        given = [
            name
            for name in ("pattern", "longer_than", "shorter_than", "refusal")
            if getattr(self, name) is not None
        ]
        if len(given) != 1:
            raise ValueError(
                f"a rule asks one thing, this one {len(given)} ({', '.join(given) or 'nothing'}). "
                "Set one of pattern, longer_than, shorter_than, refusal"
            )
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(
                    f"pattern {self.pattern!r} is no regular expression ({error})"
                ) from error
        return self


class OnPolicy(Section):
    """Pairs from several sampled answers to each prompt: the best against the worst."""

    samples: int = Field(4, ge=2, description="Answers to each prompt")
    temperature: float = Field(1.0, gt=0, description="Of sampling; lower is nearer to greedy")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus; Holtzman et al. 2020")
    seed: int = Field(0, ge=0, description="Another seed samples other answers")
    max_new_tokens: int = Field(128, ge=1, description="Answers cut off here are set aside")
    batch_size: int = Field(32, ge=1, description="Answers sampled, or scored, at once")
    endpoint: Endpoint | None = Field(
        None, description="Where to ask instead of here; it must serve the base model"
    )
    reward_model: str | None = Field(
        None, description="Hub repository of a sequence classifier with one output"
    )
    reward_revision: str = Field("main", description="Branch, tag or commit of the reward model")
    rules: tuple[Rule, ...] = Field((), description="Instead of a reward model: points by rules")
    least_margin: float = Field(
        0.0, ge=0, description="Best and worst differ by more than this, or the prompt is left out"
    )
    most_alike: float = Field(
        0.9,
        gt=0,
        le=1,
        description="A pair whose answers share a larger part of their words teaches too little",
    )

    @model_validator(mode="after")
    def _one_judge(self) -> Self:
        if (self.reward_model is None) == (not self.rules):
            raise ValueError("give a reward_model or rules, not both and not neither")
        return self


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
    """What the answers of a correction may differ in: every spelling of the renames."""
    return name_slots(curation.renames) if curation else []


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
    exact: float | None = Field(
        None, gt=0, le=1, description="Share: old answer, all names replaced"
    )
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
    on_policy: OnPolicy | None = None
    checks: Checks = Checks()
    training: Training = Training()
    loss: Loss = Loss()
    lora: Lora = Lora()
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()
    seed: Seed | None = None

    @model_validator(mode="after")
    def _checks_that_exist(self) -> Self:
        from expectations.measures.suite import profile_of, suite  # polars is slow to import

        slots = slots_of(self.curation)
        profile = self.checks.profile or profile_of(bool(slots), False)
        length = self.data.max_length
        suite(profile, self.checks.change, slots=slots, max_length=length, template_adds="")
        return self

    @model_validator(mode="after")
    def _one_way_to_make_pairs(self) -> Self:
        if self.curation is not None and self.on_policy is not None:
            raise ValueError("curation and on_policy both make pairs; set one of them to null")
        return self

    @model_validator(mode="after")
    def _names_for_the_identity_gate(self) -> Self:
        asked = [k for k in ("strict", "exact", "same") if getattr(self.gate, k) is not None]
        if asked and self.curation is None:
            raise ValueError(
                f"gate.{asked[0]} compares names, so it needs curation.renames; "
                "set them, or set the gate to null"
            )
        return self
