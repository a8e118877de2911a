"""A stand-in for a chat model: it answers with the sentences of the notes in its prompt that fit the question best.

It reads the same prompt as a real model would and knows nothing else, so one line puts a real model in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import itemgetter

from bedside import Collection, Document, Encoder

PROMPT = """Answer the question from these notes of one patient's record only, and cite them.

{context_str}

Question: {query_str}
Answer: """
MAX_TOKENS = 800  # of the notes in a prompt

NOTE = re.compile(r"^Source: (\S+) \(([\d-]+)[^\n]*\)\n(.+?)(?=\n\nSource: |\Z)", re.MULTILINE | re.DOTALL)
LEFT_OUT = re.compile(r"^\[….*\]$", re.MULTILINE)
SENTENCE_END = re.compile(r"(?<=[.?!:]) \d{1,2}\. | - |(?<!Mr\.)(?<!Ms\.)(?<=[.?!]) ")


def split_sentences(note: str) -> Iterator[str]:
    """Yield the sentences and list items of a note, each on one line, without item numbers."""
    for part in SENTENCE_END.split(" ".join(LEFT_OUT.sub("", note).split())):
        if part and not part.endswith(":"):
            yield part


class Extractor:
    """Answers a prompt with the sentences of its notes that rank first for its question.

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
        for note, date, text in sorted(NOTE.findall(context), key=itemgetter(1), reverse=True):
            for sentence in split_sentences(text):
                citations.setdefault(sentence, []).append(f"{note} {date}")
        with Collection.open(encoder=self.encoder) as ranked:
            ranked.add([Document(sentence) for sentence in citations])
            best = {hit.text for hit in ranked.search(question.partition("\n")[0], top_k=self.sentences)}
        return " ".join(f"{text} [{', '.join(notes)}]" for text, notes in citations.items() if text in best)
