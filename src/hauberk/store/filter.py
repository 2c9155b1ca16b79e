r"""The one filter grammar of every list, parsed to a tree that stores compile.

::

    expr  = and ("or" and)*
    and   = not ("and" not)*
    not   = ["not"] atom
    atom  = "(" expr ")" | field op value | field "is" "null"
          | field "in" "(" value ("," value)* ")"
    op    = "=" "!=" "<" "<=" ">" ">=" "~" (contains, any case) "=~" (RE2 regex)
    field = [a-z_][a-z0-9_.]*
    value = "quoted \" string" | bare-word | number | true | false

Examples: ``name = nginx and version >= "1.2"``, ``dst_port in (22, 3389)
and not is_self = true``.

What a filter means, in every store (`store.typed` checks it against the columns):

- A comparison with a missing value is false, so ``!=`` and ``not`` of it are true.
- Text compares by code point; ``~`` ignores the case of ASCII letters only.
- On a list, ``=`` and ``in`` ask for an element; ``~`` and ``=~`` look at the elements joined by
  one space, so that a command line reads as it was typed.
- Numbers on text columns are text; ``"22"`` on a number column is the number.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from hauberk.errors import BadFilter

Op = Literal["=", "!=", "<", "<=", ">", ">=", "~", "=~"]
Value = str | int | float | bool
MAX_LENGTH = 4096
MAX_TERMS = 64


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """`field op value`."""

    field: str
    op: Op
    value: Value


class In(msgspec.Struct, frozen=True, tag="in"):
    """`field in (values)`."""

    field: str
    values: tuple[Value, ...]


class IsNull(msgspec.Struct, frozen=True, tag="null"):
    """`field is null`."""

    field: str


class Not(msgspec.Struct, frozen=True, tag="not"):
    """Negation."""

    item: Filter


class And(msgspec.Struct, frozen=True, tag="and"):
    """All of them."""

    items: tuple[Filter, ...]


class Or(msgspec.Struct, frozen=True, tag="or"):
    """Any of them."""

    items: tuple[Filter, ...]


Filter = Compare | In | IsNull | Not | And | Or

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<str>"(?:[^"\\]|\\.)*")
    | (?P<op>=~|!=|<=|>=|=|<|>|~)
    | (?P<punct>[(),])
    | (?P<word>[^\s"()=<>!~,]+)
    )""",
    re.VERBOSE,
)
_FIELD = re.compile(r"[a-z_][a-z0-9_.]*")
_INT = re.compile(r"-?[0-9]{1,18}")
_FLOAT = re.compile(r"-?[0-9]{1,18}\.[0-9]{1,18}")
_Token = tuple[str, str, int]


def parse(text: str) -> Filter | None:
    """Read a filter; empty text is no filter.

    Raises:
        BadFilter: with the position of what is wrong.
    """
    if len(text) > MAX_LENGTH:
        raise BadFilter(f"the filter has {len(text)} characters; at most {MAX_LENGTH}")
    tokens = _tokens(text)
    if not tokens:
        return None
    parser = _Parser(tokens, len(text))
    tree = parser.disjunction()
    if parser.kind():
        raise BadFilter(f"unexpected {parser.text()!r} at {parser.where()}")
    return tree


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    pos = 0
    text = text.rstrip()
    while pos < len(text):
        match = _TOKEN.match(text, pos)
        if match is None:
            raise BadFilter(f"cannot read {text[pos : pos + 10]!r} at {pos}")
        kind = match.lastgroup or ""
        tokens.append((kind, match.group(kind), match.start(kind)))
        pos = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[_Token], end: int) -> None:
        self._tokens = tokens
        self._pos = 0
        self._end = end
        self._terms = 0
        self._depth = 0

    def kind(self) -> str:
        return self._tokens[self._pos][0] if self._pos < len(self._tokens) else ""

    def text(self) -> str:
        return self._tokens[self._pos][1] if self._pos < len(self._tokens) else "end of filter"

    def where(self) -> int:
        return self._tokens[self._pos][2] if self._pos < len(self._tokens) else self._end

    def disjunction(self) -> Filter:
        items = [self._conjunction()]
        while self._word("or"):
            items.append(self._conjunction())
        return items[0] if len(items) == 1 else Or(tuple(items))

    def _conjunction(self) -> Filter:
        items = [self._negation()]
        while self._word("and"):
            items.append(self._negation())
        return items[0] if len(items) == 1 else And(tuple(items))

    def _negation(self) -> Filter:
        negate = False
        while self._word("not"):
            negate = not negate
        atom = self._atom()
        return Not(atom) if negate else atom

    def _atom(self) -> Filter:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise BadFilter(f"more than {MAX_TERMS} terms")
        if self._punct("("):
            self._depth += 1
            if self._depth > MAX_TERMS:
                raise BadFilter("too many parentheses")
            inner = self.disjunction()
            self._need(")")
            self._depth -= 1
            return inner
        field = self._take("word", "a field name")
        if not _FIELD.fullmatch(field):
            raise BadFilter(f"{field!r} is not a field name")
        if self._word("in"):
            return self._membership(field)
        if self._word("is"):
            if not self._word("null"):
                raise BadFilter(f"expected null at {self.where()}")
            return IsNull(field)
        op = self._take("op", "an operator (= != < <= > >= ~ =~)")
        return Compare(field, op, self._value())  # type: ignore[arg-type]  # the token pattern holds just Op

    def _membership(self, field: str) -> In:
        self._need("(")
        values = [self._value()]
        while self._punct(","):
            values.append(self._value())
        self._need(")")
        return In(field, tuple(values))

    def _value(self) -> Value:
        if self.kind() == "str":
            return re.sub(r"\\(.)", r"\1", self._take("str", "")[1:-1])
        word = self._take("word", "a value")
        if word in ("true", "false"):
            return word == "true"
        # Only what reads back the same is a number: 007 and 1.10 stay text for text columns.
        if _INT.fullmatch(word) and str(int(word)) == word:
            return int(word)
        if _FLOAT.fullmatch(word) and repr(float(word)) == word:
            return float(word)
        return word

    def _take(self, kind: str, what: str) -> str:
        if self.kind() != kind:
            raise BadFilter(f"expected {what}, got {self.text()!r} at {self.where()}")
        text = self.text()
        self._pos += 1
        return text

    def _word(self, word: str) -> bool:
        if self.kind() == "word" and self.text().lower() == word:
            self._pos += 1
            return True
        return False

    def _punct(self, char: str) -> bool:
        if self.kind() == "punct" and self.text() == char:
            self._pos += 1
            return True
        return False

    def _need(self, char: str) -> None:
        if not self._punct(char):
            raise BadFilter(f"expected {char!r}, got {self.text()!r} at {self.where()}")
