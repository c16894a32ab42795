"""The command line: thin verbs, each calling one public function. Heavy imports happen inside the verbs."""

from wslog.cli.app import main

__all__ = ["main"]
