"""`rag_agent`: an agent of LangChain over documents. Only its `graph` needs the extra `agent`."""
