"""vectra's document results: a document's hits, and the sections of its text that vectra renders around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from bedside.formats.vectra.offsets import cut
from bedside.support.checks import check_int

_CONNECTOR = "\n\n...\n\n"
_LOWEST_PEAK = 0.1
_LEAST_TO_SPARE = 40
# A text longer than this many code units is not tokenised for its length: vectra takes a quarter of it.
_LONGEST_COUNTED = 40_000


class Tokenizer(Protocol):
    """What vectra calls a tokenizer; ``tiktoken.get_encoding("o200k_base")`` is its default one."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        ...

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens."""
        ...


class CodeUnits:
    """One token for each UTF-16 code unit, which is what JavaScript counts as a string's length.

    Example:
        >>> CodeUnits().encode("a😀"), CodeUnits().decode([97, 98])
        ([97, 55357, 56832], 'ab')
    """

    def encode(self, text: str) -> list[int]:
        """The code units."""
        return list(memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H"))

    def decode(self, tokens: list[int]) -> str:
        """The text; half a surrogate pair is U+FFFD, as when JavaScript writes it out."""
        return b"".join(unit.to_bytes(2, "little") for unit in tokens).decode("utf-16-le", "replace")


@dataclass(frozen=True)
class VectraChunk:
    """A hit within a document.

    Attributes:
        id: The item's.
        start: Its first UTF-16 code unit.
        end: Its last one, included.
        score: vectra's.
        is_bm25: It was found by words.
    """

    id: str
    start: int
    end: int
    score: float
    is_bm25: bool = False

    @property
    def centre(self) -> int:
        """The code unit in its middle."""
        return (self.start + self.end) // 2


@dataclass(frozen=True)
class VectraSection:
    """A rendered part of a document.

    Attributes:
        text: What goes into a prompt.
        token_count: Its tokens, by vectra's count: of a chunk that had to be cut, the limit.
        score: The mean of its chunks' scores; 1 where it is the whole document.
        is_bm25: Its chunks were found by words.
    """

    text: str
    token_count: int
    score: float
    is_bm25: bool


@dataclass(frozen=True)
class VectraDocument:
    """A document that a query found.

    Attributes:
        id: vectra's, a UUID.
        uri: The name it was added under.
        text: All of it.
        chunks: Its hits, in the order in which they were found.
        tokenizer: Counts and cuts; must be the one that the application used for the same sections.

    Example:
        >>> note = VectraDocument("1", "n.txt", "Plan: rest. BP 120/80.", [VectraChunk("c", 12, 21, 0.9)])
        >>> note.render_sections(10, 1)[0].text
        'BP 120/80.'
    """

    id: str
    uri: str
    text: str
    chunks: Sequence[VectraChunk]
    tokenizer: Tokenizer = field(default_factory=CodeUnits)

    @property
    def score(self) -> float:
        """The mean of the hits' scores, be they cosines or BM25's."""
        return _mean(self.chunks)

    @property
    def length(self) -> int:
        """Its tokens; of a long document a quarter of its code units."""
        units = len(self.text.encode("utf-16-le")) // 2
        return -(-units // 4) if units > _LONGEST_COUNTED else len(self.tokenizer.encode(self.text))

    def render_sections(
        self, max_tokens: int, max_sections: int, *, overlapping_chunks: bool = True
    ) -> list[VectraSection]:
        """The best sections: those of hits by vector, then those of hits by words, ``max_sections`` of each.

        Args:
            max_tokens: Of one section. A document that is not longer is one section.
            max_sections: At most, of each kind.
            overlapping_chunks: Mark gaps, and fill a section's room with the text around it.
        """
        check_int("max_tokens", max_tokens, optional=True)
        check_int("max_sections", max_sections, optional=True)
        if (length := self.length) <= max_tokens:
            return [VectraSection(self.text, length, 1.0, is_bm25=False)]
        return [
            section
            for is_bm25 in (False, True)
            if (chunks := [chunk for chunk in self.chunks if chunk.is_bm25 == is_bm25])
            for section in self._best_sections(chunks, max_tokens, max_sections, overlapping_chunks)
        ]

    def render_all_sections(self, max_tokens: int) -> list[VectraSection]:
        """All hits in the document's order, packed into sections; a longer hit is cut into several."""
        check_int("max_tokens", max_tokens, optional=True)
        sections: list[VectraSection] = []
        packed: list[VectraChunk] = []
        tokens: list[int] = []

        def close() -> None:
            if tokens:
                sections.append(self._section(tokens, packed))
            packed.clear()
            tokens.clear()

        for chunk in sorted(self.chunks, key=lambda chunk: chunk.start):
            own = self._tokens(chunk)
            if len(tokens) + len(own) > max_tokens:
                close()
            if len(own) > max_tokens:
                parts = (own[at : at + max_tokens] for at in range(0, len(own), max_tokens))
                sections += [self._section(part, [chunk]) for part in parts]
            else:
                packed.append(chunk)
                tokens += own
        close()
        return sections

    def _section(self, tokens: list[int], chunks: Sequence[VectraChunk]) -> VectraSection:
        all_by_words = all(chunk.is_bm25 for chunk in chunks)
        return VectraSection(self.tokenizer.decode(tokens), len(tokens), _mean(chunks), all_by_words)

    def _best_sections(
        self, chunks: Sequence[VectraChunk], max_tokens: int, max_sections: int, overlapping: bool
    ) -> list[VectraSection]:
        """One section around each peak of the chunks' scores, the highest peaks first."""
        peaks = _peaks(chunks)
        nearest: dict[int, list[VectraChunk]] = {place: [] for place, _ in peaks}
        for chunk in chunks:
            nearest[min(nearest, key=lambda place: abs(chunk.centre - place))].append(chunk)
        sections = []
        for place, _ in sorted(peaks, key=lambda peak: -peak[1])[:max_sections]:
            chosen = self._fitting(nearest[place], place, max_tokens, overlapping)
            if not chosen:
                return [self._cut_best(chunks, max_tokens)]
            sections.append(self._joined(chosen, max_tokens, overlapping))
        return sections

    def _fitting(
        self, chunks: Sequence[VectraChunk], peak: int, max_tokens: int, overlapping: bool
    ) -> list[VectraChunk]:
        """The chunks nearest to a peak that fit together, gaps counted."""
        chosen: list[VectraChunk] = []
        used = 0
        for chunk in sorted(chunks, key=lambda chunk: abs(chunk.centre - peak)):
            needed = len(self._tokens(chunk))
            if needed > max_tokens:
                continue
            beside = any(other.end + 1 == chunk.start or chunk.end + 1 == other.start for other in chosen)
            if chosen and overlapping and not beside:
                needed += len(self.tokenizer.encode(_CONNECTOR))
            if used + needed <= max_tokens:
                chosen.append(chunk)
                used += needed
        return chosen

    def _joined(self, chosen: Sequence[VectraChunk], max_tokens: int, overlapping: bool) -> VectraSection:
        ordered = sorted(chosen, key=lambda chunk: chunk.start)
        parts = [self._text(ordered[0])]
        for before, chunk in pairwise(ordered):
            if overlapping and before.end + 1 < chunk.start:
                parts.append(_CONNECTOR)
            parts.append(self._text(chunk))
        count = sum(len(self.tokenizer.encode(part)) for part in parts)
        text = "".join(parts)
        if overlapping and max_tokens - count > _LEAST_TO_SPARE:
            before_text, after_text = self._around(ordered, max_tokens - count)
            text = self.tokenizer.decode(before_text) + text + self.tokenizer.decode(after_text)
            count += len(before_text) + len(after_text)
        return VectraSection(text, count, _mean(chosen), ordered[0].is_bm25)

    def _around(self, chunks: Sequence[VectraChunk], spare: int) -> tuple[list[int], list[int]]:
        """The tokens before and after some chunks that there is room for: half of it before, the rest after."""
        before = self.tokenizer.encode(cut(self.text, 0, chunks[0].start - 1))
        after = self.tokenizer.encode(cut(self.text, max(chunk.end for chunk in chunks) + 1))
        before = before[len(before) - min(-(-spare // 2), len(before)) :]
        return before, after[: spare - len(before)]

    def _cut_best(self, chunks: Sequence[VectraChunk], max_tokens: int) -> VectraSection:
        best = max(chunks, key=lambda chunk: chunk.score)
        return VectraSection(
            self.tokenizer.decode(self._tokens(best)[:max_tokens]), max_tokens, best.score, best.is_bm25
        )

    def _text(self, chunk: VectraChunk) -> str:
        return cut(self.text, chunk.start, chunk.end)

    def _tokens(self, chunk: VectraChunk) -> list[int]:
        return self.tokenizer.encode(self._text(chunk))


def _mean(chunks: Sequence[VectraChunk]) -> float:
    return sum(chunk.score for chunk in chunks) / len(chunks)


def _peaks(chunks: Sequence[VectraChunk]) -> list[tuple[int, float]]:
    """Code units and heights of the places where the most score lies; where none is high, the best chunk's middle.

    A peak ends at a place below the threshold; text between two chunks, which no score lies on, does not end it.
    """
    heat: dict[int, float] = {}
    for chunk in chunks:
        for place in range(chunk.start, chunk.end + 1):
            heat[place] = heat.get(place, 0.0) + chunk.score
    runs: list[dict[int, float]] = [{}]
    for place in sorted(heat):
        if heat[place] < _LOWEST_PEAK:
            runs.append({})
        else:
            runs[-1][place] = heat[place]
    found = [max(run.items(), key=lambda item: item[1]) for run in runs if run]
    best = max(chunks, key=lambda chunk: chunk.score)
    return found or [(best.centre, best.score)]
