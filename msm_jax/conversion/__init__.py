"""Checkpoints of ours from safetensors that others read, and back."""
