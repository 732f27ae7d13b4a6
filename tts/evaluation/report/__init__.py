"""One self-contained HTML page of a sweep, a run, a training or a tuning: ``tts report``."""
