"""A stand-in for a chat model: it answers with the sentences of the cited passages that fit the question best.

It reads the same prompt as a real model would and knows nothing else, so one line puts a real model in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

from bedside import Collection, Document, Encoder

PROMPT = """Answer the question from these passages of one patient's record only, and cite them.

{context_str}

Question: {query_str}
Answer: """

PASSAGE = re.compile(r"^\[(\S+) (\S+) [^]]+\] (.+?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
SENTENCE_END = re.compile(r"(?<=[.?!:]) \d{1,2}\. | - |(?<!Mr\.)(?<!Ms\.)(?<=[.?!]) ")


def cite(text: str, metadata: Mapping[str, Any]) -> str:
    """Put the note, date and section that a reader needs to check a passage before it."""
    return f"[{metadata['note_id']} {metadata['date']} {metadata['section']}] {text}"


def split_sentences(passage: str) -> Iterator[str]:
    """Yield the sentences and list items of a passage, each on one line, without item numbers."""
    for part in SENTENCE_END.split(" ".join(passage.split())):
        if not part.endswith(":"):
            yield part


def words(text: str) -> set[str]:
    """The words of a text, case apart."""
    return set(re.findall(r"\w+", text.lower()))


def nearest_sentence(passage: str, text: str) -> str:
    """Give the sentence of a passage that has the most words in common with a text."""
    return max(split_sentences(passage), key=lambda sentence: len(words(sentence) & words(text)))


class Extractor:
    """Answers a prompt with the sentences of its passages that rank first for its question.

    Args:
        encoder: Ranks the sentences, together with BM25.
        sentences: How many sentences make an answer.
    """

    def __init__(self, encoder: Encoder, sentences: int = 2) -> None:
        self.encoder, self.sentences = encoder, sentences

    def __call__(self, prompt: str) -> str:
        """Return the best sentences, those of the latest notes first, each with all its citations."""
        context, _, question = prompt.rpartition("Question: ")
        citations: dict[str, list[str]] = {}
        for note, date, passage in sorted(PASSAGE.findall(context), key=itemgetter(1), reverse=True):
            for sentence in split_sentences(passage):
                citations.setdefault(sentence, []).append(f"{note} {date}")
        with Collection.open(encoder=self.encoder) as ranked:
            ranked.add([Document(sentence) for sentence in citations])
            best = {hit.text for hit in ranked.search(question.partition("\n")[0], top_k=self.sentences)}
        return " ".join(f"{text} [{', '.join(notes)}]" for text, notes in citations.items() if text in best)
