"""A stand-in for a chat model: it answers with the sentences of the cited passages that fit the question best.

It reads the same prompt as a real model would and knows nothing else, so one line puts a real model in its place.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from bedside import Collection, Document, Encoder

PROMPT = """Answer the question from these passages of one patient's record only, and cite them.

{context_str}

Question: {query_str}
Answer: """

PASSAGE = re.compile(r"^\[(.+?)\] (.+)$", re.MULTILINE)
SENTENCE_END = re.compile(r"(?<=[.?!:]) \d{1,2}\. | - |(?<!Mr\.)(?<!Ms\.)(?<=[.?!]) ")


def cite(text: str, metadata: Mapping[str, Any]) -> str:
    """Write a passage on one line behind the note, section and date that a reader needs to check it."""
    return f"[{metadata['note_id']} {metadata['section']}, {metadata['date']}] {' '.join(text.split())}"


def split_sentences(passage: str) -> Iterator[str]:
    """Yield the sentences and list items of a one-line passage, without item numbers."""
    for part in SENTENCE_END.split(passage):
        if not part.endswith(":"):
            yield part


def most_alike(passage: str, text: str) -> str:
    """Give the sentence of a passage that has the most words in common with a text."""
    words = set(re.findall(r"\w+", text.lower()))
    return max(split_sentences(" ".join(passage.split())), key=lambda s: len(words & {*re.findall(r"\w+", s.lower())}))


class Extractor:
    """Answers a prompt with the sentences of its passages that rank first for its question.

    Args:
        encoder: Ranks the sentences, together with BM25.
        sentences: How many sentences make an answer.
    """

    def __init__(self, encoder: Encoder, sentences: int = 2) -> None:
        self.encoder, self.sentences = encoder, sentences

    def __call__(self, prompt: str) -> str:
        """Return the best sentences, each with all its citations."""
        context, _, question = prompt.removesuffix("Answer: ").rpartition("Question: ")
        citations: dict[str, list[str]] = defaultdict(list)
        for citation, passage in PASSAGE.findall(context):
            for sentence in split_sentences(passage):
                citations[sentence].append(citation.split(" ")[0])
        with Collection.open(encoder=self.encoder) as best:
            best.add([Document(sentence) for sentence in citations])
            hits = best.search(question.strip(), top_k=self.sentences)
        return " ".join(f"{hit.text} [{', '.join(citations[hit.text])}]" for hit in hits)
