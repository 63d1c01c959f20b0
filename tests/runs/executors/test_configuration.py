"""The file of the executors: what it may say, and what an operator is told of a mistake."""

from pathlib import Path

import pytest

from runs.executors.configuration import (
    BrokenSettings,
    ConfigurationError,
    LocalSettings,
    SlurmSettings,
    read_configuration,
)

CLUSTER = '[executors.cluster]\nkind = "slurm"\nnodes = 3\ngpus = 24\n'


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a text as the file."""

    def read_text(text):
        (tmp_path / "executors.toml").write_text(text)
        return read_configuration(tmp_path / "executors.toml")

    return read_text


def problem_of(configuration, name="local"):
    declared = configuration.executors[name]
    assert isinstance(declared, BrokenSettings)
    return declared.problem


def test_executors_are_read_in_their_order_with_the_default(read):
    found = read(f'default = "cluster"\n[executors.local]\nkind = "local"\nslots = 4\ngpus = 2\n{CLUSTER}')

    assert list(found.executors) == ["local", "cluster"]
    assert found.default == "cluster"
    assert found.problems == ()
    assert found.executors["local"] == LocalSettings(slots=4, gpus=2)


def test_a_cluster_has_rules_lists_of_choices_and_rules_for_recipes(read):
    found = read(
        f'{CLUSTER}slots = 50\npartition = ["gpu", "debug"]\naccount = "lab"\nmemory_mb_per_gpu = 64000\n'
        'time_limit_minutes = 60\nmax_time_limit_minutes = 1440\nfolder = "/shared/attempts"\n'
        '[executors.cluster.recipes.hf-sft]\npartition = "large"\ntime_limit_minutes = 600\n'
    ).executors["cluster"]

    assert isinstance(found, SlurmSettings)
    assert (found.slots, found.nodes, found.gpus, found.folder) == (50, 3, 24, Path("/shared/attempts"))
    assert found.rules.partitions == ("gpu", "debug")
    assert (found.rules.accounts, found.rules.memory_mb_per_gpu) == (("lab",), 64000)
    assert found.rules.for_recipe("hf-sft").partitions == ("large",)
    assert found.rules.for_recipe("hf-sft").time_limit_minutes == 600
    assert found.rules.for_recipe("tiny-gpt").time_limit_minutes == 60


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ('[executors.a]\nkind = "local"', "a"),
        (f'{CLUSTER}[executors.local]\nkind = "local"', "local"),
        (CLUSTER, "cluster"),
    ],
)
def test_without_a_default_it_is_local_or_else_the_first(read, text, default):
    assert read(text).default == default


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "executors.toml declares no executor"),
        ("executors = 3", "executors.toml declares no executor"),
        ("[executors]", "executors.toml declares no executor"),
        ("default =", "executors.toml is not TOML"),
        ("[" * 100_000, "executors.toml is not TOML"),
    ],
)
def test_a_file_of_which_nothing_can_be_used_is_refused(read, text, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        read(text)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, make):
    make(tmp_path / "executors.toml")

    with pytest.raises(ConfigurationError, match=r"executors\.toml (cannot be read|is not TOML)"):
        read_configuration(tmp_path / "executors.toml")


def test_a_huge_file_is_not_read(read):
    with pytest.raises(ConfigurationError, match="larger than 1024 KiB"):
        read("#" * 1_100_000)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("slotz = 4", "executors.local.slotz is not known; there are gpus, max_time_limit_minutes, slots."),
        ("slots = 0", "executors.local.slots must be a whole number from 1 to 100000."),
        ("slots = true", "executors.local.slots must be a whole number from 1 to 100000."),
        ("slots = 2.0", "executors.local.slots must be a whole number from 1 to 100000."),
        ('gpus = "two"', "executors.local.gpus must be a whole number from 0 to 1024."),
    ],
)  # fmt: skip
def test_a_mistake_names_file_and_key_and_disturbs_no_other_executor(read, line, sentence):
    found = read(f'[executors.local]\nkind = "local"\n{line}\n{CLUSTER}')

    assert problem_of(found) == f"executors.toml: {sentence}"
    assert found.executors["local"].kind == "local"
    assert isinstance(found.executors["cluster"], SlurmSettings)


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        ('[executors.local]\nkind = "k8s"', "local", "executors.local.kind must be one of local, slurm."),
        ("[executors.local]", "local", "executors.local.kind must be one of local, slurm."),
        ("[executors.local]\nkind = [1]", "local", "executors.local.kind must be one of local, slurm."),
        ("[executors]\nlocal = 3", "local", "executors.local must be a table."),
        ('[executors.Local]\nkind = "local"', "Local", "executors.Local must be named by lower-case letters"),
        ('[executors."a b"]\nkind = "local"', "a b", "executors.a b must be named by lower-case letters"),
        ('[executors.c]\nkind = "slurm"\ngpus = 1', "c", "executors.c.nodes is missing"),
        (f"{CLUSTER}partition = 3", "cluster", "executors.cluster.partition must be a text or a list of texts."),
        (f'{CLUSTER}partition = "a b"', "cluster", "executors.cluster: partitions: 'a b' cannot be given to Slurm."),
        (f'{CLUSTER}folder = "attempts"', "cluster", "executors.cluster.folder must be an absolute path."),
        (f'{CLUSTER}qos = ["a"]\nextra = "--wait"', "cluster", "extra: --wait is trainhub's own to say."),
        (f'{CLUSTER}account = "a"\naccounts = ["b"]', "cluster", "accounts says again what accounts says."),
        (f"{CLUSTER}recipes = 3", "cluster", "executors.cluster.recipes must be a table of recipes."),
        (f"{CLUSTER}recipes = {{ x = 1 }}", "cluster", "executors.cluster.recipes.x must be a table."),
        (
            f"{CLUSTER}[executors.cluster.recipes.x]\nnodes = 2",
            "cluster",
            "executors.cluster.recipes.x.nodes is not known",
        ),
        (
            f"{CLUSTER}time_limit_minutes = 9\nmax_time_limit_minutes = 3",
            "cluster",
            "executors.cluster: time_limit_minutes is more than max_time_limit_minutes.",
        ),
    ],
)
def test_what_is_declared_wrongly_is_a_problem_of_that_executor(read, text, name, sentence):
    assert sentence in problem_of(read(text), name)


def test_this_machine_is_declared_once(read):
    found = read('[executors.a]\nkind = "local"\n[executors.b]\nkind = "local"\n')

    assert isinstance(found.executors["a"], LocalSettings)
    assert "executors.b cannot be of kind local too: a is" in problem_of(found, "b")


def test_a_default_that_is_not_there_is_a_problem_and_another_one_is_taken(read):
    found = read('default = "moon"\n[executors.local]\nkind = "local"\n')

    assert found.default == "local"
    assert found.problems == ("executors.toml: default must be one of local; local is taken meanwhile.",)


def test_an_unknown_key_beside_the_executors_is_a_problem_of_the_file(read):
    found = read('defualt = "local"\n[executors.local]\nkind = "local"\n')

    assert found.problems == ("executors.toml: defualt is not known; there are default and executors.",)


def test_the_example_of_the_documentation_is_good(read):
    text = (Path(__file__).parents[3] / "docs" / "executors.md").read_text()
    example = text.partition("```toml\n")[2].partition("```")[0]

    found = read(example)

    assert {name: settings.kind for name, settings in found.executors.items()} == {"local": "local", "cluster": "slurm"}
    assert not any(isinstance(settings, BrokenSettings) for settings in found.executors.values())
    assert (found.problems, found.executors["cluster"].rules.for_recipe("hf-sft").partitions) == ((), ("large",))
