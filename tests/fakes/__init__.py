"""Small real stand-ins for models, retrievers and servers. They follow a script and remember it."""
