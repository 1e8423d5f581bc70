"""System checks of this app, numbered, each with its remedy."""
