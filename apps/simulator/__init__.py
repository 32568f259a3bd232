"""Plays the outside services over HTTP. It imports no other app and no other app imports it."""
