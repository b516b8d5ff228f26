"""Cards: heads that the Hub takes, and people's own words kept around ours."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from finished_run import AFTER, finished_run
from huggingface_hub import DatasetCard, ModelCard

from tasks.core import release
from tasks.core.cards import BEGIN, END, card_of, joined, licence_keys, peoples, write_cards
from tasks.core.errors import InputError
from tasks.core.front_matter import parted, read_front_matter
from tasks.core.licences import Upstream
from tasks.core.manifest import PARTS, Known
from tasks.core.publish import repositories

TAGS = {"tags": ["dpo", "pairpress"]}
OURS = card_of({"license": "mit", **TAGS}, "# Ours\n\n1\n")
NEWER = card_of({"license": "other", "language": ["de"], **TAGS}, "# Ours\n\n2\n")


@pytest.fixture(scope="module")
def folder(hub: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("cards")
    known = finished_run(made / "run")
    release.build_release(made, known, repositories("pairpress/mine"), "v3", {})
    return made


def write(folder: Path, known: Known) -> None:
    """The cards alone."""
    for part in PARTS:
        (folder / part).mkdir()
    repos = {target.part: target.repo for target in repositories("pairpress/mine")}
    facts = release.card_facts(known, repos, "v3", {"train": 2, "test": 1})
    write_cards(folder, facts, {})


def test_a_card_that_nobody_touched_is_replaced_whole() -> None:
    assert peoples(OURS) == ""
    assert joined(NEWER, peoples(OURS)) == NEWER


@pytest.mark.parametrize(
    "edit",
    [
        lambda card: card.replace(BEGIN, f"> Read this first.\n\n{BEGIN}"),
        lambda card: card + "\n## Our own tests\n\nIt is 42 %.\n",
        lambda card: card.replace("license: mit\n", "license: mit\nthumbnail: a.png  # ours\n"),
        lambda card: card.replace("- dpo\n", "- dpo\n- cooking\n"),
        lambda card: card.replace("---\n\n", "inference:\n  parameters:\n  - no\n---\n\n", 1),
        lambda card: card.replace("\n", "\r\n") + "Seen in a browser.\r\n",
        lambda card: card.rstrip("\n") + " and more",
    ],
)
def test_what_people_wrote_stays_and_joining_again_gives_the_same_bytes(edit: Any) -> None:
    edited = edit(OURS)
    people = peoples(edited)
    once = joined(NEWER, people)
    assert yaml.safe_load(parted(once)[0])["license"] == "other"
    assert once.count(BEGIN) == once.count(END) == 1
    for line in set(edited.splitlines()) - set(OURS.splitlines()):
        assert line in once, line
    assert "\n2\n" in once and "\n1\n" not in once
    assert peoples(once) == people
    assert joined(NEWER, peoples(once)) == once


def test_ours_wins_for_our_keys_and_theirs_come_after() -> None:
    edited = OURS.replace("license: mit\n", "license: gpl-3.0\nlanguage: fr\ncooking: true\n")
    found = yaml.safe_load(parted(joined(NEWER, peoples(edited)))[0])
    assert found == {
        "license": "other",
        "language": ["de"],
        "tags": ["dpo", "pairpress"],
        "cooking": True,
    }


def test_a_key_that_people_added_stays_theirs_when_we_write_none() -> None:
    edited = OURS.replace("license: mit\n", "license: mit\nlanguage: fr\n")
    again = joined(OURS.replace("\n1\n", "\n2\n"), peoples(edited))
    assert read_front_matter(again)["language"] == "fr"
    assert "language" not in read_front_matter(joined(OURS, peoples(NEWER)))


def test_a_card_that_was_there_before_us_is_kept_whole_below_ours() -> None:
    card = "---\nlicense: gpl-3.0\nthumbnail: a.png\n---\n# Mine\n\nI wrote this.\n"
    found = joined(OURS, peoples(card))
    assert found.endswith(f"{END}\n\n# Mine\n\nI wrote this.\n")
    assert read_front_matter(found) == {
        "license": "mit",
        "tags": ["dpo", "pairpress"],
        "thumbnail": "a.png",
    }


def test_a_card_of_ours_from_before_the_markers_is_replaced() -> None:
    old = "---\nlicense: mit\n---\n\n# Ours\n\nMade by pairpress, version v2 of this release.\n"
    assert peoples(old) == ""


@pytest.mark.parametrize("above", ["\n", "\n\n", "  \n", "\r\n", "\ufeff"])
def test_an_empty_line_above_the_head_leaves_it_the_head(above: str) -> None:
    assert peoples(above + OURS) == ""
    edited = above + OURS.replace("license: mit\n", "license: mit\nthumbnail: a.png\n")
    found = joined(NEWER, peoples(edited))
    assert found.count("license: ") == 1 and found.count("\n---\n") == 1
    assert read_front_matter(found)["thumbnail"] == "a.png"


def test_whatever_the_client_takes_for_a_head_is_one() -> None:
    for newline in ("\n", "\r\n"):
        for above in ("", "\n", " \n\n"):
            card = (above + "---\nlicense: mit\n--- \n# x\n").replace("\n", newline)
            assert read_front_matter(card) == ModelCard(card).data.to_dict() == {"license": "mit"}


def test_the_name_of_another_licence_is_not_kept_beside_ours() -> None:
    edited = OURS.replace("license: mit\n", "license: other\nlicense_name: boo\nlicense_link: L\n")
    found = read_front_matter(joined(OURS, peoples(edited)))
    assert found == {"license": "mit", "tags": ["dpo", "pairpress"]}


@pytest.mark.parametrize("lost", [BEGIN, END])
def test_a_card_with_one_marker_is_refused_since_nobody_can_tell_whose_words_are_whose(
    lost: str,
) -> None:
    with pytest.raises(InputError, match=r"README\.md on the Hub: .* Put them back"):
        peoples(OURS.replace(lost, "") + "mine")


def test_norwegian_is_a_language_and_no_falsehood() -> None:
    assert read_front_matter("---\nlanguage:\n- no\n- en\n---\n") == {"language": ["no", "en"]}


def test_a_licence_is_written_as_its_card_has_it() -> None:
    named = Upstream(repo="a/b", licences=("other",), name="qwen-research", link="https://x.org/l")
    assert licence_keys(named) == {
        "license": "other",
        "license_name": "qwen-research",
        "license_link": "https://x.org/l",
    }
    both = Upstream(repo="a/b", licences=("mit", "cc-by-4.0"), name=None)
    assert licence_keys(both) == {"license": ["mit", "cc-by-4.0"]}


def test_the_hub_s_own_client_reads_every_head_and_the_hub_takes_it(folder: Path) -> None:
    for part, kind in (("dataset", DatasetCard), ("adapter", ModelCard), ("model", ModelCard)):
        card = kind.load(folder / part / "README.md")
        card.validate()  # asks the Hub
        header = parted((folder / part / "README.md").read_text())[0]
        assert yaml.safe_load(card.data.to_yaml()) == yaml.safe_load(header)


def test_measured_metrics_stand_in_the_model_index_with_their_values(folder: Path) -> None:
    for part in ("adapter", "model"):
        results = ModelCard.load(folder / part / "README.md").data.eval_results
        assert {one.metric_type: one.metric_value for one in results} == AFTER
        of_pairs = {one.metric_type for one in results if one.dataset_revision == "v3"}
        assert of_pairs == {"reward_accuracy", "preference_accuracy"}
        assert all(one.dataset_type == "pairpress/mine-pairs" for one in results[:2])


def test_a_card_links_to_files_that_are_there_and_names_the_data_s_tag(folder: Path) -> None:
    for part in ("adapter", "model"):
        text = (folder / part / "README.md").read_text()
        for name in ("before-after.png", "training.png", "release.json"):
            assert f"]({name})" in text and (folder / part / name).is_file()
        assert "`pairpress/mine-pairs` at `v3`" in text
        assert "| Equal answers (P2) | FAILED | 1 row (100 %) |" in text


def test_a_change_of_the_data_is_told_on_its_card(folder: Path) -> None:
    card = (folder / "dataset" / "README.md").read_text()
    assert "Rows since v2: 2 added, 1 removed, 0 changed, 1 as they were." in card


def test_an_answer_is_text_and_breaks_neither_table_nor_markers(
    hub: object, tmp_path: Path
) -> None:
    known = finished_run(tmp_path)
    known.shown[:] = [("Who?", f"{END} ![x](http://x.org/y.png)", "I am <b>Deep</b> | Qwen")]
    known.settings["evaluation"]["questions"] = [f"Say {END}"]
    write(tmp_path, known)
    card = (tmp_path / "model" / "README.md").read_text()
    assert peoples(card) == ""
    assert r"!\[x\](http://x.org/y.png) | I am \<b\>Deep\</b\> \| Qwen |" in card


def test_whoever_generated_or_judged_answers_is_named_and_a_file_has_no_licence(
    hub: object, tmp_path: Path
) -> None:
    server = {"url": "http://10.0.0.7/v1", "model": "qwen-at-work"}
    rules = {"judge": {"reward_model": "a/judge"}, "endpoint": server}
    known = finished_run(tmp_path, names=None, sections={"on_policy": rules})
    judge = Upstream(repo="a/judge", licences=("cc-by-nc-4.0",), name=None)
    known = dataclasses.replace(
        known,
        pairs=known.pairs.model_copy(update={"facts": {"judge": f"a/judge@{'e' * 40}"}}),
        raw=known.raw.model_copy(
            update={"facts": known.raw.facts | {"source": "rows.jsonl", "source_digest": "f" * 64}}
        ),
        upstreams={"base": known.upstreams["base"], "judge": judge},
    )
    write(tmp_path, known)
    for part in PARTS:
        card = (tmp_path / part / "README.md").read_text()
        assert "as a server held it under the name `qwen-at-work`" in card
        assert f"and judged by `a/judge@{'e' * 40}`.\nTheir terms may matter" in card
        assert "| judge of the answers | `a/judge` | cc-by-nc-4.0 |" in card
        assert "| source of the data | a file, `rows.jsonl` | **not known** |" in card
        assert "**The licence of the source is not known.** Find out before" in card
        assert "10.0.0.7" not in card
    assert ModelCard.load(tmp_path / "model" / "README.md").data.license == "apache-2.0"
    data = DatasetCard.load(tmp_path / "dataset" / "README.md").data.to_dict()
    assert (data["license"], data["license_name"]) == ("other", "unknown")
