"""What a person sees who fills in the form wrong: at once where it can tell, else in words."""

import httpx
import pytest
from real_server import asked, ended, prefect, started

pytestmark = pytest.mark.server


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"training": {"learning_rate": 0}}, "training.learning_rate"),
        ({"release": {"repository": "mine", "approval_days": 91}}, "release.approval_days"),
        ({"data": {"path": "a/b", "max_length": 64}}, "max_length"),
    ],
)
def test_a_bad_value_and_an_unknown_name_are_refused_before_anything_starts(
    server, parameters, told
):
    prefect(server, "deploy", "--name", "demo")
    with pytest.raises(httpx.HTTPStatusError) as refused:
        started(server, "release-model/demo", **parameters)
    assert refused.value.response.status_code == 409
    assert told in refused.value.response.text


def test_what_two_fields_make_wrong_together_is_one_sentence_of_the_run(server, worker):
    prefect(server, "deploy", "--name", "demo")
    two = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0]}
    run = ended(server, started(server, "release-model/demo", loss=two))
    sentence = "loss: 1 loss_weights for 2 loss_type; give one weight for each"
    assert run["state_type"] == "FAILED"
    assert run["state"]["message"].endswith(sentence)
    about = {"flow_run_id": {"any_": [run["id"]]}}
    logs = [one["message"] for one in asked(server, "logs/filter", logs=about)]
    assert any(sentence in line for line in logs)
    assert not any("Traceback" in line for line in logs), logs
