"""One process that owns a store: a page to read and ask, the OpenAI API, and an MCP server."""
