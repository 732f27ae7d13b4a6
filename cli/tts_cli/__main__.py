"""``python -m tts_cli``."""

from tts_cli.main import main

if __name__ == "__main__":
    main()
