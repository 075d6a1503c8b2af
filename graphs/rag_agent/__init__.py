"""`rag_agent`: an agent of LangChain over documents.

Imports nothing: `graph` needs langchain, and `state` does not.
"""
