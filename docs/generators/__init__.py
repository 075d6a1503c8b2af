"""One generated part of the documentation a file."""
