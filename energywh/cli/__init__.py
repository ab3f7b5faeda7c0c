"""The command line. Each command is one small module, imported only when it is needed."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from energywh.core.locks import Patience, patient
from energywh.errors import EnergywhError, did_you_mean

if TYPE_CHECKING:
    from energywh.config.settings import Settings
    from energywh.core.paths import Home

# In the order of use, as the help lists them. The summary stands here so that the help imports no command.
COMMANDS = {
    "demo": "Run everything once, offline, on simulated data.",
    "sync": "Fetch what is due from the sources into staging.",
    "build": "Build the models and publish the warehouse.",
    "sql": "Query the warehouse in SQL.",
    "export": "Write models as Parquet, one file per month.",
    "dataset": "Make, list and verify training sets, as folders of files.",
    "context": "Print the latest complete hours, for inference.",
    "models": "Print the catalog of tables, columns and units.",
    "lineage": "Print where a column comes from, and what depends on it.",
    "docs": "Write the catalog as a small static site.",
    "versions": "List, show, pin and publish again the versions.",
    "diff": "Print what differs between two versions.",
    "revisions": "Print how often, how late and by how much sources revise.",
    "status": "Print what is fresh, late or failed.",
    "check": "Find what is wrong with the published data.",
    "watch": "Sync, build and export in a loop.",
    "config": "Print the settings in effect and where they come from.",
    "doctor": "Find what is wrong with the home, and mend it.",
    "du": "Print what is how large in the home, and what can go.",
    "prune": "Remove what is old or left over, and compact staging.",
    "replay": "Rebuild staging from the kept payloads, without a network.",
    "simulate": "Serve simulated stand-ins of the sources on this machine.",
}


HOME_HELP = "Folder of the warehouse [ENERGYWH_HOME, else ./warehouse]."


class Session:
    """What every command needs: the settings in effect, loaded on first use."""

    def __init__(self, home_option: str | None) -> None:
        self._home_option = home_option
        self._settings: Settings | None = None

    def take_home(self, home: str) -> None:
        """Use the home folder that is given after the command."""
        self._home_option, self._settings = home, None

    @property
    def settings(self) -> Settings:
        if self._settings is None:
            self._settings = self.load()
        return self._settings

    @property
    def home(self) -> Home:
        return self.settings.home

    def find_home(self) -> Home:
        """Return the home also where the settings cannot be loaded."""
        from energywh.config.settings import resolve_home

        return resolve_home(self._home_option)[0]

    def load(self, overrides: dict[str, Any] | None = None) -> Settings:
        """Load the settings, overridden by command-line options."""
        from energywh.sources import load_settings

        self._settings = load_settings(self._home_option, overrides)
        return self._settings


class _ReaderGone(Exception):
    """The reader of the output, such as `head`, has closed it."""


def _home_option() -> click.Option:
    """Return the option `--home`, which is often typed after the command, as every command takes it."""

    def take(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.find_object(Session).take_home(value)  # type: ignore[union-attr]

    return click.Option(["--home"], help=HOME_HELP, hidden=True, expose_value=False, is_eager=True, callback=take)


class LazyGroup(click.Group):
    """A group whose commands are modules of this package, imported when invoked."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"energywh.cli.{cmd_name}"), cmd_name)
        for each in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
            if not any(parameter.name == "home" for parameter in each.params):
                each.params.append(_home_option())
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Caught here because click would turn it into exit status 1.
            raise _ReaderGone from None
        except SystemExit as end:
            if isinstance(end.__context__, BrokenPipeError):  # rich exits with status 1 as well
                raise _ReaderGone from None
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] == "help":
            if len(args) == 1:
                click.echo(ctx.get_help())
                ctx.exit()
            args = [*args[1:], "--help"]
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command is named '{args[0]}'{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted.",
)
@click.option("--home", metavar="FOLDER", help=HOME_HELP)
@click.version_option(None, "-V", "--version", package_name="energywh", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, home: str | None) -> None:
    """An embedded warehouse for hourly electric-grid data.

    Sync public APIs into DuckDB, build clean tables with SQL, query them, export Parquet, and cut training
    windows for MLX.
    """
    session = ctx.obj = Session(home)

    def patience() -> Patience:
        return Patience(session.settings.get("lock.wait_seconds"), lambda message: click.echo(message, err=True))

    ctx.with_resource(patient(patience))


def _print_click_error(error: click.ClickException) -> None:
    """Print an error of click in the style of all other messages: one line, and where to read on."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    message = error.format_message().rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    help_command = f" (see '{context.command_path} --help')" if context else ""
    click.echo(f"energywh: {message[:1].lower()}{message[1:]}{help_command}", err=True)


def main() -> NoReturn:
    """Run the command line; every expected error becomes one message and an exit status."""
    try:
        result = cli.main(prog_name="energywh", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        if isinstance(error, click.NoSuchOption) and error.option_name.startswith("-- "):
            error = click.UsageError('SQL that begins with a comment looks like an option: energywh sql -- "..."')
        _print_click_error(error)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # another Ctrl-C must not change the exit status
        click.echo("interrupted", err=True)
        sys.exit(130)
    except (BrokenPipeError, _ReaderGone):
        # Print nothing, and keep Python from flushing again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except EnergywhError as error:
        click.echo(f"energywh: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        where = f" at {Path(os.fsdecode(error.filename))}" if error.filename else ""
        if not where and error.errno == errno.ENOSPC:  # an error of a file names it
            where = " while writing to standard output"
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # keeps Python from flushing again at exit
        click.echo(f"energywh: {error.strerror or error}{where}", err=True)
        sys.exit(1)
    except RuntimeError as error:
        if "Query interrupted" not in str(error):  # how DuckDB reports Ctrl-C
            raise
        click.echo("interrupted", err=True)
        sys.exit(130)
    except Exception as error:  # a file that turns out to be damaged while it is read
        from energywh.core.storage_errors import file_error

        if (failure := file_error(error)) is None:
            raise
        click.echo(f"energywh: {failure}", err=True)
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)
