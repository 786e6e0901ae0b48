"""The manifest of an Indexed Job: valid for every Kubernetes that has what it uses; and its command line run in a container."""

import os
import subprocess

import click
import numpy as np
import pytest
import yaml

from jukemir_like.cli import cli
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.launch import indexed_job

NAMES = ["it's $(HOME) `id` #x", 'q"u,o: te\\ ünï', "new\nline", "tab\tand bell\a", "line separator", "𝄞", "- dash", "null"]
VERSIONS = ["1.29", "1.31", "1.33", "1.35", "1.37"]


@pytest.fixture
def manifest(folder, tmp_path):
    """A function that makes the manifest of five files, as text: ``manifest("chroma", batch_size=2, …)``."""

    def make(representation="chroma", *, source=folder, output="out", **options):
        options = {"batch_size": 2, **options}
        return indexed_job.manifest(representation, str(source), str(tmp_path / output), None, str(tmp_path / "cache"), **options)

    return make


def encoder(cache, name="musicnn-msd"):
    """Something in the place of the weights of an encoder; returns their folder."""
    folder = Cache(cache).weights(name)
    folder.mkdir(parents=True)
    (folder / f"{name}.safetensors").touch()
    return folder


def pod(job):
    return job["spec"]["template"]["spec"]


def container(job):
    (only,) = pod(job)["containers"]
    return only


def mounts(job):
    """Target → (source, sub-path, whether it can be written to)."""
    volumes = {volume["name"]: volume for volume in pod(job)["volumes"]}
    return {
        mount["mountPath"]: (
            {name: value for name, value in volumes[mount["name"]].items() if name != "name"},
            mount.get("subPath"),
            not mount.get("readOnly", False),
        )
        for mount in container(job)["volumeMounts"]
    }


def of_host(path, kind="Directory"):
    return {"hostPath": {"path": str(path), "type": kind}}


def of_claim(name):
    return {"persistentVolumeClaim": {"claimName": name}}


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_valid_to_the_letter(manifest, tmp_path, version):
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate, which has the API's schemas")
    encoder(tmp_path / "cache")
    for options in (
        {},
        {"gpus": True, "cpus": 3, "memory": 2.5, "image": "registry.example:5000/a/chroma@sha256:" + "0" * 64, "user": (7, 8)},
        {"representation": "musicnn-msd", "layers": "all", "precision": "bf16"},
        {"representation": "musicnn-msd", "claims": {"music": str(tmp_path)}},
        {"representation": "level"},
    ):
        job = yaml.safe_load(manifest(**options))
        kubernetes_validate.validate(job, version, strict=True)
        job["spec"]["completion"] = 1
        with pytest.raises(kubernetes_validate.ValidationError):  # strictly: a field that there is not is found
            kubernetes_validate.validate(job, version, strict=True)


def test_a_pod_per_batch_each_with_its_index(manifest):
    job = yaml.safe_load(manifest(parallel=2))
    assert (job["apiVersion"], job["kind"], job["metadata"]["name"]) == ("batch/v1", "Job", "extract-chroma")
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 2)
    assert container(job)["args"] == ["--batch_size", "2", "--workers", "4"]  # as many as it has processors
    assert container(yaml.safe_load(manifest(cpus=3)))["args"][-1] == "3"
    assert container(yaml.safe_load(manifest(cpus=3, workers=2)))["args"][-1] == "2"
    assert container(yaml.safe_load(manifest("level")))["args"] == ["--batch_size", "2"]  # all that others' images take
    assert "command" not in container(job)
    assert container(job)["image"].startswith("stemjepa/representations_chroma:")
    assert yaml.safe_load(manifest(parallel=99))["spec"]["parallelism"] == 3


def test_pods_are_confined(manifest, folder, tmp_path):
    job = yaml.safe_load(manifest())
    assert container(job)["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    security = pod(job)["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod(job)["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(job).keys()
    assert mounts(job) == {
        "/tmp": ({"emptyDir": {}}, None, True),
        "/input": (of_host(folder), None, False),
        "/output": (of_host(tmp_path / "out"), None, True),
    }


def test_root_is_never_whom_pods_run_as(manifest, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert pod(yaml.safe_load(manifest()))["securityContext"]["runAsUser"] == 1000
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    monkeypatch.setattr(os, "getgid", lambda: 99)
    security = pod(yaml.safe_load(manifest()))["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (1234, 99, 99)
    with pytest.raises(RequestError, match="must not run as root"):
        manifest(user=(0, 0))


def test_what_failed_in_part_is_no_failure_and_what_is_wrong_is_not_repeated(manifest):
    job = yaml.safe_load(manifest())
    assert container(job)["env"] == [{"name": "JUKEMIR_LIKE_PARTIAL_OK", "value": "1"}]
    assert pod(job)["restartPolicy"] == "Never"
    assert job["spec"]["backoffLimitPerIndex"] > 0
    rules = job["spec"]["podFailurePolicy"]["rules"]
    by_code = {rule["onExitCodes"]["values"][0]: rule["action"] for rule in rules if "onExitCodes" in rule}
    assert by_code == {2: "FailJob", 3: "FailIndex"}
    assert {rule["onExitCodes"]["containerName"] for rule in rules if "onExitCodes" in rule} == {container(job)["name"]}
    assert "env" not in container(yaml.safe_load(manifest("level")))  # others' images need not know the variable


def test_an_encoder_of_the_cache_has_the_options_of_its_family(manifest, own_encoder):
    job = yaml.safe_load(manifest(own_encoder))
    assert container(job)["env"] == [{"name": "JUKEMIR_LIKE_PARTIAL_OK", "value": "1"}]
    assert container(job)["args"] == [own_encoder, "/input", "/output", "--batch_size", "2", "--workers", "4"]


def test_an_encoder_sees_its_weights(manifest, tmp_path):
    weights = encoder(tmp_path / "cache")
    job = yaml.safe_load(manifest("musicnn-msd", layers="all", precision="bf16"))
    assert mounts(job)["/cache/weights/musicnn-msd"] == (of_host(weights), None, False)
    assert container(job)["command"] == ["jukemir-like", "extract"]
    assert container(job)["args"] == [
        *("musicnn-msd", "/input", "/output", "--batch_size", "2", "--precision", "bf16", "--workers", "4", "--layers", "all")
    ]  # fmt: skip


def test_a_file_of_weights_is_mounted_as_a_file(manifest, tmp_path):
    from jukemir_like.stemjepa import checkpoint

    weights = Cache(tmp_path / "cache").checkpoint("mine")
    weights.parent.mkdir(parents=True)
    weights.write_bytes((checkpoint.FOLDER / f"{checkpoint.EMBEDDED}.safetensors").read_bytes())
    assert mounts(yaml.safe_load(manifest("stemjepa-mine")))["/cache/checkpoints/mine.safetensors"] == (
        of_host(weights, "File"),
        None,
        False,
    )


def test_resources_are_those_that_are_asked_for(manifest):
    resources = container(yaml.safe_load(manifest(cpus=3, memory=2.5, gpus=True)))["resources"]
    assert resources == {"requests": {"cpu": 3, "memory": "2385Mi"}, "limits": {"cpu": 3, "memory": "2385Mi", "nvidia.com/gpu": 1}}
    assert "nvidia.com/gpu" not in container(yaml.safe_load(manifest()))["resources"]["limits"]


def test_folders_in_a_claim_are_parts_of_it(manifest, folder, tmp_path):
    weights = encoder(tmp_path / "cache")
    claims = {"everything": str(tmp_path), "music": str(folder), "weights": str(weights.parent)}
    job = yaml.safe_load(manifest("musicnn-msd", output="a/b", claims=claims))
    assert mounts(job) == {
        "/tmp": ({"emptyDir": {}}, None, True),
        "/input": (of_claim("music"), None, False),
        "/output": (of_claim("everything"), "a/b", True),
        "/cache/weights/musicnn-msd": (of_claim("weights"), "musicnn-msd", False),
    }
    both = yaml.safe_load(manifest(claims={"everything": str(tmp_path)}))
    assert len(pod(both)["volumes"]) == 2  # a claim is one volume, however often it is mounted
    assert mounts(both)["/input"] == (of_claim("everything"), "in", False)


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"claims": {"music": "/nowhere"}}, "is in none of the folders of --claim"),
        ({"claims": {"No_Name": "/"}}, "cannot be the name of a PersistentVolumeClaim"),
        ({"image": "chroma.sif"}, "is for Apptainer"),
        ({"representation": "level", "precision": "bf16"}, "leave out --precision"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(manifest, options, refused):
    with pytest.raises(RequestError, match=refused) as error:
        manifest(**options)
    assert len(str(error.value).splitlines()) == 1


def test_more_batches_than_a_job_may_have_are_refused(manifest, monkeypatch):
    monkeypatch.setattr(indexed_job, "_MOST_COMPLETIONS", 4)
    manifest(batch_size=2)
    with pytest.raises(RequestError, match="larger --batch_size"):
        manifest(batch_size=1)


@pytest.mark.parametrize("name", NAMES)
def test_folders_may_have_any_name(manifest, tmp_path, write_audio, name):
    write_audio(tmp_path / name / "a.wav", seconds=0.1)
    job = yaml.safe_load(manifest(source=tmp_path / name, output=f"{name} out"))
    assert mounts(job)["/input"][0] == of_host(tmp_path / name)
    assert mounts(job)["/output"][0] == of_host(tmp_path / f"{name} out")


def test_a_word_of_the_command_line_is_no_variable():
    assert indexed_job._escaped("$(HOME) $HOME $$") == "$$(HOME) $HOME $$"


def test_the_command_prints_the_manifest(command, folder, tmp_path):
    words = ("--runner", "kubernetes", "--claim", f"all={tmp_path}", "--user", "7:8", "--parallel", "1")
    done = command("commands", "extract", "--representation", "chroma", "in", "out", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    job = yaml.safe_load(done.stdout)
    assert pod(job)["securityContext"]["runAsGroup"] == 8
    assert mounts(job)["/input"] == (of_claim("all"), "in", False)


@pytest.mark.parametrize("wrong", [("--claim", "all"), ("--claim", "a=/", "--claim", "a=/b"), ("--user", "me"), ("--user", "1:")])
def test_options_that_cannot_be_read_are_refused(folder, wrong):
    words = ["commands", "extract", "--representation", "chroma", str(folder), "out", "--runner", "kubernetes", *wrong]
    with pytest.raises(click.UsageError, match=wrong[0]):
        cli.main(words, standalone_mode=False)


# ---- in containers ----


def run_pod(job, index):
    """What the node of a cluster does for one pod of the Job, by Docker: returns the finished process."""
    spec, of_pod = container(job), pod(job)["securityContext"]
    words = ["docker", "run", "--rm", "--network", "none", "--user", f"{of_pod['runAsUser']}:{of_pod['runAsGroup']}"]
    words += ["--group-add", str(of_pod["fsGroup"])]
    security = spec["securityContext"]
    words += ["--read-only"] if security["readOnlyRootFilesystem"] else []
    words += ["--security-opt", "no-new-privileges"] if not security["allowPrivilegeEscalation"] else []
    words += [word for name in security["capabilities"]["drop"] for word in ("--cap-drop", name)]
    for target, (source, _, is_writable) in mounts(job).items():
        if "emptyDir" in source:
            words += ["--tmpfs", f"{target}:mode=1777"]
        else:
            words += ["--volume", f"{source['hostPath']['path']}:{target}{'' if is_writable else ':ro'}"]
    variables = {entry["name"]: entry["value"] for entry in spec.get("env", [])} | {"JOB_COMPLETION_INDEX": str(index)}
    words += [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    command = spec.get("command", [])
    words += ["--entrypoint", command[0]] if command else []
    return subprocess.run([*words, spec["image"], *command[1:], *spec["args"]], capture_output=True, text=True, timeout=120)


def run_job(job):
    """Exit codes of all pods, the last one first."""
    return {index: run_pod(job, index).returncode for index in reversed(range(job["spec"]["completions"]))}


def vectors(folder):
    return {str(path.relative_to(folder)): np.load(path) for path in sorted(folder.rglob("*.npy"))}


@pytest.mark.docker
def test_pods_give_what_one_run_gives_also_beside_a_bad_file(built, command, manifest, folder, tmp_path):
    (image,) = built("representations_chroma")
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o777)  # what a volume's fsGroup does
    tmp_path.chmod(0o755)
    job = yaml.safe_load(manifest(image=image, user=(1000, 1000)))
    assert run_job(job) == {0: 0, 1: 0, 2: 0}
    (folder / "2bad.wav").write_text("no audio")
    assert run_job(job) == {0: 0, 1: 0, 2: 0}
    assert command("extract", "chroma", folder, tmp_path / "whole").returncode == 3
    whole, parts = vectors(tmp_path / "whole"), vectors(tmp_path / "out")
    assert whole.keys() == parts.keys() == {f"{index}.npy" for index in range(5)}
    for name, vector in whole.items():
        np.testing.assert_allclose(parts[name], vector, rtol=0, atol=1e-6 * max(1.0, np.abs(vector).max()))
    collected = command("commands", "collect", tmp_path / "out", "--input", folder)
    assert collected.returncode == 3
    assert "batch 1: 1 done, 1 failed" in collected.stdout
