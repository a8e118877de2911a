"""A LangGraph agent that searches the notes of one patient, and cannot be talked into another one's.

The patient is in the run's config, which the application sets and the model never sees. The tool takes the scope from
there, so whatever the model asks for, the store has only that patient's notes to answer with.

Run it with a chat model that calls tools: ``python langgraph_agent.py anthropic:claude-sonnet-4-5``.
"""

from __future__ import annotations

import sys
from typing import Any

from langchain.chat_models import init_chat_model
from langchain_bedside import BedsideEmbeddings, BedsideNoteRetriever, BedsideVectorStore
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import SystemMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from clinical_notes import read_patients

EMBEDDINGS = BedsideEmbeddings(model="bedside/static")
INSTRUCTIONS = SystemMessage(
    "You answer questions about the patient whose record is open. Search the notes before you answer, and cite each "
    "note that an answer rests on by its id in square brackets. If the notes do not say, say so."
)


def store_notes() -> BedsideVectorStore:
    """Store all patients' notes whole, each patient in a scope of their own."""
    store = BedsideVectorStore(EMBEDDINGS, scope_keys=["patient_id"])
    for note in read_patients():
        record = store.scoped(patient_id=note.metadata["patient_id"])
        record.add_note(note.text, id=str(note.id), metadata=note.metadata)
    return store


def search_tool(notes: BedsideVectorStore) -> BaseTool:
    """Make the tool. Its ``config`` argument is filled in by LangChain and is not in the schema that the model gets."""
    retriever = BedsideNoteRetriever(vectorstore=notes, k=4, max_tokens=400)  # the best passages of each note

    @tool(response_format="content_and_artifact")
    def search_notes(query: str, config: RunnableConfig) -> tuple[str, list[Document]]:
        """Search the patient's notes for a finding, a drug, a value or a question."""
        found = retriever.invoke(query, scope={"patient_id": config["configurable"]["patient_id"]})
        return "\n\n".join(f"[{p.id}] {p.metadata['date']}\n{p.page_content.strip()}" for p in found), found

    return search_notes


def build_agent(notes: BedsideVectorStore, model: BaseChatModel) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Build the graph: the model speaks, its tool calls are carried out, until it calls none."""
    tools = [search_tool(notes)]
    speaker = model.bind_tools(tools)

    def speak(state: MessagesState) -> dict[str, Any]:
        return {"messages": [speaker.invoke([INSTRUCTIONS, *state["messages"]])]}

    graph = StateGraph(MessagesState)
    graph.add_node("speak", speak)
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "speak")
    graph.add_conditional_edges("speak", tools_condition)
    graph.add_edge("tools", "speak")
    return graph.compile()


def main(model: BaseChatModel, question: str = "Why was lisinopril stopped?") -> None:
    """Ask one question about one patient and print what the agent did and said."""
    agent = build_agent(store_notes(), model)
    config: RunnableConfig = {"configurable": {"patient_id": "P01"}, "recursion_limit": 12}
    for message in agent.invoke({"messages": [("human", question)]}, config)["messages"]:
        message.pretty_print()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(init_chat_model(sys.argv[1]))
