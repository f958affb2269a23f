"""The rule language: a small typed subset of Python's expression syntax, exact throughout.

``parse`` reads an expression and gives a typed tree; ``compile`` turns the tree into a function
over integers, once for each algebra (plain integers, NumPy columns, z3 terms). No code of a
package is ever executed.
"""

from suanwang.policy.language.compile import INTEGERS, Algebra, Compiled, Compiler
from suanwang.policy.language.parse import Mistaken, parse
from suanwang.policy.language.types import BOOL, DATE, DIVISION, Type, number

__all__ = [
    "BOOL",
    "DATE",
    "DIVISION",
    "INTEGERS",
    "Algebra",
    "Compiled",
    "Compiler",
    "Mistaken",
    "Type",
    "number",
    "parse",
]
