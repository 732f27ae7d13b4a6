"""How the embedded digits models were trained."""
