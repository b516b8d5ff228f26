"""The job templates of deploy/: what Prefect fills in, what a run finds, where the tokens are."""

import json
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ground import ROOT
from real_server import prefect, told

DEPLOY = ROOT / "deploy"
PAGE = ROOT / "docs" / "operate.md"
TYPES = ("docker", "kubernetes")
PLACEHOLDER = re.compile(r"\{\{\s*([\w$.-]+)\s*\}\}")


def template(kind: str) -> dict[str, Any]:
    return json.loads((DEPLOY / f"{kind}-job-template.json").read_text())


@pytest.mark.parametrize("kind", TYPES)
def test_every_placeholder_has_a_variable_and_every_variable_a_use(kind: str) -> None:
    """The server refuses any other placeholder, those of the worker's environment as well."""
    read = template(kind)
    used = set(PLACEHOLDER.findall(json.dumps(read["job_configuration"])))
    assert used == set(read["variables"]["properties"])


@pytest.mark.parametrize("kind", TYPES)
def test_the_variables_are_a_json_schema_whose_defaults_are_valid(kind: str) -> None:
    from jsonschema import Draft202012Validator

    schema = template(kind)["variables"]
    Draft202012Validator.check_schema(schema)
    defaults = {n: p["default"] for n, p in schema["properties"].items() if "default" in p}
    Draft202012Validator(schema).validate(defaults)
    assert all(field.get("description") for field in schema["properties"].values())


async def filled(kind: str, **values: Any) -> dict[str, Any]:
    """As a worker fills it in for a run, with Prefect's own code."""
    from prefect.utilities.templating import apply_values
    from prefect.workers.base import BaseJobConfiguration

    read = template(kind)

    class Configuration(BaseJobConfiguration, extra="allow"):
        pass

    made = await Configuration.from_template_and_values(read, values, client=object())
    assert not PLACEHOLDER.search(made.model_dump_json())
    assert apply_values(made.model_dump(), {}) == made.model_dump()
    return made.model_dump()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_a_pod_asks_for_a_gpu_two_claims_and_the_secret(anyio_backend: str) -> None:
    job = await filled("kubernetes", name="n")
    assert job["env"]["PAIRPRESS_HOME"] == "/data/pairpress" and job["env"]["HF_HOME"] == "/data/hf"
    pod = job["job_manifest"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    claims = {one["name"]: one.get("persistentVolumeClaim") for one in pod["volumes"]}
    assert claims["pairpress"] == {"claimName": "pairpress"}
    assert claims["hf-cache"] == {"claimName": "hf-cache"}
    paths = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert paths["pairpress"] == job["env"]["PAIRPRESS_HOME"]
    assert paths["hf-cache"] == job["env"]["HF_HOME"]
    taken = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"]}
    assert {name: (key["name"], key["key"]) for name, key in taken.items()} == {
        "HF_TOKEN": ("pairpress-tokens", "read"),
        "HF_WRITE_TOKEN": ("pairpress-tokens", "write"),
    }
    assert (pod["parallelism"], pod["completions"]) == (1, 1)  # Prefect refuses a job without
    (shm,) = (one["emptyDir"] for one in pod["volumes"] if one["name"] == "shm")
    of_docker = template("docker")["variables"]["properties"]["shm_size"]["default"]
    assert shm == {"medium": "Memory", "sizeLimit": of_docker.replace("g", "Gi")}
    without = await filled("kubernetes", name="n", gpus=0)
    (container,) = without["job_manifest"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 0


@pytest.mark.anyio
async def test_a_container_gets_the_tokens_of_the_workers_environment(
    anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ofTheWorker")
    monkeypatch.delenv("HF_WRITE_TOKEN", raising=False)
    job = await filled("docker", env={"MORE": "1"})
    assert job["env"]["HF_TOKEN"] == "hf_ofTheWorker" and job["env"]["HF_WRITE_TOKEN"] == ""
    assert job["env"]["MORE"] == "1"
    assert [volume.partition(":")[2] for volume in job["volumes"]] == [
        "/data/pairpress",
        "/data/hf",
    ]
    assert job["container_create_kwargs"]["device_requests"][0]["Capabilities"] == [["gpu"]]
    assert not job.get("auto_remove")  # of a removed container nobody knows how it ended
    on_cpu = await filled("docker", device_requests=[])
    assert on_cpu["container_create_kwargs"]["device_requests"] == []


@pytest.mark.anyio
@pytest.mark.parametrize("kind", TYPES)
async def test_a_run_beats_three_times_in_the_window_that_takes_it_for_crashed(
    anyio_backend: str, kind: str
) -> None:
    (crashed,) = yaml.safe_load_all((DEPLOY / "automations" / "crashed.yaml").read_text())
    job = await filled(kind, name="n", env={"MORE": "1"})
    beats = int(job["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
    assert job["env"]["MORE"] == "1" and 3 * beats <= crashed["trigger"]["within"]


def test_the_image_holds_what_the_deployments_run_and_the_templates_mount() -> None:
    file = (DEPLOY / "Dockerfile").read_text()
    copied = {line.split()[1] for line in file.splitlines() if line.startswith("COPY ")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= copied
    for kind in TYPES:
        env = template(kind)["variables"]["properties"]["env"]["default"]
        for name in ("PAIRPRESS_HOME", "HF_HOME", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"):
            assert f"{name}={env[name]}" in file


def test_the_image_and_the_page_deploy_with_the_same_command() -> None:
    told = [
        line.lstrip("# ")
        for line in ((DEPLOY / "Dockerfile").read_text() + PAGE.read_text()).splitlines()
        if "docker run" in line
    ]
    assert len(told) == 2 and len(set(told)) == 1
    assert (ROOT / f"{told[0].split()[-1].replace('.', '/')}.py").is_file()


def test_files_of_environments_are_such_as_systemd_reads() -> None:
    """It knows comments only as lines of their own: behind a value they belong to the value."""
    blocks = re.findall(
        r"^    # /etc/pairpress/\w+\n((?:    .*\n)+)", PAGE.read_text(), re.MULTILINE
    )
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    assert len(blocks) == 2 and len(lines) >= 6
    assert all(re.fullmatch(r"#.*|\w+=[^#\s]+", line) for line in lines), lines


def test_the_claims_are_those_that_the_kubernetes_template_mounts() -> None:
    claims = list(yaml.safe_load_all((DEPLOY / "kubernetes-claims.yaml").read_text()))
    named = template("kubernetes")["variables"]["properties"]
    assert {one["metadata"]["name"] for one in claims} == {
        named[name]["default"] for name in ("work_claim", "cache_claim")
    }


@pytest.mark.parametrize("unit", sorted((DEPLOY / "systemd").iterdir()), ids=lambda unit: unit.stem)
def test_the_page_makes_user_and_files_of_a_unit_before_it_starts(
    unit: Path, tmp_path: Path
) -> None:
    """Its `install` commands are run, in another folder than /etc."""
    values = [line.partition("=") for line in unit.read_text().splitlines()]
    user = next(value for name, _, value in values if name == "User")
    before = PAGE.read_text().partition(f"cp deploy/systemd/{unit.name} ")[0]
    steps = before[before.rindex("\n## ") :]
    assert re.search(rf"^    useradd --system .*\b{user}\b", steps, re.MULTILINE)
    (tmp_path / "etc").mkdir()
    for command in re.findall(r"^    (install .*)", steps, re.MULTILINE):
        in_folder = command.replace(" /etc/", f" {tmp_path}/etc/")
        subprocess.run(["bash", "-c", in_folder], check=True)
    for file in (value.lstrip("-") for name, _, value in values if name == "EnvironmentFile"):
        assert stat.S_IMODE((tmp_path / file.lstrip("/")).stat().st_mode) == 0o600


@pytest.mark.server
def test_a_server_takes_both_as_pools(server: dict[str, str]) -> None:
    for kind in TYPES:
        file = str(DEPLOY / f"{kind}-job-template.json")
        prefect(server, "work-pool", "create", kind, "--type", kind, "--base-job-template", file)
        assert told(server, f"work_pools/{kind}")["base_job_template"] == template(kind)
