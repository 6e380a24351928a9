"""Gates: what a generated text must pass, each with a reason when it fails."""
