"""The fix in the user's own stack: configurations of servers and frameworks, made from a policy.

What goes into a configuration went through `sound` and through a filter that quotes for its language. Knows nothing of
exchanges and verdicts, and does no more input and output than reading its templates.
"""

from corscope.stacks.configurations import STACKS, Stack, configuration
from corscope.stacks.guesses import Guess, guess

__all__ = ["STACKS", "Guess", "Stack", "configuration", "guess"]
