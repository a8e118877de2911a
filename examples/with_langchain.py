"""A LangChain chain over one patient's notes: whole notes, a prompt that names them, a cited and checked answer."""

from __future__ import annotations

from typing import Any

from langchain_bedside import BedsideAnswerChecker, BedsideVectorStore
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel, RunnablePassthrough

from extractive import MAX_TOKENS, PROMPT, Extractor


def answer_chain(record: BedsideVectorStore, extract: Extractor, k: int = 4) -> Runnable[str, dict[str, Any]]:
    """Build a chain from a question to the ``notes`` found, the ``answer`` and its ``check``."""
    model: Runnable[PromptValue, str] = RunnableLambda(lambda prompt: extract(prompt.to_string()))
    # With a real chat model: model = ChatOllama(model="llama3.2")
    return (
        RunnableParallel(notes=lambda question: record.search_notes(question, k), query_str=RunnablePassthrough())
        .assign(context_str=lambda found: record.context(found["notes"], max_tokens=MAX_TOKENS))
        .assign(answer=PromptTemplate.from_template(PROMPT) | model | StrOutputParser())
        .assign(check=BedsideAnswerChecker(context="notes"))
    )
