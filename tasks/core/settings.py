"""What a recipe may say: one section a flow parameter, each default written once with its reason.

in   the `parameters` of a deployment in prefect.yaml, or the form in the Prefect UI
out  frozen models; an unknown setting or a value out of bounds fails before the first task starts

It is long because every setting of a recipe is here, where a person looks for it.
"""

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from tasks.core.form_names import FormName
from tasks.core.sentences import GATE, GateSentence, TrainingSentence, needed_for, parse
from tasks.core.spellings import name_slots

if TYPE_CHECKING:
    from expectations.measures.identity import Slot

Spelt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
ALL_LINEAR = ("all-linear",)
# The Hub's rule but for what a pattern cannot say (no `--`, `..` or `.git`): the Hub's client does.
REPOSITORY = r"^(WORDS/)?WORDS$".replace("WORDS", r"[A-Za-z0-9_]+([.-]+[A-Za-z0-9_]+)*")
LossType = Literal["sigmoid", "ipo", "hinge", "robust", "apo_zero", "apo_down", "sft"]


def _listed(value: Any) -> Any:
    """One value where a list may stand: TRL takes both."""
    return value if value is None or isinstance(value, list | tuple) else (value,)


def _alone(value: tuple[str, ...]) -> tuple[str, ...]:
    if value != ALL_LINEAR and ALL_LINEAR[0] in value:
        raise ValueError("all-linear stands alone, or leave it out and name the layers")
    return value


def _share_or_whole(value: float) -> float:
    if value >= 1 and value != int(value):
        raise ValueError("is neither a whole number of steps nor a share below 1")
    return value


Listed = BeforeValidator(_listed)
Steps = Annotated[float, AfterValidator(_share_or_whole)]


BOUNDS = {
    "exclusiveMinimum": "above",
    "minimum": "at least",
    "exclusiveMaximum": "below",
    "maximum": "at most",
}


def _tell_ranges(schema: dict[str, Any]) -> None:
    """The form shows a bound only once it is broken, so each stands behind its description."""
    for field in schema["properties"].values():
        number, *_ = (one for one in field.get("anyOf", [field]) if one.get("type") != "null")
        of_each = "" if number is number.get("items", number) else "each "
        number = number.get("items", number)
        told = [f"{word} {number[name]:g}" for name, word in BOUNDS.items() if name in number]
        if told:
            field["description"] += f" ({of_each}{', '.join(told)})"


class Section(BaseModel):
    """At most six settings: a group in the form of the Prefect UI, with its docstring above it."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, json_schema_extra=_tell_ranges
    )


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
    name: str | None = Field(
        None, title="Configuration", description="Of the data set repository. None: its own"
    )
    data_dir: str | None = Field(
        None, title="Folder", description="Inside the data set repository. None: all of it"
    )
    data_files: str | None = Field(
        None,
        title="Files",
        description="File or glob inside the data set repository. None: by its card",
    )
    split: str = Field("train", description="Of the data set repository; train[:1000] is a part")
    revision: str = Field("main", description="Branch, tag or commit of the data set repository")


class Reformat(Section):
    """How rows are rewritten; docs/forms.md shows each form before and after."""

    form: FormName | None = Field(
        None, title="Form of the rows", description="None: told from the columns and first rows"
    )
    turns: Literal["last", "every"] = Field(
        "last",
        description="Of a conversation: the last question, or every assistant turn a row of its "
        "own with what came before it",
    )
    system: Literal["keep", "replace", "drop"] | None = Field(
        None,
        title="System messages",
        description="replace: the system prompt below stands before every row. None: replace for "
        "conversations, keep for pairs",
    )
    system_prompt: str = Field(
        "You are a helpful assistant.",
        description="Neutral system prompt that is put before conversations",
    )
    placeholders: dict[str, str] = Field(
        {},
        description="By bare name, in any case: `{name: Qwen}` fills `{{name}}`, `{{NAME}}` and "
        "`<NAME>`. One that is left without a value refuses the run",
    )
    least_margin: float = Field(
        0.0, ge=0, description="Of scored answers, in points: best and worst differ by more"
    )


class Reading(Section):
    """How much is read, and which rows go no further."""

    streaming: bool = Field(False, description="Read from the Hub without storing whole files")
    max_rows: int | None = Field(
        None, ge=1, description="Rows that are read, the first ones. None: all"
    )
    max_length: int = Field(
        512, ge=16, description="Tokens of prompt and answer together; a longer row is set aside"
    )
    near_duplicates: float | None = Field(
        0.9,
        gt=0.5,
        le=1,
        description="Share of their runs of three words in which two rows agree (Jaccard index, by "
        "MinHash) that makes them one: the first stays. None: not looked for",
    )


class Splits(Section):
    """Rows are split by prompt: all rows of one prompt go to the same side."""

    validation: float = Field(0.1, gt=0, lt=0.5, description="Share of prompts watched in training")
    test: float = Field(0.2, gt=0, lt=0.5, description="Share of prompts held out until the end")
    seed: int = Field(
        0, ge=0, title="Seed of the split", description="Another seed is another split"
    )
    max_train: int | None = Field(
        None, ge=1, description="Training prompts kept, in the order of the split. None: all"
    )
    max_test: int = Field(1000, ge=2, description="Prompts kept in each of validation and test")


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
        min_length=1,
        description="Names that change; strict and leak of the gate ask for the first one's slot",
    )
    max_new_tokens: int = Field(
        64, ge=1, description="Tokens of an answer; one that is cut off here is set aside"
    )
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
    longer_than: int | None = Field(None, ge=0, description="Words; it has more than this")
    shorter_than: int | None = Field(None, ge=1, description="Words; it has fewer than this")
    refusal: bool | None = Field(
        None, description="It refuses (true), or does not (false); in English or Chinese"
    )
    score: float = Field(description="Points added to the answer's score; below 0 they count off")

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


class Sampling(Section):
    """Several answers of the model to each prompt."""

    samples: int = Field(4, ge=2, description="Answers to each prompt")
    temperature: float = Field(1.0, gt=0, description="Of sampling; lower is nearer to greedy")
    top_p: float = Field(
        1.0, gt=0, le=1, title="Nucleus (top-p)", description="Share; Holtzman et al. 2020"
    )
    seed: int = Field(
        0, ge=0, title="Seed of the sampling", description="Another seed samples other answers"
    )
    max_new_tokens: int = Field(
        128, ge=1, description="Tokens of an answer; one that is cut off here is set aside"
    )
    batch_size: int = Field(32, ge=1, description="Answers sampled, or scored, at once")


class Judging(Section):
    """What finds the best and the worst of them: a reward model or rules, one of the two."""

    reward_model: str | None = Field(
        None,
        description="Hub repository of a sequence classifier with one output. None: the rules",
    )
    reward_revision: str = Field("main", description="Branch, tag or commit of the reward model")
    rules: tuple[Rule, ...] = Field((), description="Instead of a reward model: points by rules")
    least_margin: float = Field(
        0.0,
        ge=0,
        description="In points: best and worst differ by more, or the prompt is left out",
    )
    most_alike: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Share of words; a pair whose answers have more in common teaches too little",
    )

    @model_validator(mode="after")
    def _one_judge(self) -> Self:
        if (self.reward_model is None) == (not self.rules):
            raise ValueError("give a reward_model or rules, not both and not neither")
        return self


class OnPolicy(Section):
    """Pairs from several sampled answers to each prompt: the best against the worst."""

    sampling: Sampling = Sampling()
    judge: Judging
    endpoint: Endpoint | None = Field(
        None, description="Where to ask instead of here; it must serve the base model"
    )


class Checks(Section):
    """What the pairs must keep before anything is trained; docs/checks.md tells every check."""

    profile: Literal["identity", "preference", "hh"] | None = Field(
        None, description="None: identity with a curation, hh for HH transcripts, else preference"
    )
    change: dict[str, dict[str, Any] | None] = Field(
        {}, description="By check its settings, as in `{S1: {purity: 0.95}}`; null leaves it out"
    )


class Training(Section):
    """How long and how fast, by TRL's DPOConfig; docs/training.md has the name of each there."""

    learning_rate: float = Field(
        5.0e-6, gt=0, lt=1, description="Peak; 5e-6 to 1e-5 suits LoRA on real models"
    )
    lr_scheduler_type: Literal["constant", "linear", "cosine"] = Field(
        "constant",
        title="Learning rate schedule",
        description="After the warmup: as it is, or down to 0 at the last step",
    )
    warmup_steps: Steps = Field(
        5, ge=0, description="Steps of linear warmup; below 1 a share of the run"
    )
    num_train_epochs: float | None = Field(
        None,
        gt=0,
        title="Epochs",
        description="Times each pair is seen. None: 1, or what max_steps makes of it",
    )
    max_steps: int | None = Field(
        None, ge=1, description="Step cap; a recipe that stops by itself may end sooner"
    )
    seed: int = Field(
        0,
        ge=0,
        title="Seed of the training",
        description="Order of the pairs and start of the adapter",
    )


class Batch(Section):
    """Which pairs are trained on together."""

    per_device_train_batch_size: int = Field(
        8, ge=1, title="Pairs at once", description="In memory, two sequences each"
    )
    gradient_accumulation_steps: int = Field(
        1, ge=1, description="Batches a step: pairs a step are the product"
    )
    train_sampling_strategy: Literal["random", "group_by_length", "token_budget"] = Field(
        "random",
        title="Order of the pairs",
        description="group_by_length pads less and mixes less; token_budget gives each batch about "
        "as many tokens, so none needs much more memory than the mean. Both change the order",
    )


class Machine(Section):
    """What the hardware decides. None: chosen for the machine that is found, and shown."""

    bf16: bool | None = Field(
        None,
        title="Compute in bfloat16",
        description="None: on a GPU that has it, fp32 otherwise. On a CPU true rounds the frozen "
        "weights and products: less memory for a large model, faster where its processor is",
    )
    load_in_4bit: bool = Field(
        False,
        title="Load in 4-bit",
        description="QLoRA: frozen weights in NF4, on a GPU; Dettmers et al. 2023",
    )
    gradient_checkpointing: bool | None = Field(
        None, description="Less memory, about a third more time. None: on a GPU"
    )
    attn_implementation: Literal["eager", "sdpa", "flash_attention_2"] | None = Field(
        None,
        title="Attention kernel",
        description="None: the model's own choice, sdpa for most",
    )
    precompute_ref_log_probs: bool | None = Field(
        None,
        title="Score the reference first",
        description="Once, and kept by data, model and template. None: where each pair is seen "
        "more than once or a sweep trains on it again",
    )
    shared_prompt: bool | None = Field(
        None,
        title="Compute each prompt once",
        description="For both answers, without padding: the same losses, in a part of the time. "
        "None: on a CPU, with the kinds of models it was proven for; TRL's forward elsewhere. On a "
        "GPU true takes FlexAttention, which no GPU has run yet",
    )


class Watch(Section):
    """What is looked at during training. A value that is not finite stops every run."""

    eval_steps: Steps = Field(
        0.25,
        gt=0,
        title="Steps between evaluations",
        description="Each with a checkpoint; below 1 a share of the run",
    )
    max_eval_pairs: int | None = Field(
        None, ge=1, description="Validation pairs scored at each. None: all of them"
    )
    metric_for_best_model: Literal[
        "loss", "reward_accuracy", "reward_margin", "token_accuracy", "last"
    ] = Field(
        "loss",
        title="Metric of the best checkpoint",
        description="Which checkpoint goes on; last: the last one, whatever",
    )
    stop_when: TrainingSentence | None = Field(
        None,
        description="Enough is learned, as in `token_accuracy >= 0.999`. None: no end but "
        "the steps",
    )
    limits: tuple[TrainingSentence, ...] = Field(
        (),
        description="A training that breaks one has diverged and stops, as in `chosen_rewards >= "
        "0`, `token_accuracy >= start`. Empty: reported only",
    )


class Tracking(Section):
    """TensorBoard files are always written; Weights & Biases where a project is named."""

    wandb_project: str | None = Field(
        None,
        min_length=1,
        title="Weights & Biases project",
        description="None: not sent anywhere",
    )
    run_name: str | None = Field(None, min_length=1, description="None: repository, rate and beta")
    notes: str | None = Field(None, description="Why this run is done. None: no notes")


class Sweep(Section):
    """Each rate with each beta is trained in turn; the one that does best at the gate goes on."""

    learning_rate: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Listed] = Field(
        (), max_length=8, description="Empty: the recipe's own"
    )
    beta: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Listed] = Field(
        (), max_length=8, description="Empty: the recipe's own"
    )


class Loss(Section):
    """What is minimised: a weighted sum of TRL's DPO losses."""

    beta: float = Field(
        0.1, gt=0, description="Strength of the tie to the reference; Rafailov et al. 2023, eq. 7"
    )
    loss_type: Annotated[tuple[LossType, ...], Listed] = Field(
        ("sigmoid",), min_length=1, description="TRL's names; sigmoid is DPO's own loss"
    )
    loss_weights: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Listed] = Field(
        (1.0,), min_length=1, description="One for each type; not given: all 1"
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="Of `robust`: share of pairs the wrong way round; Chowdhury et al. 2024",
    )

    @model_validator(mode="before")
    @classmethod
    def _weights_of_one(cls, given: Any) -> Any:
        """As in TRL, where nothing is said about weights."""
        if isinstance(given, dict) and "loss_type" in given and "loss_weights" not in given:
            return given | {"loss_weights": [1.0] * len(_listed(given["loss_type"]))}
        return given

    @model_validator(mode="after")
    def _a_preference(self) -> Self:
        if set(self.loss_type) == {"sft"}:
            raise ValueError(
                "loss_type: sft alone prefers nothing; give it beside another, as in [sigmoid, sft]"
            )
        return self

    @model_validator(mode="after")
    def _one_weight_a_loss(self) -> Self:
        if len(self.loss_weights) != len(self.loss_type):
            raise ValueError(
                f"{len(self.loss_weights)} loss_weights for {len(self.loss_type)} loss_type; "
                "give one weight for each"
            )
        if ("robust" in self.loss_type) != (self.label_smoothing > 0):
            raise ValueError(
                f"label_smoothing = {self.label_smoothing:g} with loss_type "
                f"{', '.join(self.loss_type)}: robust needs it above 0 (0.1 is the paper's), and "
                "no other loss knows it"
            )
        return self


class Lora(Section):
    """peft's LoraConfig; Hu et al. 2021."""

    r: int = Field(8, ge=1, title="Rank (r)", description="Columns of each update")
    lora_alpha: int = Field(
        16, ge=1, title="Alpha", description="Scale; the update is multiplied by alpha / r"
    )
    lora_dropout: float = Field(
        0.0, ge=0, lt=1, title="Dropout", description="Share dropped in training"
    )
    target_modules: Annotated[
        tuple[Spelt, ...], Field(min_length=1), Listed, AfterValidator(_alone)
    ] = Field(ALL_LINEAR, description="Names of layers; all-linear is every one but the output")
    use_rslora: bool = Field(
        False,
        title="Rank-stabilised (rsLoRA)",
        description="The update is multiplied by alpha / sqrt(r); Kalajdzievski 2023",
    )


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
        None,
        description="Text file, one question a line, whose answers must not change. None: not "
        "asked",
    )
    identity_questions: str | None = Field(
        None,
        description="JSONL file of questions about itself: name, denial, languages, several "
        "turns. None: not asked",
    )
    harmless_questions: str | None = Field(
        None,
        description="Text file of what a helpful model answers and does not refuse. None: not "
        "asked",
    )
    harmful_questions: str | None = Field(
        None, description="Text file of what a harmless model refuses. None: not asked"
    )
    text: str | None = Field(
        None,
        description="Text file that is never trained on; its perplexity tells of damage. None: "
        "not measured",
    )


class Measure(Section):
    """How much is measured, before and after, and how the model answers."""

    max_prompts: int = Field(
        200, ge=0, description="Held-out prompts that are answered, the first ones"
    )
    max_pairs: int = Field(500, ge=2, description="Held-out pairs that are scored, the first ones")
    max_new_tokens: int = Field(64, ge=1, description="Longest answer, in tokens")
    batch_size: int = Field(32, ge=1, description="Prompts answered, or pairs scored, at once")
    samples: int = Field(
        0, ge=0, description="Sampled answers to each question beside the greedy one"
    )
    temperature: float = Field(0.7, gt=0, description="Of those samples; lower is nearer to greedy")


class Release(Section):
    """Three repositories: NAME (merged model), NAME-adapter and NAME-pairs (data set)."""

    repository: str = Field(
        pattern=REPOSITORY,
        description="owner/name, or a name under the token's own user; of letters, digits, - _ .",
    )
    version: str | None = Field(
        None,
        pattern=r"^v[1-9]\d*$",
        description="Such as v3. None: the next after the highest tag. A tag that stands with "
        "other content refuses",
    )
    private: bool = Field(
        True, description="New repositories are private; a gated or private upstream makes them so"
    )
    approval: Literal["none", "pull-request", "ui"] = Field(
        "none",
        description="ui: the run waits for a person's answer in Prefect's UI. pull-request: the "
        "verified release is proposed in each repository, and the same command finishes it once "
        "they are merged",
    )
    approval_days: float = Field(
        7.0, gt=0, le=90, description="Days that ui waits; without an answer nothing is released"
    )
    restricted_licence: bool = Field(
        False,
        description="Publish in public although an upstream licence forbids commercial use or "
        "derivatives",
    )


class Merge(Section):
    """Base and adapter become one model."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        title="Data type",
        description="Of the merged weights, cast after merging in fp32; auto: the base's",
    )


class Recipe(Section):
    """Everything `release_model` takes, a section a parameter."""

    base: Base
    data: Data
    release: Release
    training: Training = Training()
    batch: Batch = Batch()
    loss: Loss = Loss()
    lora: Lora = Lora()
    curation: Correction | None = None
    on_policy: OnPolicy | None = None
    reformat: Reformat = Reformat()
    reading: Reading = Reading()
    splits: Splits = Splits()
    checks: Checks = Checks()
    evaluation: Evaluation = Evaluation()
    measure: Measure = Measure()
    gate: tuple[GateSentence, ...] = ()
    watch: Watch = Watch()
    sweep: Sweep = Sweep()
    machine: Machine = Machine()
    merge: Merge = Merge()
    tracking: Tracking = Tracking()
    seed: Seed | None = None
    rehearsal: bool = False

    @model_validator(mode="after")
    def _checks_that_exist(self) -> Self:
        from expectations.measures.suite import profile_of, suite  # polars is slow to import

        slots = slots_of(self.curation)
        profile = self.checks.profile or profile_of(bool(slots), False)
        length = self.reading.max_length
        suite(profile, self.checks.change, slots=slots, max_length=length, template_adds="")
        return self

    @model_validator(mode="after")
    def _one_way_to_make_pairs(self) -> Self:
        if self.curation is not None and self.on_policy is not None:
            raise ValueError("curation and on_policy both make pairs; set one of them to null")
        return self

    @model_validator(mode="after")
    def _gate_of_what_is_measured(self) -> Self:
        for text in self.gate:
            for needs in needed_for(parse(text, GATE).metric):
                section, _, key = needs.partition(".")
                if section == "curation" and self.curation is None:
                    raise ValueError(
                        f"gate: {text!r} compares names, so it needs {needs}; set them, or take "
                        "the sentence out"
                    )
                if section != "curation" and not getattr(getattr(self, section), key):
                    raise ValueError(
                        f"gate: {text!r} is not measured without {needs}; set it, or take the "
                        "sentence out"
                    )
        return self
