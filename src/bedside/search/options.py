"""The options of a search: the one list of them, from which every surface takes its own.

A new option is one field of :class:`SearchOptions` and, for type checkers, its name and type in
:class:`SearchArguments`. ``Collection.search`` and ``search_notes``, both adapters, the command line, HTTP and MCP read
names, defaults, ranges and help from the fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any, Literal, TypedDict, get_args

from bedside.errors import InvalidInputError
from bedside.filters.validity import moment
from bedside.records import check_id
from bedside.search.recency import Recency
from bedside.support.checks import check_choice, check_flag, check_int, check_key, check_known, check_number
from bedside.types import Assertion, Collapse, FilterDict, Fusion, Mode, Rerank

FETCH_K = 100
"""Default pool of RRF and MMR: deeper pools changed nDCG@10 by under 0.001 on the development sets."""
DEFAULT_ALPHA = 0.6
"""Weight of the dense half where neither encoder nor collection has its own: best or level with the best on all four
development sets with MiniLM (see ``docs/benchmarks.md``).

Of whole notes, 0.4 and 0.6 gave 0.862 and 0.857 nDCG@10 on the development notes, 0.7 gave 0.844 (see
``docs/benchmarks.md``)."""

RERANK_K = 50
"""Hits that a second look is taken at: most of what it gains, in a few milliseconds."""
_SCORERS = ("predict", "score")

Kind = Literal["int", "number", "choice", "key", "flag", "ids", "filter", "moment", "rerank", "recency"]


@dataclass(frozen=True)
class Option:
    """What surfaces need to know of an option beside its name and default.

    Attributes:
        help: One line for people.
        kind: What its values are.
        least: The lowest int or number.
        most: The highest int or number.
        choices: The allowed strings; of a number, words that stand for one.
        optional: Whether ``None`` is allowed.
        surface: Whether other surfaces than Python offer it.
        notes: Whether a search for whole notes takes it too.
    """

    help: str
    kind: Kind
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    surface: bool = True
    notes: bool = True

    def check(self, name: str, value: Any) -> None:
        """Raise :class:`InvalidInputError` for a value that is wrong; a filter is parsed where the search is made."""
        match self.kind:
            case _ if self.optional and value is None:
                pass
            case "int":
                check_int(name, value, self.least or 0, self.most, optional=self.optional)
            case "number" if isinstance(value, str) and value in self.choices:
                pass
            case "number":
                check_number(name, value, self.least, self.most, optional=self.optional, words=self.choices)
            case "choice":
                check_choice(name, value, self.choices)
            case "key":
                check_key(name, value, optional=self.optional)
            case "flag":
                check_flag(name, value)
            case "ids":
                check_ids(value)
            case "moment":
                moment(value, name)
            case "rerank":
                check_rerank(name, value, self.choices)
            case "recency":
                Recency.of(value)


def check_ids(ids: Iterable[object], name: str = "ids") -> list[str]:
    """Return a list of ids that can be ids."""
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        raise InvalidInputError(f"{name}: expected a list of str, got {type(ids).__name__}; wrap one id in [ ]")
    return [check_id(id, f"{name}[{i}]") for i, id in enumerate(ids)]


def check_rerank(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuse what is neither a way to rerank nor a reranker."""
    if isinstance(value, str):
        check_choice(name, value, choices)
    elif isinstance(value, type) or not any(map(callable, (value, *(getattr(value, n, None) for n in _SCORERS)))):
        allowed = (
            f"{', '.join(map(repr, choices))}, a function of a question and texts, or an object with predict or score"
        )
        found = value.__name__ if isinstance(value, type) else type(value).__name__
        raise InvalidInputError(f"{name}: expected {allowed}; got {found}")


def _about(kind: Kind, help: str, **limits: Any) -> dict[str, Option]:
    return {"option": Option(help, kind, **limits)}


@dataclass(frozen=True)
class SearchOptions:
    """How a search is made; the arguments are checked when it is.

    Raises:
        InvalidInputError: A value is out of its range.
        UnknownOptionError: :meth:`of` was given a name that is not an option.

    Example:
        >>> SearchOptions(top_k=3).mode, SearchOptions.of({"alpha": 0.3}).weight
        (None, 0.3)
    """

    top_k: int = field(default=10, metadata=_about("int", "Hits at most; fewer is a valid answer.", least=1))
    filter: FilterDict | None = field(
        default=None, metadata=_about("filter", "Only documents whose metadata satisfy it are ranked.", optional=True)
    )
    mode: Mode | None = field(
        default=None,
        metadata=_about(
            "choice",
            "hybrid, dense or sparse; by default what the question offers.",
            choices=get_args(Mode),
            optional=True,
        ),
    )
    alpha: float | None = field(
        default=None,
        metadata=_about(
            "number",
            "Weight of the dense half of a hybrid search; by default the collection's own, 0.6 unless it has another.",
            least=0,
            most=1,
            optional=True,
        ),
    )
    fusion: Fusion = field(
        default="weighted",
        metadata=_about(
            "choice", "How a hybrid search joins its halves: by scores or by ranks.", choices=get_args(Fusion)
        ),
    )
    fetch_k: int | None = field(
        default=None,
        metadata=_about("int", "Pool of RRF and MMR, 100 by default, and of rerank, 50.", least=1, optional=True),
    )
    min_score: float | Literal["calibrated"] | None = field(
        default=None,
        metadata=_about(
            "number",
            "Leave out hits below it, on the scale of the mode; calibrated is what was measured for the collection.",
            choices=("calibrated",),
            optional=True,
        ),
    )
    diversity: float | None = field(
        default=None,
        metadata=_about(
            "number",
            "Maximal marginal relevance: 0 is relevance alone, 1 difference alone.",
            least=0,
            most=1,
            optional=True,
        ),
    )
    offset: int = field(default=0, metadata=_about("int", "Skip so many hits, for paging.", least=0))
    ids: Sequence[str] | None = field(
        default=None, metadata=_about("ids", "Only these documents are ranked.", optional=True)
    )
    group_by: str | None = field(
        default=None,
        metadata=_about(
            "key",
            "Return the best hit of each value of this metadata key only, such as one of each note.",
            notes=False,
            optional=True,
        ),
    )
    assertion: Assertion = field(
        default="prefer",
        metadata=_about(
            "choice",
            "Documents that deny what the text asks for (or assert what it wants absent) come last (prefer), "
            "are left out (only), or rank like all others (any).",
            choices=get_args(Assertion),
        ),
    )
    as_of: date | str | None = field(
        default=None,
        metadata=_about(
            "moment",
            "Only what was valid then, by valid_from, valid_to and supersedes: a date, a time in ISO 8601, or now.",
            optional=True,
        ),
    )
    rerank: Rerank | None = field(
        default=None,
        metadata=_about(
            "rerank",
            "A second look at the best hits: proximity, for words that stand together as in the question; "
            "in Python also a reranker.",
            choices=("proximity",),
            optional=True,
        ),
    )
    recency: Recency | str | None = field(
        default=None,
        metadata=_about(
            "recency",
            "What newer documents gain, as half-life and weight: 30d:0.2; with a date key of its own, issued:30d:0.2.",
            optional=True,
        ),
    )
    latest_by: str | None = field(
        default=None,
        metadata=_about(
            "key",
            "Put the newest document of each value of this metadata key first, such as of each analyte.",
            optional=True,
        ),
    )
    newest_first: bool = field(default=False, metadata=_about("flag", "Order the hits that were found by date."))
    date_key: str = field(
        default="date", metadata=_about("key", "The metadata key of a document's date, in ISO 8601; date by default.")
    )
    collapse: Collapse | None = field(
        default=None,
        metadata=_about(
            "choice",
            "copies: a hit whose text is nearly that of a better one becomes one of its copies.",
            choices=get_args(Collapse),
            optional=True,
        ),
    )
    explain: bool = field(default=False, metadata=_about("flag", "Say how each score came about."))
    as_one: str | None = field(
        default=None,
        metadata=_about(
            "key",
            "BM25 reads those documents of a group that carry this metadata key as one text; needs group_by.",
            surface=False,
            notes=False,
            optional=True,
        ),
    )
    default_alpha: float = DEFAULT_ALPHA
    """What ``alpha=None`` stands for in the collection that is searched; it is the collection's, and no option."""

    def __post_init__(self) -> None:
        for name, default in _DEFAULTS.items():
            if (value := getattr(self, name)) is default:
                continue
            OPTIONS[name].check(name, value)
            if OPTIONS[name].kind == "int" and value is not None:
                # As Python's int: what is computed from a numpy.int8 would overflow.
                object.__setattr__(self, name, int(value))
        if self.ids is not None:
            object.__setattr__(self, "ids", list(self.ids))
        undone = [name for name in ("diversity", "rerank") if getattr(self, name) is not None]
        if self.latest_by is not None and undone:
            raise InvalidInputError(f"latest_by: an order of its own, which {undone[0]} would undo; give one")

    @classmethod
    def of(
        cls, given: Mapping[str, Any], *, notes: bool = False, default_alpha: float = DEFAULT_ALPHA
    ) -> SearchOptions:
        """Return the options that keyword arguments name, for a collection with this weight of its own.

        Args:
            given: Keyword arguments.
            notes: Whether whole notes are searched for, which not every option can be used for.
            default_alpha: What ``alpha=None`` stands for.

        Raises:
            UnknownOptionError: A name is not an option of such a search; the message lists those that are.
        """
        allowed, verb = (NOTE_OPTIONS, "search_notes") if notes else (OPTIONS, "search")
        check_known(verb, given, allowed)
        return cls(**given, default_alpha=default_alpha)

    @property
    def fading(self) -> Recency | None:
        """What newer records gain."""
        return None if self.recency is None else Recency.of(self.recency)

    @property
    def date_keys(self) -> set[str]:
        """The keys of the dates that the ranking goes by."""
        keys = {self.date_key} if self.newest_first or self.latest_by is not None else set()
        return keys if self.fading is None else keys | {self.fading.key or self.date_key}

    @property
    def depth(self) -> int:
        """How many hits there must be before ``offset`` is skipped."""
        return self.top_k + self.offset

    @property
    def fetched(self) -> int:
        """The pool of RRF and MMR."""
        return FETCH_K if self.fetch_k is None else self.fetch_k

    @property
    def pool(self) -> int:
        """How many rows the ranking yields.

        MMR and a second look choose among ``fetch_k``, also where that is few; copies are looked for among as many, or
        among as many as are asked for.
        """
        if self.diversity is None and self.rerank is None:
            return self.depth if self.collapse is None else max(self.depth, self.fetched)
        usual = RERANK_K if self.diversity is None and self.collapse is None else FETCH_K
        return max(self.depth, usual) if self.fetch_k is None else self.fetch_k

    @property
    def weight(self) -> float:
        """Alpha or the collection's own; 0 is a value, only ``None`` stands for the default."""
        return self.default_alpha if self.alpha is None else float(self.alpha)

    @property
    def rank_shares(self) -> dict[str, float]:
        """What a rank counts in either half of a rank fusion."""
        dense, sparse = (1.0, 1.0) if self.alpha is None else (self.weight, 1 - self.weight)
        return {"dense": dense, "sparse": sparse}

    @property
    def halves(self) -> Mode:
        """The mode that is searched: a hybrid search with all the weight on one half has no other."""
        weight = self.alpha if self.fusion == "rrf" else self.weight  # ranks are fused evenly unless asked otherwise
        if self.mode == "hybrid" and weight in (0, 1):
            return "dense" if weight == 1 else "sparse"
        return self.mode or "hybrid"


OPTIONS: Mapping[str, Option] = {each.name: each.metadata["option"] for each in fields(SearchOptions) if each.metadata}
"""Every option by name, in the order of :class:`SearchOptions`."""
_DEFAULTS: Mapping[str, Any] = {each.name: each.default for each in fields(SearchOptions) if each.metadata}
NOTE_OPTIONS: Mapping[str, Option] = {name: option for name, option in OPTIONS.items() if option.notes}
"""Those of ``search_notes``: whole notes are grouped by themselves, so it cannot be asked for another grouping."""


class SearchArguments(TypedDict, total=False):
    """The options as keyword arguments, for type checkers alone; a test holds it against :class:`SearchOptions`."""

    top_k: int
    filter: FilterDict | None
    mode: Mode | None
    alpha: float | None
    fusion: Fusion
    fetch_k: int | None
    min_score: float | Literal["calibrated"] | None
    diversity: float | None
    offset: int
    ids: Sequence[str] | None
    group_by: str | None
    assertion: Assertion
    as_of: date | str | None
    rerank: Rerank | None
    recency: Recency | str | None
    latest_by: str | None
    newest_first: bool
    date_key: str
    collapse: Collapse | None
    explain: bool
    as_one: str | None
