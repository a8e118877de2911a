"""A LangChain retrieval chain over one patient's notes: passages, cited prompt, answer."""

from __future__ import annotations

from typing import Any

from langchain_bedside import BedsideRetriever, BedsideVectorStore
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel, RunnablePassthrough

from extractive import PROMPT, Extractor, cite


def retrieval_chain(store: BedsideVectorStore, extract: Extractor, k: int = 4) -> Runnable[str, dict[str, Any]]:
    """Build a chain from a question to its ``passages`` (LangChain documents with their score) and ``answer``."""
    retriever = BedsideRetriever(vectorstore=store, k=k, score_key="score")
    model: Runnable[PromptValue, str] = RunnableLambda(lambda prompt: extract(prompt.to_string()))
    # With a real chat model: model = ChatOllama(model="llama3.2")
    return (
        RunnableParallel(passages=retriever, query_str=RunnablePassthrough())
        .assign(context_str=lambda found: "\n\n".join(cite(p.page_content, p.metadata) for p in found["passages"]))
        .assign(answer=PromptTemplate.from_template(PROMPT) | model | StrOutputParser())
    )
