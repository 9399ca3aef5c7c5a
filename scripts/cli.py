"""`setpoint VERB key=value …`: finds the verb, lets Hydra compose its config, runs it, says what came of it.

Exit codes: 0 done; 1 a finding (of validate or verify); 2 wrong input; 70 a bug, with its traceback; 128 + the signal
that asked a training run to stop, 143 for SIGTERM.
Nothing heavy is imported before a verb runs: `setpoint --help` answers at once.
"""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.command_words import flags_and_settings, problem_of
from scripts.help import overview, verb_help
from scripts.processes import is_first_process
from scripts.sweeps import JobEndedError, command_of_one_job, in_sweep, processes_of_its_own, register_resolvers
from scripts.verbs import CONFIGS, VERBS, Verb, call, find_verb, search_path
from scripts.wording import composition_words, file_words, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

DONE, FINDING, WRONG_INPUT, BUG, INTERRUPTED = 0, 1, 2, 70, 130


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
        return _refuse(f"setpoint: no verb {name!r}; {nearest(name, names)}")
    if any(argument in ("-h", "--help") for argument in rest):
        print(verb_help(verb))
        return DONE
    hidden = _hidden_package()
    if hidden is not None:
        return _refuse(hidden)
    return _guarded(lambda: _run_hydra(verb, rest), verb)


def _run_hydra(verb: Verb, overrides: list[str]) -> int:
    import hydra
    from omegaconf import DictConfig

    os.environ["HYDRA_FULL_ERROR"] = "1"  # let its errors reach _guarded, which words them
    command = [sys.argv[0], verb.name, *overrides]
    codes: list[int] = []

    def job(config: DictConfig) -> float | None:
        # Lightning starts the processes of further devices by this command.
        sys.argv = [command[0], *command_of_one_job(verb.name, config.get("out"))] if in_sweep() else command
        objectives: list[float | None] = []
        with processes_of_its_own():
            codes.append(_guarded(lambda: _report(verb, config, objectives), verb))
        if codes[-1] != DONE and in_sweep():
            raise JobEndedError(codes[-1])
        return next(iter(objectives), None)

    register_resolvers()
    flags, settings = flags_and_settings(overrides)
    problem = problem_of(verb, flags, settings)
    if problem is not None:
        return _refuse(f"setpoint {verb.name}: {problem}")
    sys.argv = [f"setpoint {verb.name}", *flags, *search_path(verb), *settings]
    try:
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=verb.name)(job)()
    except JobEndedError as error:
        codes.append(error.code)
    finally:
        sys.argv = command
    return max(codes, default=DONE)


def _report(verb: Verb, config: "DictConfig", objectives: list[float | None]) -> int:
    summary = call(verb, config)
    objectives.append(summary.objective)
    if not is_first_process():
        return DONE if summary.ok else FINDING
    for line in summary.lines:
        print(line)
    print(summary.title)
    for path in summary.written:
        print(f"  {_shown(path)}")
    return DONE if summary.ok else FINDING


def _guarded(work: Callable[[], int], verb: Verb) -> int:
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
        return _refuse(f"setpoint {verb.name}, {composition_words(error)}")
    except (BrokenPipeError, JobEndedError):
        raise
    except OSError as error:
        if error.filename is None and error.errno is None:
            return _bug()
        return _refuse(file_words(error))
    except KeyboardInterrupt:
        print("interrupted; the next run continues or starts afresh", file=sys.stderr)
        return INTERRUPTED
    except Exception:
        return _bug()


def _bug() -> int:
    traceback.print_exc()
    print("setpoint: this is a bug; please report it with the lines above", file=sys.stderr)
    return BUG


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)
    return WRONG_INPUT


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
