"""Refusals that whoever decides on the page can meet: an error for the terminal, and the same in plain words."""

from data.errors import Finding, InputError


class RefusedError(InputError):
    """Wrong input, said twice.

    Args:
        problem: as of `InputError`, for a terminal: with paths and keys.
        told: a sentence of the catalogue for the page, without either.
    """

    def __init__(self, problem: str | list[Finding], told: str) -> None:
        super().__init__(problem)
        self.told = told
