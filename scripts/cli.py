"""`setpoint VERB key=value …`: finds the verb, lets Hydra compose its config, runs it, says what came of it.

Exit codes: 0 done; 1 a finding (of validate or verify); 2 wrong input; 70 a bug, with its traceback; 128 + the signal
that asked a training run to stop, 143 for SIGTERM.
Nothing heavy is imported before a verb runs: `setpoint --help` answers at once.
"""

import difflib
import errno
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from scripts.processes import is_first_process, overrides_of_job
from scripts.verbs import CONFIGS, VERBS, Verb, call, find_verb, groups_of, search_path

DONE, FINDING, WRONG_INPUT, BUG, INTERRUPTED = 0, 1, 2, 70, 130

# Hydra's own; argparse would take any beginning of one, such as --experiment, for the whole.
FLAGS = ("--cfg", "--info", "--multirun", "--package", "--resolve", "--version")

# A failing command leaves nothing behind: verbs write their own outputs, Hydra writes none and logs none.
HYDRA_SETTINGS = [
    "hydra.run.dir=.",
    "hydra.output_subdir=null",
    "hydra.sweep.dir=${root}",
    "hydra.sweep.subdir=.",
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    try:
        code = run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line.

    Returns:
        The exit code.
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return DONE
    name, *rest = arguments
    verb = find_verb(name)
    if verb is None:
        names = [each.name for verbs in VERBS.values() for each in verbs]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`setpoint --help` lists them"
        return _refuse(f"setpoint: no verb {name!r}; {hint}")
    if any(argument in ("-h", "--help") for argument in rest):
        print(verb_help(verb))
        return DONE
    hidden = _hidden_package()
    if hidden is not None:
        return _refuse(hidden)
    return _guarded(lambda: _run_hydra(verb, rest))


def overview() -> str:
    """The text of `setpoint --help`."""
    lines = ["Setpoint: classifiers for content policies, with thresholds that hold.", ""]
    lines += ["usage: setpoint VERB key=value …", ""]
    for user, verbs in VERBS.items():
        lines.append(f"{user}:")
        lines += [f"  {verb.name:<10} {verb.line}" for verb in verbs]
        lines.append("")
    lines.append(
        "`setpoint VERB --help` lists a verb's keys; `--cfg job` shows their values; `-m` sweeps over lists."
    )
    return "\n".join(lines)


def verb_help(verb: Verb) -> str:
    """The text of `setpoint VERB --help`: its config file, whose comments describe the keys."""
    text = (CONFIGS / f"{verb.name}.yaml").read_text(encoding="utf-8")
    keys = text.split("\n\n", 1)[-1].rstrip()
    groups = [f"  {group}={'|'.join(options)}" for group, options in groups_of(verb).items()]
    usage = [f"setpoint {verb.name}: {verb.line}", "", f"usage: setpoint {verb.name} key=value …", ""]
    return "\n".join([*usage, *groups, "", "keys and their defaults:", "", keys])


def _run_hydra(verb: Verb, overrides: list[str]) -> int:
    import hydra
    from omegaconf import DictConfig

    os.environ["HYDRA_FULL_ERROR"] = "1"  # let its errors reach _guarded, which words them
    codes: list[int] = []

    program = sys.argv[0]

    def job(config: DictConfig) -> None:
        # Lightning starts further processes by running sys.argv again.
        sys.argv = [program, verb.name, *overrides_of_job(config)]
        codes.append(_guarded(lambda: _report(verb, config)))

    unknown = [word for word in overrides if word.startswith("--") and word.partition("=")[0] not in FLAGS]
    if unknown:
        name = unknown[0].partition("=")[0]
        return _refuse(f"setpoint {verb.name}: no option {name!r}; keys are given without dashes, as in key=value")
    # Flags first: argparse takes key=value words in one row only.
    flags = [word for word in overrides if word.startswith("-") or "=" not in word]
    values = [word for word in overrides if word not in flags]
    sys.argv = [f"setpoint {verb.name}", *flags, *HYDRA_SETTINGS, *search_path(verb), *values]
    hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=verb.name)(job)()
    return max(codes, default=DONE)


def _report(verb: Verb, config: object) -> int:
    summary = call(verb, config)  # type: ignore[arg-type]
    if not is_first_process():
        return DONE if summary.ok else FINDING
    for line in summary.lines:
        print(line)
    print(summary.title)
    for path in summary.written:
        print(f"  {_shown(path)}")
    return DONE if summary.ok else FINDING


def _guarded(work: Callable[[], int]) -> int:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from data.errors import InputError, Preempted

    try:
        return work()
    except InputError as error:
        return _refuse(str(error))
    except Preempted as preempted:
        if not is_first_process():
            return DONE  # Lightning kills all processes at once where one fails
        print(preempted, file=sys.stderr)
        return preempted.exit_code
    except (HydraException, OmegaConfBaseException) as error:
        return _refuse(_first_words(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None and error.errno is None:
            return _bug()
        return _refuse(_wording(error))
    except KeyboardInterrupt:
        print("interrupted; the next run continues or starts afresh", file=sys.stderr)
        return INTERRUPTED
    except Exception:
        return _bug()


def _bug() -> int:
    traceback.print_exc()
    print("setpoint: this is a bug; please report it with the lines above", file=sys.stderr)
    return BUG


def _wording(error: OSError) -> str:
    """Where and why a file could not be read or written, and what to do."""
    from data.files import TEMPORARY_PREFIX

    place = ""
    if error.filename:
        path = Path(os.fsdecode(error.filename))
        place = f"{path.parent if path.name.startswith(TEMPORARY_PREFIX) else path}: "
    advice = "run the command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
        advice = "name a folder that you may write to"
    return f"{place}{error.strerror or error}; nothing half-written was left, {advice}"


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)
    return WRONG_INPUT


def _first_words(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:4]).rstrip(".") if lines else type(error).__name__
    cause = error.__cause__
    if cause is not None and "not in struct" in str(cause):
        key = str(cause).split("'")[1]
        text = f"unknown key {key!r}; `--help` lists the keys"
    return text


def _hidden_package() -> str | None:
    import data

    expected = CONFIGS.parent / "data" / "__init__.py"
    found = Path(data.__file__ or "nowhere")
    if found.resolve() != expected.resolve():
        return f"the package 'data' of Setpoint is hidden by {found}; run from another folder or rename that package"
    return None


def _shown(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


if __name__ == "__main__":
    main()
