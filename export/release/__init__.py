"""The folder that is handed over: sealed, described, verified, and usable without this code."""
