"""URIs of artifacts: what clients name as the source of a version, and where they read one."""

from __future__ import annotations

from artifacts.models import Artifact, LoggedModel, ModelVersion
from artifacts.registry.sources import artifact_at, artifact_of_model
from artifacts.tracking.checkpoints import mark_model
from artifacts.tracking.files import Sender
from mlflow_api.callers import Caller
from mlflow_api.errors import MlflowError, invalid, missing
from mlflow_api.objects import ARTIFACT_SCHEME
from mlflow_api.registry_names import find_model, find_version
from projects.models import Role

_RUNS, _MODELS = "runs:/", "models:/"
_ROOT = "artifacts"


def find_source(caller: Caller, source: str) -> Artifact:
    """Return the checkpoint that a URI names, of a run in whose project the caller is an editor.

    Taken are `runs:/<run>/<path>`, `models:/<logged model>`, `models:/<name>/<version>`,
    `mlflow-artifacts:/<experiment>/<run>/artifacts/<path>` and
    `mlflow-artifacts:/<experiment>/models/<logged model>/artifacts`. Raises: MlflowError (400, 403, 404);
    NotFound, Conflict as the services.
    """
    for scheme, find in ((_RUNS, _of_run), (_MODELS, _of_model), (ARTIFACT_SCHEME, _of_proxy)):
        if source.startswith(scheme):
            parts = source.removeprefix(scheme).rstrip("/").split("/")
            if any(part in {"", ".", ".."} for part in parts):
                break
            return find(caller, source, parts)
    raise _refused(source)


def _refused(source: str) -> MlflowError:
    return invalid(
        f"Invalid model version source: {source!r}. It must name files that this server keeps: runs:/<run_id>/<path>, "
        "models:/<model_id>, or the artifact_uri of a run or logged model with a path."
    )


def _of_run(caller: Caller, source: str, parts: list[str]) -> Artifact:
    if len(parts) < 2:
        raise _refused(source)
    return _at(caller, parts[0], parts[1:])


def _at(caller: Caller, run_id: str, parts: list[str]) -> Artifact:
    """Return what lies at a path of a run. What a client put there is a checkpoint from now on, and whole."""
    run, path = caller.run(run_id, role=Role.EDITOR), "/".join(parts)
    marked = mark_model(run=run, path=path, by=Sender(caller.name, caller.user))
    return marked or artifact_at(run, path)


def _of_model(caller: Caller, source: str, parts: list[str]) -> Artifact:
    if len(parts) == 1:
        return _logged(caller, parts[0])
    if len(parts) > 2:
        raise _refused(source)
    version = find_version(find_model(caller, parts[0]), parts[1])
    if version.artifact is None or version.run is None:
        raise missing(f"The files of {source} are gone.")
    caller.run(version.run.uid, role=Role.EDITOR)
    return version.artifact


def _of_proxy(caller: Caller, source: str, parts: list[str]) -> Artifact:
    if len(parts) == 4 and parts[1] == "models" and parts[3] == _ROOT:
        artifact = _logged(caller, parts[2])
    elif len(parts) > 3 and parts[2] == _ROOT:
        artifact = _at(caller, parts[1], parts[3:])
    else:
        raise _refused(source)
    if artifact.run.project.uid != parts[0]:
        raise missing(f"There is nothing at {source}.")
    return artifact


def _logged(caller: Caller, uid: str) -> Artifact:
    model = LoggedModel.objects.select_related("run").filter(uid=uid, run__isnull=False).first()
    if model is None or model.run is None or not caller.runs().filter(pk=model.run.pk).exists():
        raise missing(f"Logged model with ID {uid} not found, or it has no run")
    caller.run(model.run.uid, role=Role.EDITOR)
    return artifact_of_model(model)


def download_uri(version: ModelVersion) -> str:
    """Return where clients read the files of a version; `with_details` has loaded it. Raises: MlflowError (404)."""
    artifact = version.artifact
    if artifact is None:
        raise missing("The files of this version are gone.")
    root = f"{ARTIFACT_SCHEME}{artifact.run.project.uid}"
    logged = logged_model_of(artifact)
    if logged is not None:
        return f"{root}/models/{logged.uid}/{_ROOT}"
    return f"{root}/{artifact.run.uid}/{_ROOT}/{artifact.source}"


def logged_model_of(artifact: Artifact) -> LoggedModel | None:
    """Return the logged model that a checkpoint is of, None where no client logged one."""
    return getattr(artifact, "logged_model", None)
