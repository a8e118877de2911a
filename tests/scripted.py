"""A chat model that says what a test has written down, and keeps what it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field


class ScriptedChatModel(BaseChatModel):
    """Gives ``answers`` in order, streamed word by word where asked to; ``asked`` holds the messages of each call.

    An answer is a text or a whole message, with tool calls for example. ``schemas`` are the tools as a provider
    would be sent them.
    """

    answers: list[Any]
    asked: list[list[BaseMessage]] = Field(default_factory=list)
    schemas: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        self.asked.append(messages)
        answer = self.answers[len(self.asked) - 1]
        return AIMessage(answer) if isinstance(answer, str) else answer

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages))])

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for word in self._next(messages).text.split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(f"{word} "))

    def bind_tools(self, tools: Any, **kwargs: Any) -> ScriptedChatModel:
        from langchain_core.utils.function_calling import convert_to_openai_tool

        self.schemas.extend(convert_to_openai_tool(tool) for tool in tools)
        return self
