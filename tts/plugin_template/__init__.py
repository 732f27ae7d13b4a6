"""Packages to start a plugin from: what ``tts plugin new`` writes. Imports no torch."""
