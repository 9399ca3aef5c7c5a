"""A connection that does not wait for ever: it is closed where the head of a request is not there in time."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 20.0


class PatientProtocol(H11Protocol):
    """uvicorn's protocol, which waits for ever for the head of a request, with a deadline."""

    deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Expect a first request."""
        super().connection_made(transport)
        self._expect()

    def on_response_complete(self) -> None:
        """Expect a further request."""
        super().on_response_complete()
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        if self.deadline is not None:
            self.deadline.cancel()
        super().connection_lost(exc)

    def _expect(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
        self.deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
