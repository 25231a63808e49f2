"""One module a subcommand; each offers one click command named ``command``."""
