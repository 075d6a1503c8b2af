"""How good search and answers are: questions in, measures with intervals out. No judge, no network."""
